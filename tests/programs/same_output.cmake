# SPDX-License-Identifier: MIT
# Runs PROGRAM and REFERENCE, which must both exit with 0 and print the same.
foreach(which IN ITEMS PROGRAM REFERENCE)
    execute_process(COMMAND ${${which}} RESULT_VARIABLE result OUTPUT_VARIABLE printed_by_${which})
    if(NOT result EQUAL 0)
        message(FATAL_ERROR "${${which}} exits with ${result}:\n${printed_by_${which}}")
    endif()
    # Windows ends lines in its own way.
    string(REPLACE "\r\n" "\n" printed_by_${which} "${printed_by_${which}}")
endforeach()
if(NOT printed_by_PROGRAM STREQUAL printed_by_REFERENCE)
    message(FATAL_ERROR "it prints\n${printed_by_PROGRAM}\nand not, as ${REFERENCE},\n${printed_by_REFERENCE}")
endif()
