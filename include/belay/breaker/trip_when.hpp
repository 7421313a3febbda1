// SPDX-License-Identifier: MIT
/// \file belay/breaker/trip_when.hpp
/// TripWhen: opens a breaker when a predicate of yours returns true.
#pragma once

#include <concepts>  // std::copyable, std::same_as

#include <belay/breaker/trip_like.hpp>
#include <belay/core/call_counts.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace detail {
template <class P>
concept CountsPredicate = std::copyable<P> && requires(const P& predicate, const CallCounts& seen) {
    { predicate(seen) } noexcept -> std::same_as<bool>;
};
}  // namespace detail

/// Trips when a predicate returns true for the calls in the window, after each verdict:
///
///     TripWhen{TimeWindow{60s}, [](const CallCounts& c) noexcept { return c.bad >= 20; }}
///
/// If counts alone are not enough, write a struct of your own as a trip; see TripLike.
///
/// Models:        TripLike. A lambda with captures cannot be assigned, so it is not copyable as a
///                trip must be: write a function object.
/// Thread safety: a plain value; the predicate runs under the lock of a CircuitBreaker.
template <class Window, class Predicate>
class TripWhen {
    static_assert(detail::CallWindow<Window>,
                  "TripWhen: the window must be a CountWindow or a TimeWindow");
    static_assert(detail::CountsPredicate<Predicate>,
                  "TripWhen: the predicate must be a copyable 'bool operator()(const "
                  "belay::CallCounts&) const noexcept'");

public:
    constexpr TripWhen(Window window, Predicate predicate) noexcept
        : window_{window}, predicate_{predicate} {}

    [[nodiscard]] constexpr bool record(bool failed) noexcept
        requires detail::CountsCalls<Window>
    {
        window_.add(failed);
        return predicate_(window_.counts());
    }
    [[nodiscard]] constexpr bool record(bool failed, Instant now) noexcept
        requires detail::CountsCallsInTime<Window>
    {
        window_.add(failed, now);
        return predicate_(window_.counts());
    }
    constexpr void reset() noexcept { window_.reset(); }
    /// Returns the calls of the window, and how many of them failed.
    [[nodiscard]] constexpr CallCounts tripped_by() const noexcept { return window_.counts(); }

private:
    Window window_;
    [[no_unique_address]] Predicate predicate_;
};

template <class Window, class Predicate>
TripWhen(Window, Predicate) -> TripWhen<Window, Predicate>;

}}  // namespace belay
