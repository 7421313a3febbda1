# SPDX-License-Identifier: MIT
# Builds and runs one consumer of belay in WORK, which is emptied first.
#   CONSUMER          install, subdirectory, fetch, conan or vcpkg
#   BELAY_SOURCE_DIR  the checkout;  COMPILER, GENERATOR  those of the build that runs the test
function(run)
    string(JOIN " " shown ${ARGN})
    message(STATUS "${shown}")
    execute_process(COMMAND ${ARGN} WORKING_DIRECTORY ${WORK} COMMAND_ERROR_IS_FATAL ANY)
endfunction()

# Configures, builds and runs SOURCE, a folder below tests/consumer, with the given extra arguments.
function(build_and_run source)
    run(${CMAKE_COMMAND} --no-warn-unused-cli -S ${CMAKE_CURRENT_FUNCTION_LIST_DIR}/${source} -B ${WORK}/build -G ${GENERATOR}
        -DCMAKE_BUILD_TYPE=Release -DCMAKE_CXX_COMPILER=${COMPILER} -DBELAY_SOURCE_DIR=${BELAY_SOURCE_DIR} ${ARGN})
    run(${CMAKE_COMMAND} --build ${WORK}/build)
    run(${WORK}/build/consumer)
endfunction()

file(REMOVE_RECURSE ${WORK})
file(MAKE_DIRECTORY ${WORK})

if(CONSUMER STREQUAL "install")
    run(${CMAKE_COMMAND} -S ${BELAY_SOURCE_DIR} -B ${WORK}/belay -G ${GENERATOR} -DCMAKE_CXX_COMPILER=${COMPILER}
        -DCMAKE_INSTALL_PREFIX=${WORK}/first -DBELAY_BUILD_TESTS=OFF -DBELAY_BUILD_EXAMPLES=OFF)
    run(${CMAKE_COMMAND} --install ${WORK}/belay)
    # What is installed must not know where: it works after a move, and no header is missing.
    file(RENAME ${WORK}/first ${WORK}/moved)
    foreach(file IN ITEMS include share/licenses)
        if(NOT EXISTS ${WORK}/moved/${file})
            message(FATAL_ERROR "not installed: ${file}")
        endif()
    endforeach()
    file(GLOB_RECURSE wanted RELATIVE ${BELAY_SOURCE_DIR}/include ${BELAY_SOURCE_DIR}/include/*)
    file(GLOB_RECURSE found RELATIVE ${WORK}/moved/include ${WORK}/moved/include/*)
    if(NOT wanted STREQUAL found)
        message(FATAL_ERROR "installed headers differ.\nwanted: ${wanted}\nfound: ${found}")
    endif()
    build_and_run(install -DCMAKE_PREFIX_PATH=${WORK}/moved)
elseif(CONSUMER STREQUAL "subdirectory" OR CONSUMER STREQUAL "fetch")
    build_and_run(${CONSUMER})
elseif(CONSUMER STREQUAL "conan")
    find_program(CONAN conan)
    if(NOT CONAN)
        message(STATUS "SKIP: conan is not installed")
        return()
    endif()
    # A home of its own: the user's cache and profiles stay as they are. Conan builds the test of the package
    # beside its sources: in a copy.
    set(ENV{CONAN_HOME} ${WORK}/home)
    file(COPY ${BELAY_SOURCE_DIR}/LICENSE ${BELAY_SOURCE_DIR}/conanfile.py ${BELAY_SOURCE_DIR}/include
              ${BELAY_SOURCE_DIR}/packaging DESTINATION ${WORK}/source)
    run(${CONAN} profile detect)
    run(${CONAN} create ${WORK}/source -s compiler.cppstd=20 --no-remote)
elseif(CONSUMER STREQUAL "vcpkg")
    find_program(VCPKG vcpkg HINTS ENV VCPKG_ROOT)
    if(NOT VCPKG)
        message(STATUS "SKIP: vcpkg is not installed")
        return()
    endif()
    run(${VCPKG} install belay --classic --overlay-ports=${BELAY_SOURCE_DIR}/packaging/vcpkg
        --x-install-root=${WORK}/installed --binarysource=clear)
    file(GLOB prefix ${WORK}/installed/*/share/belay)
    cmake_path(GET prefix PARENT_PATH prefix)
    cmake_path(GET prefix PARENT_PATH prefix)
    build_and_run(install -DCMAKE_PREFIX_PATH=${prefix})
else()
    message(FATAL_ERROR "no such consumer: ${CONSUMER}")
endif()
