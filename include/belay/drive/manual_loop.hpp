// SPDX-License-Identifier: MIT
/// \file belay/drive/manual_loop.hpp
/// ManualLoop: runs machines each time that the program calls poll().
#pragma once

#include <concepts>  // std::default_initializable
#include <utility>   // std::move

#include <belay/core/clocks.hpp>
#include <belay/core/machine_like.hpp>
#include <belay/drive/detail/basic_loop.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace detail {

/// Never waits: the program that polls does that.
class PollWaiter {
protected:
    struct WakeupFd {
        void signal() noexcept {}
    };
    explicit PollWaiter(WakeupFd&) noexcept {}
    ~PollWaiter() = default;

    void wait(Duration) noexcept {}
    void finish_round() noexcept {}
};

}  // namespace detail

/// A driver for programs with their own rhythm, such as the frames of a game or of a screen.
///
/// poll() runs what is due and returns at once.
///
///     ManualLoop loop;
///     loop.attach(link);
///     while (playing) { draw(); loop.poll(); }
///
/// If your program sleeps between polls, let it sleep until the instant that poll() returned. Wakes
/// and posts of other threads have their turn at the next poll. If your program sleeps long and has
/// such threads, use a Loop or an OnEventLoop, which these threads wake.
///
/// Members: attach(machine), poll(), post(function), at(instant, f), after(duration, f), now();
/// except for poll(), they are as those of Loop.
/// Models:        DriverLike.
/// Thread safety: post() and the functions of wakers from any thread; all else on the thread that
/// polls.
template <class Clock = SteadyClock>
class ManualLoop final : private detail::BasicLoop<Clock, detail::PollWaiter> {
    using Base = detail::BasicLoop<Clock, detail::PollWaiter>;

public:
    ManualLoop()
        requires std::default_initializable<Clock>
        : Base{Clock{}} {}
    explicit ManualLoop(Clock clock) : Base{std::move(clock)} {}

    /// Runs posted functions, and every machine that is due, once.
    ///
    /// Returns: when to poll again at the latest, by the loop's clock: `always` if something waits
    /// already, `never` if nothing waits.
    /// Pre: not called from inside a poll.
    /// Throws: what machines and posted functions throw; the next poll continues with the rest.
    /// Complexity: O(log n) for each that is due.
    Instant poll() {
        static_cast<void>(Base::run_until([] { return true; }));
        return Base::next_round();
    }

    using Base::after;
    using Base::at;
    using Base::attach;
    using Base::now;
    using Base::post;
    using Base::posted_max;
    using Base::posted_per_round_max;
};

}}  // namespace belay
