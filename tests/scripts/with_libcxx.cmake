# SPDX-License-Identifier: MIT
# Builds and runs SOURCE, a program without framework, with libc++, by the first of COMPILERS that has one
# it can read (a Clang that is too old for it cannot).
foreach(compiler IN LISTS COMPILERS)
    set(command ${compiler} -std=c++20 -stdlib=libc++ -DBELAY_ASSERTIONS=1 -I${INCLUDE} -I${INCLUDE}/../tests)
    execute_process(COMMAND ${command} -fsyntax-only -include chrono -x c++ /dev/null
                    RESULT_VARIABLE result OUTPUT_QUIET ERROR_QUIET)
    if(NOT result EQUAL 0)
        continue()
    endif()
    message(STATUS "with libc++: ${compiler}")
    execute_process(COMMAND ${command} ${SOURCE} -o ${OUTPUT} RESULT_VARIABLE result ERROR_VARIABLE errors)
    if(NOT result EQUAL 0)
        message(FATAL_ERROR "does not compile with libc++:\n${errors}")
    endif()
    execute_process(COMMAND ${OUTPUT} RESULT_VARIABLE result OUTPUT_VARIABLE output ERROR_VARIABLE errors)
    if(NOT result EQUAL 0)
        message(FATAL_ERROR "differs with libc++:\n${output}${errors}")
    endif()
    return()
endforeach()
message(STATUS "SKIP: no compiler with libc++ (libc++-dev)")
