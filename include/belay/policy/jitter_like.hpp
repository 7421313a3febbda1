// SPDX-License-Identifier: MIT
/// \file belay/policy/jitter_like.hpp
/// JitterLike: how retries are spread in time.
#pragma once

#include <concepts>  // std::copyable, std::same_as

#include <belay/core/instant.hpp>
#include <belay/core/random.hpp>

namespace belay::inline BELAY_ABI {

namespace detail {
template <class J>
concept HasDelay =
    requires(J& jitter, Duration ceiling, Random& bits) { jitter.delay(ceiling, bits); };
template <class J>
concept DelayIsDuration = requires(J& jitter, Duration ceiling, Random& bits) {
    { jitter.delay(ceiling, bits) } -> std::same_as<Duration>;
};
template <class J>
concept DelayIsNoexcept = requires(J& jitter, Duration ceiling, Random& bits) {
    { jitter.delay(ceiling, bits) } noexcept;
};
template <class J>
concept HasPeak =
    requires { &J::peak; } || requires(J& jitter, Duration nominal) { jitter.peak(nominal); };
template <class J>
concept PeakIsSound = !HasPeak<J> || requires(const J& jitter, Duration nominal) {
    { jitter.peak(nominal) } noexcept -> std::same_as<Duration>;
};
template <class J>
concept ForgetsSoundly = !requires(J& jitter) { jitter.reset(); } || requires(J& jitter) {
    { jitter.reset() } noexcept;
};
}  // namespace detail

/// Spreads retries in time.
///
/// - `delay(Duration ceiling, Random& bits) -> Duration`: the wait; may change the jitter's state.
/// - optional `peak(Duration nominal) const -> Duration`: the ceiling of a nominal wait, if it is
///   another (a jitter of +-20 % reaches 120 %). The cap is applied to the peak, so that a hard cap
///   holds without any draws piled up on it.
/// - optional `reset()`: forgets state.
///
/// All noexcept. Semantics the compiler cannot check: 0ns <= delay(c, bits) <= c for every c >=
/// 0ns; peak never falls while its argument rises.
template <class J>
concept JitterLike =
    std::copyable<J> && detail::HasDelay<J> && detail::DelayIsDuration<J> &&
    detail::DelayIsNoexcept<J> && detail::PeakIsSound<J> && detail::ForgetsSoundly<J>;

/// Names every requirement of JitterLike that J lacks.
template <class J>
consteval bool explain_jitter_like() {
    static_assert(std::copyable<J>, "JitterLike: J must be copyable");
    static_assert(detail::HasDelay<J>,
                  "JitterLike: J needs 'Duration delay(Duration, Random&)', see docs/policy.md");
    if constexpr (detail::HasDelay<J>) {
        static_assert(detail::DelayIsDuration<J>,
                      "JitterLike: J::delay must return belay::Duration");
        static_assert(detail::DelayIsNoexcept<J>, "JitterLike: J::delay must be noexcept");
    }
    static_assert(detail::PeakIsSound<J>,
                  "JitterLike: J::peak must be 'Duration peak(Duration) const noexcept'");
    static_assert(detail::ForgetsSoundly<J>, "JitterLike: J::reset must be noexcept");
    return JitterLike<J>;
}

}  // namespace belay::inline BELAY_ABI
