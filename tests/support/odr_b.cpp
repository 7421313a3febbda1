// SPDX-License-Identifier: MIT
// One of two translation units in different assertion modes; see tests/CMakeLists.txt.
#include <belay/belay.hpp>
#include <belay/call/policies.hpp>
#include <belay/call_coroutines.hpp>
#include <belay/drive.hpp>
#include <belay/session.hpp>
#include <belay/work.hpp>

int belay_odr_b() { return BELAY_ASSERTIONS; }
