# SPDX-License-Identifier: MIT
# Fills the folder WINEPREFIX, which stands for the disk of a Windows machine, by the emulator WINE, and waits until all that
# this has started has ended: programs that start meanwhile may hang.
cmake_path(GET WINE PARENT_PATH folder)
find_program(server NAMES wineserver64 wineserver HINTS ${folder} REQUIRED)
foreach(command IN ITEMS "${WINE};wineboot;--init" "${server};--wait")
    execute_process(COMMAND ${command} COMMAND_ERROR_IS_FATAL ANY)
endforeach()
