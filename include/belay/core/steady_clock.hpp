// SPDX-License-Identifier: MIT
/// \file belay/core/steady_clock.hpp
/// SteadyClock and SystemClock: the machine's own clocks.
#pragma once

#include <belay/core/clock_like.hpp>

namespace belay { inline namespace BELAY_ABI {

/// The machine's steady clock.   Models: ClockLike.   Thread safety: any thread.
struct SteadyClock {
    [[nodiscard]] Instant now() const noexcept {
        return std::chrono::time_point_cast<Duration>(std::chrono::steady_clock::now());
    }
};

/// The machine's wall clock.   Models: WallClockLike.   Thread safety: any thread.
struct SystemClock {
    [[nodiscard]] WallTime now() const noexcept {
        return std::chrono::time_point_cast<Duration>(std::chrono::system_clock::now());
    }
};

}}  // namespace belay
