# SPDX-License-Identifier: MIT
# What runs on Windows: every umbrella but that of POSIX compiles alone, a program of each component runs, the files of
# Windows keep their promises, and examples print what they print here. Wine runs them.
set(wine WINEPREFIX=${CMAKE_CURRENT_BINARY_DIR}/wine WINEDEBUG=-all)
# Wine fills the folder that stands for the disk once, and starts a server that stays: run_limited would kill it.
add_test(NAME wine COMMAND ${CMAKE_COMMAND} -DWINE=${CMAKE_CROSSCOMPILING_EMULATOR}
         -P ${CMAKE_CURRENT_SOURCE_DIR}/prepare_wine.cmake)
add_test(NAME wine_ends COMMAND ${CMAKE_COMMAND} -DWINE=${CMAKE_CROSSCOMPILING_EMULATOR} -DEND=1
         -P ${CMAKE_CURRENT_SOURCE_DIR}/prepare_wine.cmake)
set_tests_properties(wine PROPERTIES FIXTURES_SETUP wine)
set_tests_properties(wine_ends PROPERTIES FIXTURES_CLEANUP wine)
set(tests wine wine_ends)

# Without optimization, the program of one component takes a minute to link, and all as one takes minutes.
foreach(program IN LISTS component_programs)
    get_filename_component(component ${program} DIRECTORY)
    get_filename_component(component ${component} NAME)
    if(component STREQUAL "posix")
        continue()
    endif()
    add_executable(no_exceptions_${component} ${program})
    target_link_libraries(no_exceptions_${component} PRIVATE belay_dev)
    target_include_directories(no_exceptions_${component} PRIVATE ${belay_tests})
    target_compile_options(no_exceptions_${component} PRIVATE ${belay_no_exceptions})
    target_compile_definitions(no_exceptions_${component} PRIVATE BELAY_ASSERTIONS=1)
    belay_add_test(NAME ${component}/no_exceptions COMMAND no_exceptions_${component})
    list(APPEND tests ${component}/no_exceptions)
endforeach()

# The files of Windows, and a journal and a session on them. Two of the programs have neither exceptions nor RTTI.
foreach(name IN ITEMS files journal journal_kill)
    add_executable(windows_${name} ${belay_tests}/windows/${name}.test.cpp)
    target_link_libraries(windows_${name} PRIVATE belay_dev)
    target_include_directories(windows_${name} PRIVATE ${belay_tests})
    target_compile_definitions(windows_${name} PRIVATE BELAY_ASSERTIONS=1)
    belay_add_test(NAME windows/${name} COMMAND windows_${name})
    list(APPEND tests windows/${name})
endforeach()
foreach(name IN ITEMS files journal_kill)
    target_compile_options(windows_${name} PRIVATE ${belay_no_exceptions})
endforeach()

# Sockets by asio, whose headers are those of this machine. MinGW must not find others of /usr/include.
find_path(BELAY_ASIO_INCLUDE asio/io_context.hpp PATHS /usr/include /usr/local/include NO_CMAKE_FIND_ROOT_PATH)
mark_as_advanced(BELAY_ASIO_INCLUDE)
if(BELAY_ASIO_INCLUDE)
    file(MAKE_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR}/asio_headers)
    file(CREATE_LINK ${BELAY_ASIO_INCLUDE}/asio ${CMAKE_CURRENT_BINARY_DIR}/asio_headers/asio SYMBOLIC)
    add_executable(windows_asio ${belay_tests}/windows/asio.test.cpp)
    target_include_directories(windows_asio SYSTEM PRIVATE ${CMAKE_CURRENT_BINARY_DIR}/asio_headers)
    target_include_directories(windows_asio PRIVATE ${belay_tests})
    target_link_libraries(windows_asio PRIVATE belay_dev ws2_32 mswsock)
    target_compile_definitions(windows_asio PRIVATE BELAY_ASSERTIONS=1 _WIN32_WINNT=0x0A00)
    belay_add_test(NAME windows/asio COMMAND windows_asio)
    list(APPEND tests windows/asio)
