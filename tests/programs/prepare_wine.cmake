# SPDX-License-Identifier: MIT
# Fills the folder WINEPREFIX, which stands for the disk of a Windows machine, by the emulator WINE, and waits until all that
# this has started has ended: programs that start meanwhile may hang. Then a server and its services are started, which stay
# until END=1 ends them: of programs that start at one time, each would start its own.
cmake_path(GET WINE PARENT_PATH folder)
find_program(server NAMES wineserver64 wineserver HINTS ${folder} REQUIRED)
if(END)
    execute_process(COMMAND ${server} --kill)
    return()
endif()
foreach(command IN ITEMS "${WINE};wineboot;--init" "${server};--wait" "${server};--persistent" "${WINE};cmd;/c;exit")
    # With files instead of ctest's pipes, which ctest would read until the server ends.
    execute_process(COMMAND ${command} INPUT_FILE /dev/null OUTPUT_FILE /dev/null ERROR_FILE /dev/null
                    COMMAND_ERROR_IS_FATAL ANY)
endforeach()
