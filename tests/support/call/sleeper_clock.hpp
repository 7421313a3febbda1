// SPDX-License-Identifier: MIT
/// \file tests/support/call/sleeper_clock.hpp
/// SleeperClock: the clock of an AsyncSleeper, for breakers and limits.
#pragma once

#include "support/call/async_sleeper.hpp"

namespace belay_test {

struct SleeperClock {
    const AsyncSleeper* sleeper;
    [[nodiscard]] belay::Instant now() const noexcept { return sleeper->now(); }
};

}  // namespace belay_test
