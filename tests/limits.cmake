# SPDX-License-Identifier: MIT
# Tests with a limit of processor time. ctest has limits of wall time only, by which a busy machine fails sound tests.
set(BELAY_TEST_SECONDS 60 CACHE STRING "Seconds of processor time for one test; e2e and consumers get three times as many")
math(EXPR belay_long_seconds "3 * ${BELAY_TEST_SECONDS}")
set(belay_wait_seconds 900)  # of wall time, for a test that uses no processor time

# It runs here also if the tests are built for another system.
find_program(BELAY_REFERENCE_COMPILER NAMES g++ REQUIRED)
mark_as_advanced(BELAY_REFERENCE_COMPILER)
set(belay_run_limited ${CMAKE_BINARY_DIR}/run_limited)
add_custom_command(OUTPUT ${belay_run_limited}
    COMMAND ${BELAY_REFERENCE_COMPILER} -std=c++20 -O1 -Wall -Wextra -Werror ${CMAKE_CURRENT_LIST_DIR}/support/run_limited.cpp
            -o ${belay_run_limited}
    DEPENDS ${CMAKE_CURRENT_LIST_DIR}/support/run_limited.cpp VERBATIM)
add_custom_target(belay_run_limited ALL DEPENDS ${belay_run_limited})

# belay_add_test(NAME name [SECONDS limit] [COMMAND_EXPAND_LISTS] COMMAND command...): add_test, with a limit of
# processor time, by default BELAY_TEST_SECONDS
function(belay_add_test)
    cmake_parse_arguments(PARSE_ARGV 0 arg "COMMAND_EXPAND_LISTS" "NAME;SECONDS" "COMMAND")
    if(NOT arg_SECONDS)
        set(arg_SECONDS ${BELAY_TEST_SECONDS})
    endif()
    # Not list(), which would split arguments that contain a semicolon.
    string(REGEX MATCH "^[^;]+" program "${arg_COMMAND}")
    if(TARGET ${program})
        get_target_property(imported ${program} IMPORTED)
        set(path $<TARGET_FILE:${program}>)
        if(CMAKE_CROSSCOMPILING_EMULATOR AND NOT imported)
            string(PREPEND path "${CMAKE_CROSSCOMPILING_EMULATOR};")
        endif()
        string(REGEX REPLACE "^[^;]+" "${path}" arg_COMMAND "${arg_COMMAND}")
    endif()
    set(expand)
    if(arg_COMMAND_EXPAND_LISTS)
        set(expand COMMAND_EXPAND_LISTS)
    endif()
    add_test(NAME ${arg_NAME} COMMAND ${belay_run_limited} ${arg_SECONDS} ${belay_wait_seconds} ${arg_COMMAND} ${expand})
    # For the case that run_limited itself hangs. It allows 20 s of wall time for each second of processor time.
    math(EXPR backstop "3600 + 20 * ${arg_SECONDS}")
    set_tests_properties(${arg_NAME} PROPERTIES TIMEOUT ${backstop})
endfunction()
