# SPDX-License-Identifier: MIT
# Runs the program of a page in an empty directory; see pages.cmake.
# A page shows what its program prints with its own number of seeds.
unset(ENV{BELAY_SEEDS})
file(REMOVE_RECURSE ${DIRECTORY})
file(MAKE_DIRECTORY ${DIRECTORY})
execute_process(COMMAND ${COMMAND} WORKING_DIRECTORY ${DIRECTORY} RESULT_VARIABLE result OUTPUT_VARIABLE said
                ERROR_VARIABLE complained)
if(NOT result EQUAL 0)
    message(FATAL_ERROR "${PAGE}: its program ended with ${result}:\n${said}${complained}")
endif()
file(READ ${EXPECTED} expected)
if(NOT expected STREQUAL "" AND NOT said STREQUAL expected)
    message(FATAL_ERROR "${PAGE}: its program prints\n${said}\nand the page says\n${expected}")
endif()
