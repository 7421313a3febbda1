// SPDX-License-Identifier: MIT
/// \file belay/version.hpp
/// Defines the version of belay. A script checks the copies in CMake, Conan and vcpkg against this
/// one.
#pragma once

#define BELAY_VERSION_MAJOR 0
#define BELAY_VERSION_MINOR 1
#define BELAY_VERSION_PATCH 0
