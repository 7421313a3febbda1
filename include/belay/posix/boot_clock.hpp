// SPDX-License-Identifier: MIT
/// \file belay/posix/boot_clock.hpp
/// posix::BootClock: a steady clock that goes on while the machine sleeps.
#pragma once

#include <time.h>

#include <belay/core/instant.hpp>

namespace belay { inline namespace BELAY_ABI { namespace posix {

/// The time since the machine was started, its sleep included. SteadyClock leaves that out: a
/// laptop that was shut for a night takes a connection for as alive as it was, and waits on.
///
/// A posix::Loop over it, `posix::Loop loop{posix::BootClock{}}`, finds at the instant of waking
/// that deadlines have passed, on Linux also those that it waited for in its sleep. Its instants
/// are not those of std::chrono::steady_clock: do not mix them.
///
/// Where there is no CLOCK_BOOTTIME it is CLOCK_MONOTONIC, which counts sleep on some systems.
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
