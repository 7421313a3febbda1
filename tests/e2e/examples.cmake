# SPDX-License-Identifier: MIT
# The end-to-end tests run the examples: they need to know where those are.
add_executable(outage_planted e2e/planted.cpp)
target_link_libraries(outage_planted PRIVATE outage_parts)
target_include_directories(outage_planted PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
belay_precompiled(outage_planted belay_program_pch)

# The demo over headers with one of the faults of scripts/mutants.py.
file(GLOB_RECURSE belay_all_headers CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/include/*.hpp)
function(outage_mutant name mutant)
    set(copy ${CMAKE_CURRENT_BINARY_DIR}/mutants/${mutant})
    add_custom_command(
        OUTPUT ${copy}/main.cpp
        COMMAND Python3::Interpreter ${CMAKE_CURRENT_SOURCE_DIR}/scripts/mutants.py --root ${PROJECT_SOURCE_DIR}
                --write ${mutant} ${copy}/include
        COMMAND ${CMAKE_COMMAND} -E copy ${PROJECT_SOURCE_DIR}/examples/outage/main.cpp ${copy}/main.cpp
        DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/scripts/mutants.py ${PROJECT_SOURCE_DIR}/examples/outage/main.cpp
                ${belay_all_headers}
        VERBATIM)
    add_executable(${name} ${copy}/main.cpp)
    target_include_directories(${name} BEFORE PRIVATE ${copy}/include)
    target_link_libraries(${name} PRIVATE outage_parts)
    belay_precompiled(${name} belay_program_pch)
endfunction()
outage_mutant(outage_skip_ack resend_from_acked_and_no_duplicate_check)
outage_mutant(outage_no_fence no_fence_and_no_duplicate_check)

if(TEST e2e/outage_mutants)
    set_tests_properties(e2e/outage_mutants PROPERTIES LABELS gate ENVIRONMENT
        "OUTAGE_SKIP_ACK_BINARY=$<TARGET_FILE:outage_skip_ack>;OUTAGE_NO_FENCE_BINARY=$<TARGET_FILE:outage_no_fence>")
endif()

target_compile_definitions(tests_e2e PRIVATE
    OUTAGE_BINARY="../examples/$<TARGET_FILE_NAME:outage>" OUTAGE_PLANTED_BINARY="$<TARGET_FILE_NAME:outage_planted>"
    JOURNAL_INSPECT_BINARY="../examples/$<TARGET_FILE_NAME:journal_inspect>"
    SESSION_SENDER="${belay_tests_beside_program}/../examples/session_sender.py")
add_dependencies(tests_e2e outage outage_planted journal_inspect)
