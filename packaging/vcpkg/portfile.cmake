# SPDX-License-Identifier: MIT
# An overlay port, which builds the checkout that it is part of:
#     vcpkg install belay --overlay-ports=<checkout>/packaging/vcpkg
cmake_path(SET SOURCE_PATH NORMALIZE "${CURRENT_PORT_DIR}/../..")

# Headers only: one build type is enough, and no binary has a path to correct.
set(VCPKG_BUILD_TYPE release)
set(VCPKG_FIXUP_ELF_RPATH OFF)
vcpkg_cmake_configure(SOURCE_PATH "${SOURCE_PATH}")
vcpkg_cmake_install()
vcpkg_cmake_config_fixup(CONFIG_PATH lib/cmake/belay)
vcpkg_fixup_pkgconfig()
# Libs is -pthread at most: the files are those of headers, and no build type has others.
set(VCPKG_POLICY_SKIP_PKGCONFIG_CHECK enabled)
# find_package rejects a component whose feature is not installed, and does not take a library that the system has.
set(features ${FEATURES})
list(REMOVE_ITEM features core)
file(WRITE "${CURRENT_PACKAGES_DIR}/share/belay/belay-features.cmake" "set(belay_features ${features})\n")
file(REMOVE_RECURSE "${CURRENT_PACKAGES_DIR}/lib" "${CURRENT_PACKAGES_DIR}/share/licenses")

file(INSTALL "${CURRENT_PORT_DIR}/usage" DESTINATION "${CURRENT_PACKAGES_DIR}/share/belay")
vcpkg_install_copyright(FILE_LIST "${SOURCE_PATH}/LICENSE")
