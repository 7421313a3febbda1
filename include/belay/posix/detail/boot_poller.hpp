// SPDX-License-Identifier: MIT
/// \file belay/posix/detail/boot_poller.hpp
/// BootPoller: a Poller whose waits continue while the machine sleeps.
#pragma once

#if defined(__linux__)

#    include <cerrno>        // errno
#    include <system_error>  // std::system_error

#    include <sys/timerfd.h>
#    include <time.h>

#    include <belay/posix/detail/descriptor.hpp>
#    include <belay/posix/poller.hpp>

namespace belay { inline namespace BELAY_ABI { namespace posix::detail {

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
        if (!timer_) refuse();
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
    [[noreturn]] static void refuse() {
#    if defined(__cpp_exceptions)
        throw std::system_error{errno, std::generic_category(), "posix::Loop"};
#    else
        std::terminate();
#    endif
    }

    Descriptor timer_;
    Watch watch_;
};

}}}  // namespace belay::posix::detail

#else

#    include <belay/posix/poller.hpp>

namespace belay { inline namespace BELAY_ABI { namespace posix::detail {
using BootPoller = Poller;
}}}  // namespace belay::posix::detail

#endif
