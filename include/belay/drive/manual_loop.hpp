// SPDX-License-Identifier: MIT
/// \file belay/drive/manual_loop.hpp
/// ManualLoop: runs machines whenever a program of its own rhythm asks it to.
#pragma once

#include <concepts>  // std::default_initializable
#include <utility>   // std::move

#include <belay/core/driver_like.hpp>
#include <belay/core/steady_clock.hpp>
#include <belay/drive/detail/basic_loop.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace detail {

/// Never waits: whoever polls does that.
class PollWaiter {
protected:
    struct WakeupFd {
        void ring() noexcept {}
    };
    explicit PollWaiter(WakeupFd&) noexcept {}
    ~PollWaiter() = default;

    void wait(Duration) noexcept {}
    void finish_round() noexcept {}
};

}  // namespace detail

/// A driver for programs that have a rhythm of their own, a game's frames or a screen's: poll()
/// runs what is due and returns at once.
///
///     ManualLoop loop;
///     loop.attach(link);
///     while (playing) { draw(); loop.poll(); }
///
/// Who sleeps between polls sleeps until the instant that poll() returned. What other threads wake
/// or post meanwhile has its turn at the next poll: a program that sleeps long, and has such
/// threads, takes a Loop, or an OnEventLoop, which are woken.
///
/// Members: attach(machine), poll(), post(function), at(instant, f), after(duration, f), now(); but
///          for poll() as those of Loop.
/// Models:        DriverLike.
/// Thread safety: post() and what wakers do from any thread; all else on the thread that polls.
template <ClockLike Clock = SteadyClock>
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
    ///          already, `never` if nothing does.
    /// Pre: not called from inside a poll.   Throws: what machines and posted functions throw; the
    ///      next poll goes on with the rest.   Complexity: O(log n) for each that is due.
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
