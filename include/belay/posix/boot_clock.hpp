// SPDX-License-Identifier: MIT
/// \file belay/posix/boot_clock.hpp
/// posix::BootClock: a steady clock that keeps running while the machine sleeps.
#pragma once

#include <time.h>

#include <belay/core/instant.hpp>

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

}}}  // namespace belay::posix
