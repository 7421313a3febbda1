// SPDX-License-Identifier: MIT
/// \file belay/drive/loop.hpp
/// Loop: runs machines on one thread, with nothing but the standard library.
#pragma once

#include <concepts>            // std::default_initializable
#include <condition_variable>  // std::condition_variable
#include <mutex>               // std::mutex
#include <utility>             // std::move

#include <belay/core/clocks.hpp>
#include <belay/drive/detail/basic_loop.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace detail {

/// Waits for a time, or until another thread wakes it.
class ThreadWaiter {
protected:
    class WakeupFd {
    public:
        void signal() noexcept {
            const std::lock_guard lock{mutex_};
            signalled_ = true;
            changed_.notify_one();
        }
        void wait(Duration most) noexcept {
            std::unique_lock lock{mutex_};
            if (most > Duration::zero()) {
                changed_.wait_for(lock, most, [this] { return signalled_; });
            }
            signalled_ = false;
        }

    private:
        std::mutex mutex_;
        std::condition_variable changed_;
        bool signalled_ = false;
    };

    explicit ThreadWaiter(WakeupFd& wakeup) noexcept : wakeup_{wakeup} {}
    ~ThreadWaiter() = default;

    // Some standard libraries convert waits to the wall clock, where a wait of years would
    // overflow.
    void wait(Duration most) noexcept { wakeup_.wait(most < longest_wait ? most : longest_wait); }
    void finish_round() noexcept {}

private:
    static constexpr Duration longest_wait = std::chrono::hours{24};
    WakeupFd& wakeup_;
};

}  // namespace detail

/// Runs machines and posted functions on the thread that calls run().
///
/// It waits until the earliest deadline or a wake. It reads a machine's deadline only when the
/// machine is attached, after each of its turns, and after a wake or touch.
///
/// If the clock does not follow real time, a wait lasts as long as the clock indicates at its
/// beginning. Move a ManualClock before run_until(), or from another thread that then wakes the
/// loop.
///
/// Members: attach(machine), run(), run_until(done, limit), stop(), post(function), at(instant, f),
/// after(duration, f), now(); see detail/basic_loop.hpp.
/// Thread safety: stop(), post() and the functions of wakers from any thread. All else on the
/// loop's thread, or on any thread while the loop is not running.
template <class Clock = SteadyClock>
class Loop final : public detail::BasicLoop<Clock, detail::ThreadWaiter> {
    using Base = detail::BasicLoop<Clock, detail::ThreadWaiter>;

public:
    Loop()
        requires std::default_initializable<Clock>
        : Base{Clock{}} {}
    explicit Loop(Clock clock) : Base{std::move(clock)} {}
};

}}  // namespace belay
