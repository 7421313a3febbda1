// SPDX-License-Identifier: MIT
/// \file belay/policy/deadline.hpp
/// Deadline: no attempt starts after an instant.
#pragma once

#include <chrono>       // std::chrono::duration
#include <concepts>     // std::convertible_to
#include <string_view>  // std::string_view

#include <belay/policy/rule.hpp>

namespace belay { inline namespace BELAY_ABI {

/// Stops when an attempt would start after `last`.
///
/// It reviews the wait that all rules together have planned. So a call that cannot start in time
/// fails now, and not when the wait is over. Write it after rules that lengthen a plan. To limit
/// the time from the first attempt on, use MaxElapsed. An attempt that has begun may end later, and
/// its Attempt::deadline does not change. For a call that must end by an instant, use the layer
/// `Timeout::until(instant)` around a Retrying.
///
/// Models:        RuleLike, std::regular except for default construction.
/// Thread safety: distinct objects safe; a shared one safe (it never changes).
class Deadline {
public:
    static constexpr std::string_view name = "Deadline";

    /// Sets the last instant at which an attempt may start; `never` means no limit.
    constexpr explicit Deadline(Instant last) noexcept : last_{last} {}
    /// Does not compile, because a length of time is no instant.
    template <class Rep, class Period>
    constexpr explicit Deadline(std::chrono::duration<Rep, Period>) noexcept : last_{} {
        static_assert(
            !sizeof(Rep),
            "Deadline: pass an Instant, of a steady clock: after(now, 30s); for a length of time "
            "use MaxElapsed{30s}");
    }
    /// Does not compile, because an operator may set such a clock while the call runs.
    template <class Clock, class Length>
        requires(!std::convertible_to<std::chrono::time_point<Clock, Length>, Instant>)
    constexpr explicit Deadline(std::chrono::time_point<Clock, Length>) noexcept : last_{} {
        static_assert(
            !sizeof(Clock),
            "Deadline: pass an Instant, of a steady clock: after(now, 30s); for a length of time "
            "use MaxElapsed{30s}");
    }

    [[nodiscard]] constexpr Advice admit(Instant now) const noexcept {
        return now > last_ ? Advice::stop() : Advice::go();
    }
    [[nodiscard]] constexpr Advice review(const Advice& planned, Turn& turn) const noexcept {
        const bool waits = planned.verb != Advice::Verb::go && planned.until > turn.now;
        return admit(waits ? planned.until : turn.now);
    }

    [[nodiscard]] constexpr bool stops_after(Instant end) const noexcept { return end > last_; }

    friend constexpr bool operator==(Deadline, Deadline) noexcept = default;

private:
    Instant last_;
};

}}  // namespace belay
