// SPDX-License-Identifier: MIT
/// \file belay/posix/loop.hpp
/// posix::Loop: runs machines on one thread, and waits for file descriptors meanwhile.
/// posix::BootClock: a steady clock that keeps running while the machine sleeps.
#pragma once

#include <concepts>     // std::default_initializable
#include <type_traits>  // std::conditional_t, std::is_same_v
#include <utility>      // std::move

#include <time.h>
#if defined(__linux__)
#    include <sys/timerfd.h>
#endif

#include <belay/core/clocks.hpp>
#include <belay/drive/detail/basic_loop.hpp>
#include <belay/posix/detail/descriptor.hpp>
#include <belay/posix/poller.hpp>

namespace belay { inline namespace BELAY_ABI { namespace posix {

/// A steady clock that counts the time since the machine was started, sleep included.
///
/// SteadyClock does not count sleep: after a night with a closed lid, a laptop still considers a
/// connection alive, and waits on.
///
/// With `posix::Loop loop{posix::BootClock{}}`, the loop finds at the moment of waking that
/// deadlines have passed. On Linux this includes the deadlines for which it waited while the
/// machine slept. Instants of this clock are not those of std::chrono::steady_clock: do not mix
/// them.
///
/// On a system without CLOCK_BOOTTIME, it uses CLOCK_MONOTONIC, which counts sleep on some systems.
///
/// Models:        ClockLike.
/// Thread safety: any thread.   Errors: none.
struct BootClock {
    [[nodiscard]] Instant now() const noexcept {
#if defined(CLOCK_BOOTTIME)
        constexpr clockid_t clock = CLOCK_BOOTTIME;
#else
        constexpr clockid_t clock = CLOCK_MONOTONIC;
#endif
        timespec t{};
        static_cast<void>(::clock_gettime(clock, &t));
        return Instant{std::chrono::seconds{t.tv_sec} + std::chrono::nanoseconds{t.tv_nsec}};
    }
};

namespace detail {

#if defined(__linux__)
/// Waits on a timer of CLOCK_BOOTTIME. The timeout of poll(2) stops while the machine sleeps, so a
/// deadline that passes during the sleep would be late by the rest of the wait.
///
/// It costs one more system call for each wait. It does not wake a sleeping machine.
class BootPoller : public Poller {
public:
    [[nodiscard]] std::size_t watched() const noexcept { return Poller::watched() - 1; }

protected:
    /// Throws: std::system_error if the process has no descriptors left; without exceptions it
    /// calls std::terminate then.
    explicit BootPoller(WakeupFd& wakeup)
        : Poller{wakeup},
          timer_{::timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK | TFD_CLOEXEC)},
          watch_{*this, this, [](void*, short) {}} {
        if (!timer_) refuse_loop();
        watch_.start(timer_.get(), POLLIN);
    }

    void wait(Duration most) {
        if (most <= Duration::zero()) return Poller::wait(most);
        // Setting the timer for each wait also clears its expiry.
        constexpr std::int64_t second = 1'000'000'000;
        itimerspec at{};
        if (most != forever) {
            at.it_value.tv_sec = static_cast<time_t>(most.count() / second);
            at.it_value.tv_nsec = static_cast<decltype(at.it_value.tv_nsec)>(most.count() % second);
        }
        const bool set = ::timerfd_settime(timer_.get(), 0, &at, nullptr) == 0;
        Poller::wait(set ? forever : most);
    }

private:
    Descriptor timer_;
    Watch watch_;
};
#else
using BootPoller = Poller;
#endif

/// The poller that waits by a given clock.
template <class Clock>
using PollerOf = std::conditional_t<std::is_same_v<Clock, BootClock>, BootPoller, Poller>;

}  // namespace detail

/// A belay::Loop that also waits for file descriptors, which components watch with a Watch.
///
/// In each round, descriptors come before timers. After a long suspend, the data that waits in the
/// kernel is therefore read before a heartbeat decides that its peer is dead.
///
/// Waits end up to a millisecond late, because that is the unit of poll(2). The cost of poll(2) is
/// linear in the number of descriptors. The clock and its waits stand still while the machine
/// sleeps; with a BootClock they do not, see there.
///
/// Members: attach(machine), run(), run_until(done, limit), stop(), post(function), at(instant, f),
///          after(duration, f), now(); see belay/drive/detail/basic_loop.hpp.
/// Thread safety: stop(), post() and what wakers do from any thread; all else on the loop's thread,
///                or any while it is not running. stop() also in a signal handler, while the loop
///                exists.
/// Throws:        std::system_error from the constructor, if the process has no descriptors left.
template <class Clock = SteadyClock>
class Loop final : public belay::detail::BasicLoop<Clock, detail::PollerOf<Clock>> {
    using Base = belay::detail::BasicLoop<Clock, detail::PollerOf<Clock>>;

public:
    Loop()
        requires std::default_initializable<Clock>
        : Base{Clock{}} {}
    explicit Loop(Clock clock) : Base{std::move(clock)} {}
};

}}}  // namespace belay::posix
