// SPDX-License-Identifier: MIT
/// \file belay/breaker/slow_call_rate.hpp
/// SlowCallRate: opens a breaker when too many of the last calls took too long.
#pragma once

#include <belay/breaker/failure_rate.hpp>
#include <belay/breaker/trip_like.hpp>
#include <belay/core/call_counts.hpp>
#include <belay/core/detail/any_unit.hpp>

namespace belay { inline namespace BELAY_ABI {

/// Trips when the percentage of slow calls in the window reaches a threshold:
///
///     SlowCallRate{2s, TimeWindow{60s}, {.percent = 80, .min_calls = 20}}
///
/// A call is slow if it took `slow_after` or longer, whether it succeeded or not. A slow probe
/// counts as failed. It costs one clock read per call. Combine it with a trip for failures in an
/// AnyTrip.
///
/// Models:        TripLike.
/// Thread safety: a plain value.
template <class Window>
class SlowCallRate {
    static_assert(detail::CallWindow<Window>,
                  "SlowCallRate: the window must be a CountWindow or a TimeWindow");

public:
    /// Pre: slow_after > 0ns; that of the threshold; its min_calls fit into the window.
    constexpr SlowCallRate(detail::AnyUnit slow_after, Window window,
                           part::RateThreshold threshold = {}) noexcept
        : slow_after_{slow_after}, rate_{window, threshold} {
        BELAY_OPTION(slow_after_.count() > 0, "SlowCallRate: slow_after must be > 0ns");
    }

    [[nodiscard]] constexpr bool record(bool, Instant now, Duration took) noexcept {
        return detail::record(rate_, too_slow(took), now, took);
    }
    constexpr void reset() noexcept { rate_.reset(); }
    /// Returns the calls of the window, and how many of them were slow.
    [[nodiscard]] constexpr CallCounts tripped_by() const noexcept { return rate_.tripped_by(); }
    [[nodiscard]] constexpr bool too_slow(Duration took) const noexcept {
        return took >= slow_after_;
    }

private:
    Duration slow_after_;
    FailureRate<Window> rate_;  // in this rate, "failed" means slow
};

template <class Window>
SlowCallRate(detail::AnyUnit, Window) -> SlowCallRate<Window>;
template <class Window>
SlowCallRate(detail::AnyUnit, Window, part::RateThreshold) -> SlowCallRate<Window>;

}}  // namespace belay
