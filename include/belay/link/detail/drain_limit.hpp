// SPDX-License-Identifier: MIT
/// \file belay/link/detail/drain_limit.hpp
/// DrainLimit: whether a drain() runs, and when it is over.
#pragma once

#include <utility>  // std::exchange

#include <belay/core/instant.hpp>
#include <belay/core/order.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Records the calls of drain() until the drain ends. The earliest end of several calls counts.
///
/// Models:        std::copyable.
/// Thread safety: distinct objects safe.   Complexity: O(1) each, without allocation.
class DrainLimit {
public:
    /// A drain() is called. A time below 0ns counts as 0ns. If `now` is `always`, there is no time
    /// yet, because there was no driver and no turn: `within` then begins in the next turn.
    constexpr void begin(Instant now, Duration within) noexcept {
        const Duration rest = larger(within, Duration::zero());
        runs_ = true;
        if (now == always) {
            rest_ = smaller(rest_, rest);
        } else {
            ends_ = smaller(ends_, after(now, rest));
        }
    }
    /// A turn begins.
    constexpr void on_turn(Instant now) noexcept {
        if (rest_ != forever) ends_ = smaller(ends_, after(now, std::exchange(rest_, forever)));
    }
    constexpr void end() noexcept { *this = DrainLimit{}; }

    [[nodiscard]] constexpr bool runs() const noexcept { return runs_; }
    /// Returns the deadline: `never` if no drain runs, or if it has no limit.
    [[nodiscard]] constexpr Instant ends() const noexcept { return ends_; }

private:
    bool runs_ = false;
    Duration rest_ = forever;  // of a drain() before there was a time
    Instant ends_ = never;
};

}}}  // namespace belay::detail
