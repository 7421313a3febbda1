// SPDX-License-Identifier: MIT
/// \file tests/support/queue/round.hpp
/// round: a loop goes round once.
#pragma once

#include "support/catch.hpp"

namespace belay_test {

/// One round that does not wait.
template <class L>
void round(L& loop) {
    REQUIRE(loop.run_until([] { return true; }));
}

}  // namespace belay_test
