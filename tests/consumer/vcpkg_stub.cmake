# SPDX-License-Identifier: MIT
# The calls of vcpkg's that the port makes, as far as it can tell: vcpkg itself is packaged nearly nowhere, and an
# unread port breaks unseen. Needs CURRENT_PACKAGES_DIR, COMPILER, GENERATOR and run() of run.cmake.
function(vcpkg_cmake_configure)
    cmake_parse_arguments(PARSE_ARGV 0 arg "" "SOURCE_PATH" "OPTIONS")
    run(${CMAKE_COMMAND} -S ${arg_SOURCE_PATH} -B ${WORK}/port -G ${GENERATOR} -DCMAKE_CXX_COMPILER=${COMPILER}
        --install-prefix ${CURRENT_PACKAGES_DIR} ${arg_OPTIONS} ${arg_UNPARSED_ARGUMENTS})
endfunction()

function(vcpkg_cmake_install)
    run(${CMAKE_COMMAND} --build ${WORK}/port)
    run(${CMAKE_COMMAND} --install ${WORK}/port)
endfunction()

function(vcpkg_cmake_config_fixup)
    cmake_parse_arguments(PARSE_ARGV 0 arg "" "CONFIG_PATH" "")
    file(RENAME ${CURRENT_PACKAGES_DIR}/${arg_CONFIG_PATH} ${CURRENT_PACKAGES_DIR}/share/${PORT})
    # What it says of its prefix, three folders up, holds in share/belay after vcpkg has taken one away.
    file(READ ${CURRENT_PACKAGES_DIR}/share/${PORT}/${PORT}-targets.cmake text)
    string(REPLACE "get_filename_component(_IMPORT_PREFIX \"\${_IMPORT_PREFIX}\" PATH)\nif" "if" text "${text}")
    file(WRITE ${CURRENT_PACKAGES_DIR}/share/${PORT}/${PORT}-targets.cmake "${text}")
endfunction()

function(vcpkg_fixup_pkgconfig)
    file(GLOB_RECURSE found ${CURRENT_PACKAGES_DIR}/*.pc)
    if(NOT found)
        message(FATAL_ERROR "no .pc file to mend")
    endif()
endfunction()

function(vcpkg_install_copyright)
    cmake_parse_arguments(PARSE_ARGV 0 arg "" "" "FILE_LIST")
    configure_file(${arg_FILE_LIST} ${CURRENT_PACKAGES_DIR}/share/${PORT}/copyright COPYONLY)
endfunction()
