// SPDX-License-Identifier: MIT
/// \file belay/version.hpp
/// The version of belay; CMake, Conan and vcpkg copies are checked against this one by a script.
#pragma once

#define BELAY_VERSION_MAJOR 0
#define BELAY_VERSION_MINOR 1
#define BELAY_VERSION_PATCH 0
