# SPDX-License-Identifier: MIT
# Builds and runs one consumer of belay in WORK, which is emptied first.
#   CONSUMER          install, components, old_cmake, pkg_config, meson, meson_subproject, meson_components, subdirectory,
#                     fetch, conan, vcpkg, vcpkg_port (the port by a stub of vcpkg); or no_catch2 and unknown_component, which
#                     must not configure
#   BELAY_SOURCE_DIR  the checkout;  COMPILER, GENERATOR  those of the build that runs the test
#   INSTALLED         where the consumer install has left what it installed
function(run)
    string(JOIN " " shown ${ARGN})
    message(STATUS "${shown}")
    execute_process(COMMAND ${ARGN} WORKING_DIRECTORY ${WORK} COMMAND_ERROR_IS_FATAL ANY)
endfunction()

# Runs what must fail, and say why in words that match EXPECTED.
function(run_refused expected)
    execute_process(COMMAND ${ARGN} WORKING_DIRECTORY ${WORK} RESULT_VARIABLE result OUTPUT_QUIET ERROR_VARIABLE errors)
    if(result EQUAL 0 OR NOT errors MATCHES "${expected}")
        string(JOIN " " shown ${ARGN})
        message(FATAL_ERROR "${shown}: exit code ${result}, expected to fail with \"${expected}\":\n${errors}")
    endif()
endfunction()

# Configures, builds and runs SOURCE, a folder below tests/consumer, with the given extra arguments.
function(build_and_run source)
    run(${CMAKE_COMMAND} --no-warn-unused-cli -S ${CMAKE_CURRENT_FUNCTION_LIST_DIR}/${source} -B ${WORK}/build -G ${GENERATOR}
        -DCMAKE_BUILD_TYPE=Release -DCMAKE_CXX_COMPILER=${COMPILER} -DBELAY_SOURCE_DIR=${BELAY_SOURCE_DIR} ${ARGN})
    run(${CMAKE_COMMAND} --build ${WORK}/build)
    run(${WORK}/build/app)
endfunction()

# The same by Meson, of a copy of SOURCE, into which the caller may have put more.
function(build_and_run_by_meson source)
    file(COPY ${CMAKE_CURRENT_FUNCTION_LIST_DIR}/${source}/meson.build ${CMAKE_CURRENT_FUNCTION_LIST_DIR}/main.cpp
              ${CMAKE_CURRENT_FUNCTION_LIST_DIR}/components DESTINATION ${WORK}/source)
    run(${CMAKE_COMMAND} -E env CXX=${COMPILER} PKG_CONFIG_PATH=${INSTALLED}/share/pkgconfig ${MESON} setup ${WORK}/build ${WORK}/source ${ARGN})
    run(${MESON} compile -C ${WORK}/build)
    run(${WORK}/build/app)
endfunction()

# What a build of belay reads, into TO.
function(copy_belay to)
    foreach(part IN ITEMS CMakeLists.txt LICENSE conanfile.py include packaging)
        file(COPY ${BELAY_SOURCE_DIR}/${part} DESTINATION ${to})
    endforeach()
endfunction()

# Defines VARIABLE, the path of a program; where there is none, the test says so and is skipped.
macro(need_program variable name)
    find_program(${variable} ${name} ${ARGN})
    if(NOT ${variable})
        message(STATUS "SKIP: ${name} is not installed")
        return()
    endif()
endmacro()

file(REMOVE_RECURSE ${WORK})
file(MAKE_DIRECTORY ${WORK})

