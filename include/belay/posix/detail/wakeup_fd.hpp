// SPDX-License-Identifier: MIT
/// \file belay/posix/detail/wakeup_fd.hpp
/// WakeupFd: interrupts a poll(2) from another thread, by an eventfd or a pipe.
#pragma once

#include <atomic>        // std::atomic
#include <cerrno>        // errno
#include <cstdint>       // std::uint64_t
#include <exception>     // std::terminate
#include <system_error>  // std::system_error

#include <fcntl.h>
#include <unistd.h>
#if __has_include(<sys/eventfd.h>)
#    include <sys/eventfd.h>
#    define BELAY_DETAIL_HAS_EVENTFD 1
#endif

#include <belay/core/assert.hpp>

namespace belay { inline namespace BELAY_ABI { namespace posix::detail {

/// A descriptor that becomes readable when another thread notifies it.
///
/// Thread safety: signal() from any thread, also in a signal handler; the rest on the loop's.
class WakeupFd {
public:
    /// Throws: std::system_error if the process has no descriptors left; without exceptions it
    /// calls std::terminate then.
    WakeupFd() {
#if defined(BELAY_DETAIL_HAS_EVENTFD)
        out_ = in_ = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
        const bool made = in_ >= 0;
#else
        int ends[2];
        const bool made = ::pipe2(ends, O_NONBLOCK | O_CLOEXEC) == 0;
        if (made) {
            in_ = ends[0];
            out_ = ends[1];
        }
#endif
        if (!made) refuse();
    }
    WakeupFd(const WakeupFd&) = delete;
    WakeupFd& operator=(const WakeupFd&) = delete;
    ~WakeupFd() {
        ::close(in_);
        if (out_ != in_) ::close(out_);
    }

    void signal() noexcept {
        // After the first notification it stays readable until it is reset, so no further system
        // call is needed.
        if (signalled_.exchange(true, std::memory_order_acq_rel)) return;
        const std::uint64_t one = 1;
        // A signal handler may run this, and must leave errno as it was.
        const int before = errno;
        // It cannot be full: at most one value is written between two resets.
        while (::write(out_, &one, sizeof one) < 0 && errno == EINTR) {
        }
        errno = before;
    }
    /// Resets the descriptor. Call it before you look for the work that it announces.
    void reset() noexcept {
        std::uint64_t count = 0;
        while (::read(in_, &count, sizeof count) < 0 && errno == EINTR) {
        }
        // Acquires what threads did before a signal() that wrote nothing.
        static_cast<void>(signalled_.exchange(false, std::memory_order_acq_rel));
    }
    [[nodiscard]] int descriptor() const noexcept { return in_; }

private:
    [[noreturn]] static void refuse() {
#if defined(__cpp_exceptions)
        throw std::system_error{errno, std::generic_category(), "posix::Loop"};
#else
        std::terminate();
#endif
    }

    int in_ = -1;
    int out_ = -1;
    std::atomic<bool> signalled_{false};
};

}}}  // namespace belay::posix::detail

#undef BELAY_DETAIL_HAS_EVENTFD
