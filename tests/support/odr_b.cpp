// SPDX-License-Identifier: MIT
// One of two translation units in different assertion modes; see tests/CMakeLists.txt.
#include <belay/belay.hpp>

int belay_odr_b() { return BELAY_ASSERTIONS; }
