// SPDX-License-Identifier: MIT
/// \file belay/backoff/cap_like.hpp
/// CapLike: limits how long a wait may become.
#pragma once

#include <concepts>     // std::copyable, std::same_as
#include <type_traits>  // std::bool_constant

#include <belay/core/detail/member_names.hpp>
#include <belay/core/instant.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace detail {
BELAY_DETAIL_MEMBER(least);
BELAY_DETAIL_MEMBER(before_jitter);

template <class C>
concept HasLimit = requires(const C& cap, Duration wait) { cap.limit(wait); };
template <class C>
concept LimitIsDuration = requires(const C& cap, Duration wait) {
    { cap.limit(wait) } -> std::same_as<Duration>;
};
template <class C>
concept LimitIsNoexcept = requires(const C& cap, Duration wait) {
    { cap.limit(wait) } noexcept;
};
template <class C>
concept HasLeast = has_least<C>() || requires(const C& cap) { cap.least(); };
template <class C>
concept LeastIsSound = !HasLeast<C> || requires(const C& cap) {
    { cap.least() } noexcept -> std::same_as<Duration>;
};
template <class C>
concept CapsBeforeJitter = requires { requires C::before_jitter; };
template <class C>
concept BeforeJitterIsFlag = !has_before_jitter<C>() || requires {
    typename std::bool_constant<C::before_jitter>;
    requires std::same_as<decltype(C::before_jitter), const bool>;
};
}  // namespace detail

/// Limits how long a wait may become.
///
/// - `limit(Duration) const -> Duration`: returns the nominal wait after the limit. No wait,
///   including jitter, is longer than `limit(forever)`.
/// - optional `static constexpr bool before_jitter = true`: the cap is not hard; the jitter may
///   exceed it.
/// - optional `least() const -> Duration`: returns the floor; no wait is shorter.
///
/// All of them are noexcept. Semantics the compiler cannot check: for every d >= 0ns,
/// 0ns <= limit(d) <= d, and limit(d) never falls while d rises.
template <class C>
concept CapLike =
    std::copyable<C> && detail::HasLimit<C> && detail::LimitIsDuration<C> &&
    detail::LimitIsNoexcept<C> && detail::LeastIsSound<C> && detail::BeforeJitterIsFlag<C>;

namespace explain {

/// Names every requirement of CapLike that C lacks.
template <class C>
consteval bool cap_like() {
    static_assert(std::copyable<C>, "CapLike: C must be copyable");
    static_assert(detail::HasLimit<C>,
                  "CapLike: C needs 'Duration limit(Duration) const', see docs/backoff.md");
    if constexpr (detail::HasLimit<C>) {
        static_assert(detail::LimitIsDuration<C>, "CapLike: C::limit must return belay::Duration");
        static_assert(detail::LimitIsNoexcept<C>, "CapLike: C::limit must be noexcept");
    }
    static_assert(detail::LeastIsSound<C>,
                  "CapLike: C::least must be 'Duration least() const noexcept'");
    static_assert(detail::BeforeJitterIsFlag<C>,
                  "CapLike: C::before_jitter must be 'static constexpr bool before_jitter = true'");
    return CapLike<C>;
}

}  // namespace explain

}}  // namespace belay
