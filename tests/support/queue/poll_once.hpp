// SPDX-License-Identifier: MIT
/// \file tests/support/queue/poll_once.hpp
/// poll_once: runs the work of a loop that is due, without waiting.
#pragma once

#include "support/catch.hpp"

namespace belay_test {

/// Runs the work of `loop` that is due.
template <class L>
void poll_once(L& loop) {
    REQUIRE(loop.run_until([] { return true; }));
}

}  // namespace belay_test
