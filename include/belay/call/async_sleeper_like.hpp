// SPDX-License-Identifier: MIT
/// \file belay/call/async_sleeper_like.hpp
/// AsyncSleeperLike: what the waits of coroutines are made of.
#pragma once

#include <belay/call/detail/awaitable.hpp>
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

/// Brings time and chance to coroutines, and lets them wait.
///
/// - `now() const -> Instant` and `bits() -> Random&`, as of a SleeperLike;
/// - `async_sleep_until(Instant, const Stop&)`, for every StopTokenLike Stop: an awaitable that
///   goes on when it is the instant, or a stop was requested. What `co_await` gives is not used.
///
/// Semantics the compiler cannot check: destroying the awaitable, and the coroutine that waits in
/// it, ends the wait. The token is a copy that lives as long as the wait. A type may be a
/// SleeperLike too.
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
                  "see docs/call.md");
    if constexpr (detail::HasAsyncSleep<S>) {
        static_assert(detail::AsyncSleepIsAwaitable<S>,
                      "AsyncSleeperLike: S::async_sleep_until must return an awaitable");
    }
    return AsyncSleeperLike<S>;
}

}  // namespace explain

}}  // namespace belay
