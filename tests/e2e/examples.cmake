# SPDX-License-Identifier: MIT
# The end-to-end tests run the examples: they need to know where those are.
add_executable(outage_planted e2e/planted.cpp)
target_link_libraries(outage_planted PRIVATE outage_parts)
target_include_directories(outage_planted PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
target_compile_definitions(tests_e2e PRIVATE
    OUTAGE_BINARY="$<TARGET_FILE:outage>" OUTAGE_PLANTED_BINARY="$<TARGET_FILE:outage_planted>"
    JOURNAL_INSPECT_BINARY="$<TARGET_FILE:journal_inspect>")
add_dependencies(tests_e2e outage outage_planted journal_inspect)

get_property(small_examples GLOBAL PROPERTY belay_small_examples)
foreach(name IN LISTS small_examples)
    add_test(NAME examples/${name} COMMAND example_${name})
    set_tests_properties(examples/${name} PROPERTIES TIMEOUT ${BELAY_TEST_TIMEOUT})
endforeach()
