// SPDX-License-Identifier: MIT
/// \file belay/breaker/failure_rate.hpp
/// FailureRate: opens a breaker when too many of the last calls failed.
#pragma once

#include <concepts>  // std::integral

#include <belay/breaker/trip_like.hpp>
#include <belay/core/call_counts.hpp>

namespace belay { inline namespace BELAY_ABI {

/// Trips when the percentage of failed calls in the window reaches a threshold:
///
///     FailureRate{CountWindow<100>{}, {.percent = 50, .min_calls = 20}}
///     FailureRate{TimeWindow{30s}, {.percent = 20, .min_calls = 50}}
///
/// It checks after every verdict, so the call that completes `min_calls` may trip even if it
/// succeeds.
///
/// Models:        TripLike.
/// Thread safety: a plain value.
template <class Window>
class FailureRate {
    static_assert(detail::CallWindow<Window>,
                  "FailureRate: the window must be a CountWindow or a TimeWindow");

public:
    /// Pre: that of the threshold; its min_calls fit into the window.
    constexpr explicit FailureRate(Window window, part::RateThreshold threshold = {}) noexcept
        : window_{window}, threshold_{threshold} {
        detail::check(threshold, window);
    }

    /// Does not compile, because the numbers of the threshold have names.
    template <std::integral... Numbers>
        requires(sizeof...(Numbers) >= 1)
    constexpr FailureRate(Window, Numbers...) noexcept {
        static_assert(!sizeof(Window),
                      "FailureRate: write the window, and the numbers with their names: "
                      "FailureRate{CountWindow<20>{}, {.percent = 50}}");
    }

    [[nodiscard]] constexpr bool record(bool failed) noexcept
        requires detail::CountsCalls<Window>
    {
        window_.add(failed);
        return threshold_.reached_by(window_.counts());
    }
    [[nodiscard]] constexpr bool record(bool failed, Instant now) noexcept
        requires detail::CountsCallsInTime<Window>
    {
        window_.add(failed, now);
        return threshold_.reached_by(window_.counts());
    }
    constexpr void reset() noexcept { window_.reset(); }
    /// Returns the calls of the window, and how many of them failed.
    [[nodiscard]] constexpr CallCounts tripped_by() const noexcept { return window_.counts(); }

private:
    Window window_;
    part::RateThreshold threshold_;
};

template <class Window>
FailureRate(Window) -> FailureRate<Window>;
template <class Window>
FailureRate(Window, part::RateThreshold) -> FailureRate<Window>;
template <class Window, std::integral... Numbers>
    requires(sizeof...(Numbers) >= 1)
FailureRate(Window, Numbers...) -> FailureRate<Window>;

}}  // namespace belay