else()
    message(STATUS "belay: no libasio-dev: tests/windows/asio is left out")
endif()

# What is drawn and computed must be the same.
add_executable(golden_backoff ${belay_tests}/backoff/golden.cpp)
target_link_libraries(golden_backoff PRIVATE belay_dev)
target_compile_definitions(golden_backoff PRIVATE BELAY_ASSERTIONS=1)
belay_add_test(NAME backoff/golden COMMAND golden_backoff)
list(APPEND tests backoff/golden)

get_property(small_examples GLOBAL PROPERTY belay_small_examples)
set(references)
foreach(name IN LISTS small_examples)
    list(APPEND tests examples/${name})
    if(name MATCHES "^(backoff|breaker)$")
        # They draw new waits in each run.
        belay_add_test(NAME examples/${name} COMMAND example_${name})
        continue()
    endif()
    set(reference ${CMAKE_CURRENT_BINARY_DIR}/${name}_reference)
    add_custom_command(OUTPUT ${reference}
        COMMAND ${BELAY_REFERENCE_COMPILER} -std=c++20 -O0 -I ${PROJECT_SOURCE_DIR}/include -MD -MF ${reference}.d
                -MT ${reference} ${PROJECT_SOURCE_DIR}/examples/${name}.cpp -o ${reference}
        DEPENDS ${PROJECT_SOURCE_DIR}/examples/${name}.cpp DEPFILE ${reference}.d VERBATIM)
    list(APPEND references ${reference})
    belay_add_test(NAME examples/${name} COMMAND ${CMAKE_COMMAND} "-DPROGRAM=${CMAKE_CROSSCOMPILING_EMULATOR};$<TARGET_FILE:example_${name}>"
             -DREFERENCE=${reference} -P ${CMAKE_CURRENT_SOURCE_DIR}/same_output.cmake)
endforeach()
add_custom_target(examples_of_reference ALL DEPENDS ${references})

list(REMOVE_ITEM umbrellas belay/posix.hpp)
# <windows.h>, included as a whole, defines macros such as far and small. No header uses their names.
file(GLOB_RECURSE headers CONFIGURE_DEPENDS RELATIVE ${PROJECT_SOURCE_DIR}/include ${PROJECT_SOURCE_DIR}/include/belay/*.hpp)
list(FILTER headers EXCLUDE REGEX "^belay/((${belay_bindings_regex})/|posix|core/fmt_format)")
list(JOIN headers ">\n#include <" includes)
set(after_windows ${CMAKE_CURRENT_BINARY_DIR}/after_windows.cpp)
file(CONFIGURE OUTPUT ${after_windows} CONTENT "#include <windows.h>\n#include <${includes}>\n")
belay_compile_alone("${umbrellas};belay/windows/files.hpp;belay/windows/journal.hpp" ${after_windows})
# The umbrella of POSIX names what to use instead.
file(CONFIGURE OUTPUT ${CMAKE_CURRENT_BINARY_DIR}/posix.cpp CONTENT "#include <belay/posix.hpp>\n")
belay_add_test(NAME posix/rejected COMMAND ${CMAKE_CXX_COMPILER} -std=c++20 -fsyntax-only -I ${PROJECT_SOURCE_DIR}/include
         ${CMAKE_CURRENT_BINARY_DIR}/posix.cpp)
set_tests_properties(posix/rejected PROPERTIES PASS_REGULAR_EXPRESSION "error: .*belay/asio/tcp[.]hpp")

# Wine may hang when a program starts. tests/run repeats a test after a limit of ctest, which comes before that of run_limited.
set_tests_properties(${tests} PROPERTIES TIMEOUT ${belay_wait_seconds} ENVIRONMENT "${wine}")
list(REMOVE_ITEM tests wine wine_ends)
set_tests_properties(${tests} PROPERTIES FIXTURES_REQUIRED wine)
