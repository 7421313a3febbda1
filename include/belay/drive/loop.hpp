// SPDX-License-Identifier: MIT
/// \file belay/drive/loop.hpp
/// Loop: runs machines on one thread, with nothing but the standard library.
#pragma once

#include <concepts>            // std::default_initializable
#include <condition_variable>  // std::condition_variable
#include <mutex>               // std::mutex
#include <utility>             // std::move

#include <belay/core/steady_clock.hpp>
#include <belay/drive/detail/basic_loop.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace detail {

/// Waits for time and for other threads.
class ThreadWaiter {
protected:
    class WakeupFd {
    public:
        void ring() noexcept {
            const std::lock_guard lock{mutex_};
            rung_ = true;
            changed_.notify_one();
        }
        void wait(Duration most) noexcept {
            std::unique_lock lock{mutex_};
            if (most > Duration::zero()) {
                changed_.wait_for(lock, most, [this] { return rung_; });
            }
            rung_ = false;
        }

    private:
        std::mutex mutex_;
        std::condition_variable changed_;
        bool rung_ = false;
    };

    explicit ThreadWaiter(WakeupFd& wakeup) noexcept : wakeup_{wakeup} {}
    ~ThreadWaiter() = default;

    // Some standard libraries convert waits to the wall clock: years would overflow there.
    void wait(Duration most) noexcept { wakeup_.wait(most < longest_wait ? most : longest_wait); }
    void finish_round() noexcept {}

private:
    static constexpr Duration longest_wait = std::chrono::hours{24};
    WakeupFd& wakeup_;
};

}  // namespace detail

/// Runs machines and posted functions on the thread that calls run().
///
/// It waits until the earliest deadline or a wake. A machine's deadline is read when it is
/// attached, after each of its turns, and after a wake or touch; at no other time.
///
/// With a clock that does not follow real time, waits last as long as that clock says at their
/// beginning: a ManualClock is moved before run_until(), or by another thread that wakes the loop.
///
/// Members: attach(machine), run(), run_until(done, limit), stop(), post(function), at(instant, f),
///          after(duration, f), now(); see
///          detail/basic_loop.hpp.
/// Thread safety: stop(), post() and what wakers do from any thread; all else on the loop's thread,
///                or any while it is not running.
template <ClockLike Clock = SteadyClock>
class Loop final : public detail::BasicLoop<Clock, detail::ThreadWaiter> {
    using Base = detail::BasicLoop<Clock, detail::ThreadWaiter>;

public:
    Loop()
        requires std::default_initializable<Clock>
        : Base{Clock{}} {}
    explicit Loop(Clock clock) : Base{std::move(clock)} {}
};

}}  // namespace belay
