// SPDX-License-Identifier: MIT
/// \file belay/call/async_sleeper_like.hpp
/// AsyncSleeperLike: what a coroutine needs in order to wait.
#pragma once

#include <belay/call/outcome.hpp>
#include <belay/core/sleeper_like.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace detail {

template <class S>
concept HasAsyncSleep = requires(S& sleeper, Instant until, const StopTokenArchetype& stop) {
    sleeper.async_sleep_until(until, stop);
};
template <class S>
concept AsyncSleepIsAwaitable =
    requires(S& sleeper, Instant until, const StopTokenArchetype& stop) {
        { sleeper.async_sleep_until(until, stop) } -> Awaitable;
    };

}  // namespace detail

/// Gives time and randomness to coroutines, and lets them wait.
///
/// - `now() const -> Instant` and `bits() -> Random&`, as in a SleeperLike.
/// - `async_sleep_until(Instant, const Stop&)`, for every StopTokenLike Stop: returns an awaitable
///   that resumes at the instant, or in a later turn of the program after a stop is requested. The
///   result of `co_await` is not used.
///
/// Semantics the compiler cannot check: destroying the awaitable, and the coroutine that waits in
/// it, ends the wait. The token is a copy that lives as long as the wait. A type may be a
/// SleeperLike, too.
template <class S>
concept AsyncSleeperLike = ClockLike<S> && detail::HasBits<S> && detail::HasAsyncSleep<S> &&
                           detail::AsyncSleepIsAwaitable<S>;

namespace explain {

/// Names every requirement of AsyncSleeperLike that S lacks.
template <class S>
consteval bool async_sleeper_like() {
    static_assert(ClockLike<S>, "AsyncSleeperLike: S needs 'Instant now() const noexcept'");
    static_assert(detail::HasBits<S>, "AsyncSleeperLike: S needs 'Random& bits() noexcept'");
    static_assert(detail::HasAsyncSleep<S>,
                  "AsyncSleeperLike: S needs 'async_sleep_until(Instant, const auto& stop)', "
                  "see docs/reference/retry.md");
    if constexpr (detail::HasAsyncSleep<S>) {
        static_assert(detail::AsyncSleepIsAwaitable<S>,
                      "AsyncSleeperLike: S::async_sleep_until must return an awaitable");
    }
    return AsyncSleeperLike<S>;
}

}  // namespace explain

}}  // namespace belay
