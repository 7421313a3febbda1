// SPDX-License-Identifier: MIT
/// \file belay/core/clock_like.hpp
/// ClockLike: the source of time for calls that do not receive the time.
#pragma once

#include <concepts>  // std::convertible_to

#include <belay/core/instant.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace detail {
template <class C>
concept HasNow = requires(const C& clock) { clock.now(); };
template <class C>
concept NowIsInstant = requires(const C& clock) {
    { clock.now() } -> std::convertible_to<Instant>;
};
template <class C>
concept NowIsNoexcept = requires(const C& clock) {
    { clock.now() } noexcept;
};
}  // namespace detail

/// A steady clock, whose `now() const noexcept` returns an Instant.
///
/// Semantics the compiler cannot check: it does not follow the wall clock. A clock that stands
/// still, goes back or jumps does no harm, but waits are as wrong as the clock.
template <class C>
concept ClockLike = detail::HasNow<C> && detail::NowIsInstant<C> && detail::NowIsNoexcept<C>;

namespace explain {

/// Names every requirement of ClockLike that C lacks.
template <class C>
consteval bool clock_like() {
    static_assert(detail::HasNow<C>,
                  "ClockLike: C needs 'now() const', see docs/reference/core.md");
    if constexpr (detail::HasNow<C>) {
        static_assert(detail::NowIsInstant<C>, "ClockLike: C::now must return belay::Instant");
        static_assert(detail::NowIsNoexcept<C>, "ClockLike: C::now must be noexcept");
    }
    return ClockLike<C>;
}

}  // namespace explain

}}  // namespace belay
