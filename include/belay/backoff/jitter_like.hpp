// SPDX-License-Identifier: MIT
/// \file belay/backoff/jitter_like.hpp
/// JitterLike: spreads retries in time.
#pragma once

#include <concepts>     // std::copyable, std::same_as
#include <cstdint>      // std::uint64_t
#include <type_traits>  // std::bool_constant

#include <belay/backoff/backoff_errc.hpp>
#include <belay/backoff/wait_range.hpp>
#include <belay/core/detail/member_names.hpp>
#include <belay/core/instant.hpp>
#include <belay/core/random.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace part {

/// One wait before the jitter is applied.   0ns <= wait <= most.
struct NominalWait {
    /// The wait that the growth returned, at most the cap.
    Duration wait;
    /// The longest wait that a hard cap allows; `forever` without one.
    Duration most;
    /// The number of waits before this one; 0 for the first.
    std::uint64_t failures;
};

}  // namespace part

namespace detail {
BELAY_DETAIL_MEMBER(delay);
BELAY_DETAIL_MEMBER(check);
BELAY_DETAIL_MEMBER(grows);

template <class J>
concept HasRange =
    requires(const J& jitter, const part::NominalWait& nominal) { jitter.range(nominal); };
template <class J>
concept RangeIsWaitRange = requires(const J& jitter, const part::NominalWait& nominal) {
    { jitter.range(nominal) } -> std::same_as<part::WaitRange>;
};
template <class J>
concept RangeIsNoexcept = requires(const J& jitter, const part::NominalWait& nominal) {
    { jitter.range(nominal) } noexcept;
};

// For each optional member: whether J has it in any form that can be detected, and whether its form
// is right. A member in another form would be ignored silently.
template <class J>
concept HasDelay = has_delay<J>() || requires(J& jitter, part::WaitRange range, std::uint64_t n,
                                              Random& bits) { jitter.delay(range, n, bits); };
template <class J>
concept DelayIsSound =
    !HasDelay<J> || requires(J& jitter, part::WaitRange range, std::uint64_t n, Random& bits) {
        { jitter.delay(range, n, bits) } noexcept -> std::same_as<Duration>;
    };
template <class J>
concept Forgets = has_reset<J>() || requires(J& jitter) { jitter.reset(); };
template <class J>
concept ForgetsSoundly = !Forgets<J> || requires(J& jitter) {
    { jitter.reset() } noexcept;
};
template <class T>
concept HasCheck = has_check<T>() || requires(const T& part) { part.check(); };
template <class T>
concept ChecksSoundly = !HasCheck<T> || requires(const T& part) {
    { part.check() } noexcept -> std::same_as<BackoffErrc>;
};
/// Whether the waits grow by the state of the jitter, and not by a growth of the backoff.
template <class J>
concept GrowsByItself = requires { requires J::grows; };
template <class J>
concept GrowsIsFlag = !has_grows<J>() || requires {
    typename std::bool_constant<J::grows>;
    requires std::same_as<decltype(J::grows), const bool>;
};
}  // namespace detail

/// Spreads retries in time.
///
/// - `range(const part::NominalWait&) const -> part::WaitRange`: returns the range of waits from
///   which to choose.
/// - optional `delay(WaitRange, std::uint64_t failures, Random&) -> Duration`: chooses the wait,
///   and may change the jitter's state. Without it, every wait of the range is equally likely.
/// - optional `reset()`: forgets the state.
/// - optional `check() const -> BackoffErrc`: returns what is wrong with the parameters, or
///   BackoffErrc{} if nothing is.
/// - optional `static constexpr bool grows = true`: the jitter itself makes the waits longer. Such
///   a jitter has a base instead of a growth, and only a hard cap limits it.
///
/// All of them are noexcept. Semantics the compiler cannot check:
/// - 0ns <= range.least <= range.most <= nominal.most.
/// - The range depends on its argument only, and not on earlier draws.
/// - The result of delay is in the range that it receives, which a floor may have made smaller.
template <class J>
concept JitterLike =
    std::copyable<J> && detail::HasRange<J> && detail::RangeIsWaitRange<J> &&
    detail::RangeIsNoexcept<J> && detail::DelayIsSound<J> && detail::ForgetsSoundly<J> &&
    detail::ChecksSoundly<J> && detail::GrowsIsFlag<J>;

namespace explain {

/// Names every requirement of JitterLike that J lacks.
template <class J>
consteval bool jitter_like() {
    static_assert(std::copyable<J>, "JitterLike: J must be copyable");
    static_assert(detail::HasRange<J>,
                  "JitterLike: J needs 'part::WaitRange range(const part::NominalWait&) const', "
                  "see docs/backoff.md");
    if constexpr (detail::HasRange<J>) {
        static_assert(detail::RangeIsWaitRange<J>,
                      "JitterLike: J::range must return belay::part::WaitRange");
        static_assert(detail::RangeIsNoexcept<J>, "JitterLike: J::range must be noexcept");
    }
    static_assert(detail::DelayIsSound<J>,
                  "JitterLike: J::delay must be "
                  "'Duration delay(part::WaitRange, std::uint64_t, Random&) noexcept'");
    static_assert(detail::ForgetsSoundly<J>,
                  "JitterLike: J::reset must be 'void reset() noexcept'");
    static_assert(detail::ChecksSoundly<J>,
                  "JitterLike: J::check must be 'BackoffErrc check() const noexcept'");
    static_assert(detail::GrowsIsFlag<J>,
                  "JitterLike: J::grows must be 'static constexpr bool grows = true'");
    return JitterLike<J>;
}

}  // namespace explain

}}  // namespace belay