if(CONSUMER STREQUAL "install")
    # As the README says, on a machine that has nothing but CMake and a compiler.
    set(nothing)
    foreach(package IN ITEMS Catch2 rapidcheck Python3 benchmark Threads SQLite3)
        list(APPEND nothing -DCMAKE_DISABLE_FIND_PACKAGE_${package}=ON)
    endforeach()
    run(${CMAKE_COMMAND} --no-warn-unused-cli -S ${BELAY_SOURCE_DIR} -B ${WORK}/belay -G ${GENERATOR}
        -DCMAKE_CXX_COMPILER=${COMPILER} --install-prefix ${WORK}/first ${nothing})
    run(${CMAKE_COMMAND} --install ${WORK}/belay)
    # What is installed must not know where: it works after a move, and no header is missing.
    file(REMOVE_RECURSE ${INSTALLED})
    file(RENAME ${WORK}/first ${INSTALLED})
    foreach(file IN ITEMS include share/licenses share/pkgconfig)
        if(NOT EXISTS ${INSTALLED}/${file})
            message(FATAL_ERROR "not installed: ${file}")
        endif()
    endforeach()
    file(GLOB_RECURSE wanted RELATIVE ${BELAY_SOURCE_DIR}/include ${BELAY_SOURCE_DIR}/include/*)
    file(GLOB_RECURSE found RELATIVE ${INSTALLED}/include ${INSTALLED}/include/*)
    if(NOT wanted STREQUAL found)
        message(FATAL_ERROR "installed headers differ.\nwanted: ${wanted}\nfound: ${found}")
    endif()
    # Staged, as distributions do: the same files.
    run(${CMAKE_COMMAND} -E env DESTDIR=${WORK}/staged ${CMAKE_COMMAND} --install ${WORK}/belay)
    file(GLOB_RECURSE wanted RELATIVE ${INSTALLED} ${INSTALLED}/*)
    file(GLOB_RECURSE found RELATIVE ${WORK}/staged${WORK}/first ${WORK}/staged${WORK}/first/*)
    if(NOT wanted STREQUAL found)
        message(FATAL_ERROR "staged files differ.\nwanted: ${wanted}\nfound: ${found}")
    endif()
    build_and_run(install -DCMAKE_PREFIX_PATH=${INSTALLED})
    run_refused("not accepted:.*version: 0[.]1[.]"
        ${CMAKE_COMMAND} -S ${CMAKE_CURRENT_LIST_DIR}/install -B ${WORK}/refused -G ${GENERATOR}
        -DCMAKE_CXX_COMPILER=${COMPILER} -DCMAKE_PREFIX_PATH=${INSTALLED} -DWANTED=0.2)
elseif(CONSUMER STREQUAL "components")
    build_and_run(components -DCMAKE_PREFIX_PATH=${INSTALLED})
    # The sources give the same targets.
    run(${CMAKE_COMMAND} -S ${CMAKE_CURRENT_LIST_DIR}/components -B ${WORK}/sources -G ${GENERATOR}
        -DCMAKE_CXX_COMPILER=${COMPILER} -DBELAY_SOURCE=${BELAY_SOURCE_DIR})
    run(${CMAKE_COMMAND} --build ${WORK}/sources --target app_sqlite app_curl app_beast)
elseif(CONSUMER STREQUAL "unknown_component")
    # Errors name the component.
    set(configure ${CMAKE_COMMAND} -S ${CMAKE_CURRENT_LIST_DIR}/components -B ${WORK}/build -G ${GENERATOR}
        -DCMAKE_CXX_COMPILER=${COMPILER} -DCMAKE_PREFIX_PATH=${INSTALLED})
    run_refused("no component \"nonsense\"" ${configure} -DWANTED=nonsense)
    # The same for a component whose library is missing: they name that, too.
    run_refused("component \"openssl\" of belay[ \n]+needs[ \n]+OpenSSL" ${configure} -DCMAKE_DISABLE_FIND_PACKAGE_OpenSSL=ON)
    run_refused("component \"asio\" of belay[ \n]+needs[ \n]+asio" ${configure} -DBELAY_asio_FOLDER=BELAY_asio_FOLDER-NOTFOUND
        -DCMAKE_IGNORE_PATH=/usr/include)
    run_refused("BELAY_COMPONENTS: .*\"nonsense\"" ${CMAKE_COMMAND} -S ${BELAY_SOURCE_DIR} -B ${WORK}/sources -G ${GENERATOR}
        -DCMAKE_CXX_COMPILER=${COMPILER} -DBELAY_COMPONENTS=nonsense)
    need_program(PKG_CONFIG pkg-config)
    run_refused("belay-nonsense" ${CMAKE_COMMAND} -E env PKG_CONFIG_PATH=${INSTALLED}/share/pkgconfig
        ${PKG_CONFIG} --cflags belay-nonsense)
elseif(CONSUMER STREQUAL "old_cmake")
    build_and_run(old_cmake -DCMAKE_PREFIX_PATH=${INSTALLED})
elseif(CONSUMER STREQUAL "pkg_config")
    need_program(PKG_CONFIG pkg-config)
    # As a Makefile would; the shell is asked to keep the spaces together.
    run(${CMAKE_COMMAND} -E env PKG_CONFIG_PATH=${INSTALLED}/share/pkgconfig
        sh -ec "flags=$(${PKG_CONFIG} --cflags --libs 'belay >= 0.1') && eval \"${COMPILER} -std=c++20 $flags -o app \
                '${CMAKE_CURRENT_LIST_DIR}/main.cpp'\"")
    run(${WORK}/app)
    # Two bindings, whose libraries the files of their components name.
    run(${CMAKE_COMMAND} -E env PKG_CONFIG_PATH=${INSTALLED}/share/pkgconfig
        sh -ec "flags=$(${PKG_CONFIG} --cflags --libs belay-sqlite belay-curl) && eval \"${COMPILER} -std=c++20 -o app_of_components \
                '${CMAKE_CURRENT_LIST_DIR}/components/main.cpp' $flags\"")
    run(${WORK}/app_of_components)
    # Each of the others.
    run(${CMAKE_COMMAND} -E env PKG_CONFIG_PATH=${INSTALLED}/share/pkgconfig
        ${PKG_CONFIG} --exists --print-errors belay-asio belay-beast belay-curl belay-fmt belay-json belay-openssl belay-postgres
        belay-redis)
elseif(CONSUMER STREQUAL "meson")
    need_program(MESON meson)
    need_program(PKG_CONFIG pkg-config)
    build_and_run_by_meson(meson --cmake-prefix-path=${INSTALLED})
elseif(CONSUMER MATCHES "^meson_(subproject|components)$")
    need_program(MESON meson)
    copy_belay(${WORK}/source/subprojects/belay)
    build_and_run_by_meson(${CONSUMER})
elseif(CONSUMER STREQUAL "subdirectory" OR CONSUMER STREQUAL "fetch")
    build_and_run(${CONSUMER})
elseif(CONSUMER STREQUAL "no_catch2")
    # A build that is to test must not end up without tests.
    run_refused("Catch2" ${CMAKE_COMMAND} -S ${BELAY_SOURCE_DIR} -B ${WORK}/belay -G ${GENERATOR}
        -DCMAKE_CXX_COMPILER=${COMPILER} -DBELAY_BUILD_TESTS=ON -DCMAKE_DISABLE_FIND_PACKAGE_Catch2=ON)
elseif(CONSUMER STREQUAL "conan")
    need_program(CONAN conan)
    # A home of its own: the user's cache and profiles stay as they are. Conan builds the test of the package
    # beside its sources: in a copy.
    set(ENV{CONAN_HOME} ${WORK}/home)
    copy_belay(${WORK}/source)
    run(${CONAN} profile detect)
    run(${CONAN} create ${WORK}/source -s compiler.cppstd=20 --no-remote)
    file(STRINGS ${BELAY_SOURCE_DIR}/include/belay/version.hpp version REGEX "^#define BELAY_VERSION_[A-Z]+ [0-9]+$")
    list(TRANSFORM version REPLACE "[^0-9]+" "")
    list(JOIN version "." version)
    # With all options, over the libraries of this machine.
    set(options)
    foreach(library IN ITEMS sqlite3/3.47.2 hiredis/1.2.0 boost/1.86.0 asio/1.28.1 openssl/3.0.0
                             nlohmann_json/3.11.3 libcurl/7.88.0 fmt/11.0.2 libpq/15.5)
        string(REPLACE "/" ";" library ${library})
        list(GET library 0 name)
        list(GET library 1 of_library)
        run(${CONAN} export ${CMAKE_CURRENT_LIST_DIR}/conan --name ${name} --version ${of_library})
    endforeach()
    foreach(component IN ITEMS asio beast curl fmt json openssl postgres redis sqlite)
        list(APPEND options -o "belay/${version}:with_${component}=True")
    endforeach()
    run(${CONAN} create ${WORK}/source -s compiler.cppstd=20 --no-remote --build missing ${options})
    run(${CONAN} install --requires belay/${version} -s compiler.cppstd=20 -s build_type=Release --no-remote
        --build missing -g CMakeDeps -g CMakeToolchain -of ${WORK}/conan ${options})
    build_and_run(components -DCMAKE_TOOLCHAIN_FILE=${WORK}/conan/conan_toolchain.cmake -DBY_CONAN=ON)
    # What does not work is rejected: another minor version, an option that does not exist, and compilers that cannot compile belay.
    run_refused("not accepted|no version" ${CMAKE_COMMAND} -S ${CMAKE_CURRENT_LIST_DIR}/install -B ${WORK}/older -G ${GENERATOR}
        -DCMAKE_BUILD_TYPE=Release -DCMAKE_TOOLCHAIN_FILE=${WORK}/conan/conan_toolchain.cmake -DWANTED=0.0)
    run_refused("option 'with_nonsense' doesn't exist" ${CONAN} create ${WORK}/source -s compiler.cppstd=20 --no-remote
        -o "&:with_nonsense=True")
    run_refused("needs GCC 12 or Clang 14" ${CONAN} create ${WORK}/source --no-remote -s compiler=gcc -s compiler.version=10
        -s compiler.cppstd=20)
    run_refused("needs GCC 12 or Clang 14" ${CONAN} create ${WORK}/source --no-remote -s os=Windows -s compiler=msvc
        -s compiler.version=193 -s compiler.runtime=dynamic -s compiler.cppstd=20)
elseif(CONSUMER STREQUAL "vcpkg_port")
    set(PORT belay)
    set(CURRENT_PORT_DIR ${BELAY_SOURCE_DIR}/packaging/vcpkg)
    set(CURRENT_PACKAGES_DIR ${WORK}/package)
    set(FEATURES core json)
    include(${CMAKE_CURRENT_LIST_DIR}/vcpkg_stub.cmake)
    include(${CURRENT_PORT_DIR}/portfile.cmake)
    # What vcpkg wants in a package of headers, and nothing else.
    file(GLOB_RECURSE found RELATIVE ${CURRENT_PACKAGES_DIR} LIST_DIRECTORIES FALSE ${CURRENT_PACKAGES_DIR}/*)
    list(FILTER found EXCLUDE REGEX "^include/belay/.*[.]hpp$")
    set(wanted share/belay/belay-components.cmake share/belay/belay-config-version.cmake share/belay/belay-config.cmake
        share/belay/belay-features.cmake share/belay/belay-targets.cmake share/belay/copyright)
    foreach(component IN ITEMS asio beast curl fmt json openssl postgres redis sqlite)
        list(APPEND wanted share/pkgconfig/belay-${component}.pc)
    endforeach()
    list(PREPEND wanted share/belay/usage)
    list(APPEND wanted share/pkgconfig/belay.pc)
    list(SORT wanted)
    if(NOT found STREQUAL wanted)
        message(FATAL_ERROR "beside headers the package has ${found}; wanted: ${wanted}")
    endif()
    build_and_run(install -DCMAKE_PREFIX_PATH=${CURRENT_PACKAGES_DIR})
    # The machine has SQLite, but the feature is not installed.
    run_refused("component \"sqlite\" of belay[ \n]+is[ \n]+a[ \n]+feature" ${CMAKE_COMMAND} -S ${CMAKE_CURRENT_LIST_DIR}/components
        -B ${WORK}/refused -G ${GENERATOR} -DCMAKE_CXX_COMPILER=${COMPILER} -DCMAKE_PREFIX_PATH=${CURRENT_PACKAGES_DIR})
elseif(CONSUMER STREQUAL "vcpkg")
    need_program(VCPKG vcpkg HINTS ENV VCPKG_ROOT)
    # A warning about the port is an error.
    run(${VCPKG} install belay --classic --overlay-ports=${BELAY_SOURCE_DIR}/packaging/vcpkg --enforce-port-checks
        --x-install-root=${WORK}/installed --x-buildtrees-root=${WORK}/trees --x-packages-root=${WORK}/packages
        --downloads-root=${WORK}/downloads --binarysource=clear)
    file(GLOB prefix ${WORK}/installed/*/share/belay)
    cmake_path(GET prefix PARENT_PATH prefix)
    cmake_path(GET prefix PARENT_PATH prefix)
    build_and_run(install -DCMAKE_PREFIX_PATH=${prefix})
else()
    message(FATAL_ERROR "no such consumer: ${CONSUMER}")
endif()
