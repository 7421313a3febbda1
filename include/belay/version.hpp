// SPDX-License-Identifier: MIT
/// \file belay/version.hpp
/// Defines the version of belay. A script checks the copies in CMake, Conan and vcpkg against this
/// one.
#pragma once

#if __cplusplus < 202002L
#    error "belay needs C++20: compile with -std=c++20, or set CMAKE_CXX_STANDARD to 20"
#endif

#define BELAY_VERSION_MAJOR 0
#define BELAY_VERSION_MINOR 1
#define BELAY_VERSION_PATCH 0
