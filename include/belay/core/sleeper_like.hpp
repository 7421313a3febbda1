// SPDX-License-Identifier: MIT
/// \file belay/core/sleeper_like.hpp
/// SleeperLike: what a blocking call needs in order to wait.
#pragma once

#include <concepts>     // std::same_as
#include <type_traits>  // std::remove_reference_t

#include <belay/core/clocks.hpp>
#include <belay/core/random.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace detail {

// A type that is meant to be a sleeper, whether it is one or not.
template <class S>
concept SleeperShaped = requires(std::remove_reference_t<S>& sleeper) {
    sleeper.now();
    sleeper.bits();
};

// A token with exactly the members that StopTokenLike requires.
struct StopTokenArchetype {
    [[nodiscard]] bool stop_requested() const noexcept;
};

template <class S>
concept HasBits = requires(S& sleeper) {
    { sleeper.bits() } noexcept -> std::same_as<Random&>;
};
template <class S>
concept HasSleepUntil = requires(S& sleeper, Instant until, const StopTokenArchetype& stop) {
    sleeper.sleep_until(until, stop);
};
template <class S>
concept SleepIsNoexcept = requires(S& sleeper, Instant until, const StopTokenArchetype& stop) {
    { sleeper.sleep_until(until, stop) } noexcept;
};

}  // namespace detail

/// Gives time and randomness to blocking calls, and waits for them.
///
/// - `now() const -> Instant`, as in a ClockLike;
/// - `bits() -> Random&`: returns the caller's random source;
/// - `sleep_until(Instant, const Stop&)` for every StopTokenLike: returns at the instant, or when a
///   stop is requested.
///
/// All of them are noexcept. One sleeper serves one thread at a time, unless it states otherwise.
template <class S>
concept SleeperLike =
    ClockLike<S> && detail::HasBits<S> && detail::HasSleepUntil<S> && detail::SleepIsNoexcept<S>;

namespace explain {

/// Names every requirement of SleeperLike that S lacks.
template <class S>
consteval bool sleeper_like() {
    static_assert(ClockLike<S>, "SleeperLike: S needs 'Instant now() const noexcept'");
    static_assert(detail::HasBits<S>, "SleeperLike: S needs 'Random& bits() noexcept'");
    static_assert(detail::HasSleepUntil<S>,
                  "SleeperLike: S needs 'sleep_until(Instant, const auto& stop)', "
                  "see docs/reference/core.md");
    if constexpr (detail::HasSleepUntil<S>) {
        static_assert(detail::SleepIsNoexcept<S>, "SleeperLike: S::sleep_until must be noexcept");
    }
    return SleeperLike<S>;
}

}  // namespace explain

}}  // namespace belay
