// SPDX-License-Identifier: MIT
/// \file belay/libc_sim/detail/files.hpp
/// LibcCounter, LibcTimer, LibcDevice: eventfd, timerfd, /dev/null and /dev/urandom of a simulated
/// program.
#pragma once

#include <sys/eventfd.h>  // EFD_SEMAPHORE
#include <sys/timerfd.h>  // itimerspec

#include <algorithm>  // std::min
#include <chrono>     // std::chrono::seconds
#include <cstdint>    // std::uint64_t
#include <cstring>    // std::memcpy
#include <limits>     // std::numeric_limits
#include <span>       // std::span

#include <belay/libc_sim/detail/process.hpp>
#include <belay/libc_sim/detail/real.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The clocks of a simulated computer. Hosts differ by Host::set_wall_clock and Host::drift_clock.
struct LibcClock {
    // The computer has run for a while, since programs take 0 for "never".
    static constexpr Duration booted = std::chrono::seconds{1'000};
    // 2026-01-01T00:00:00Z
    static constexpr Duration wall_start = std::chrono::seconds{1'767'225'600};
    static constexpr std::int64_t second = 1'000'000'000;

    /// Returns what a clock reads at an instant; never, if there is no such clock.
    [[nodiscard]] static Duration read(int clock, sim::Host& host) noexcept {
        const Duration since_start = elapsed(Instant{}, host.now());
        const auto& start = sim::detail::Kernel::fabric(host).engine.clock_start;
        switch (clock) {
            case CLOCK_REALTIME:
            case CLOCK_REALTIME_COARSE:
            case CLOCK_TAI:
                if (start) return host.wall_clock().now().time_since_epoch();
                return wall_start + (host.wall_clock().now() - sim::detail::world_start);
            case CLOCK_MONOTONIC:
            case CLOCK_MONOTONIC_RAW:
            case CLOCK_MONOTONIC_COARSE:
            case CLOCK_BOOTTIME:
                return (start ? start->uptime : booted) + since_start;
            case CLOCK_PROCESS_CPUTIME_ID:
            case CLOCK_THREAD_CPUTIME_ID:
                return Duration{0};  // code takes no time
            default:
                return forever;
        }
    }
    /// Returns what the steady clock will show when a clock reads `time`.
    [[nodiscard]] static Instant when(int clock, Duration time, sim::Host& host) noexcept {
        const Duration left = std::max(Duration{0}, time - read(clock, host));
        const bool is_wall =
            clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE || clock == CLOCK_TAI;
        if (!is_wall) return after(host.now(), left);
        // A wall clock does not drift with the steady one.
        using sim::detail::Kernel;
        return Kernel::station(host).steady->at(after(Kernel::now(host), left));
    }
    [[nodiscard]] static bool is_valid(const timespec& t) noexcept {
        return t.tv_sec >= 0 && t.tv_nsec >= 0 && t.tv_nsec < second;
    }
    /// Pre: is_valid(t).
    [[nodiscard]] static Duration from(const timespec& t) noexcept {
        const std::int64_t seconds_max = std::numeric_limits<std::int64_t>::max() / second / 4;
        return std::chrono::seconds{std::min<std::int64_t>(t.tv_sec, seconds_max)} +
               Duration{t.tv_nsec};
    }
    [[nodiscard]] static timespec to(Duration d) noexcept {
        timespec t{};
        t.tv_sec = d.count() / second;
        t.tv_nsec = d.count() % second;
        return t;
    }
};

/// Copies a value to the front of `iov`.
inline ssize_t libc_give(std::span<const iovec> iov, std::uint64_t value) noexcept {
    if (iov.empty() || iov[0].iov_len < sizeof value) return libc_fail(EINVAL);
    std::memcpy(iov[0].iov_base, &value, sizeof value);
    return sizeof value;
}

/// The counter of eventfd().
class LibcCounter final : public LibcFile {
public:
    LibcCounter(LibcProcess& process, std::uint64_t start, bool semaphore) noexcept
        : process_{process}, count_{start}, semaphore_{semaphore} {}

    std::uint32_t ready() override {
        return (count_ != 0 ? EPOLLIN : 0U) | (count_ < count_max ? EPOLLOUT : 0U);
    }
    ssize_t read(std::span<const iovec> iov) override {
        const ssize_t size = libc_give(iov, semaphore_ ? 1 : count_);
        if (size < 0) return size;
        if (count_ == 0) return libc_fail(EAGAIN);
        count_ = semaphore_ ? count_ - 1 : 0;
        changed(process_);
        return size;
    }
    ssize_t write(std::span<const iovec> iov) override {
        std::uint64_t more = 0;
        if (iov.empty() || iov[0].iov_len < sizeof more) return libc_fail(EINVAL);
        std::memcpy(&more, iov[0].iov_base, sizeof more);
        if (more > count_max) return libc_fail(EINVAL);
        if (count_max - count_ < more) return libc_fail(EAGAIN);
        count_ += more;
        changed(process_);
        return sizeof more;
    }

private:
    static constexpr std::uint64_t count_max = ~std::uint64_t{0} - 1;

    LibcProcess& process_;
    std::uint64_t count_;
    const bool semaphore_;
};

/// The timer of timerfd_create().
class LibcTimer final : public LibcFile {
public:
    LibcTimer(LibcProcess& process, int clock) noexcept : process_{process}, clock_{clock} {}
    ~LibcTimer() override { end(); }
    void end() noexcept override { timer_.cancel(); }

    std::uint32_t ready() override { return due() ? EPOLLIN : 0U; }
    ssize_t read(std::span<const iovec> iov) override {
        if (!due()) return libc_fail(EAGAIN);
        const Duration late = elapsed(next_, process_.host().now());
        const std::int64_t times = interval_ == Duration{0} ? 1 : late / interval_ + 1;
        const ssize_t size = libc_give(iov, static_cast<std::uint64_t>(times));
        if (size < 0) return size;
        set(interval_ == Duration{0} ? never : after(next_, times * interval_), interval_);
        return size;
    }
    int set(int flags, const itimerspec& to, itimerspec* old) {
        if (!LibcClock::is_valid(to.it_value) || !LibcClock::is_valid(to.it_interval)) {
            return libc_fail(EINVAL);
        }
        if (old != nullptr) get(*old);
        const Duration time = LibcClock::from(to.it_value);
        const Instant now = process_.host().now();
        const bool absolute = (flags & TFD_TIMER_ABSTIME) != 0;
        const Instant next = time == Duration{0} ? never
                             : absolute          ? LibcClock::when(clock_, time, process_.host())
                                                 : after(now, time);
        set(next, LibcClock::from(to.it_interval));
        return 0;
    }
    void get(itimerspec& out) {
        const Instant now = process_.host().now();
        out.it_interval = LibcClock::to(interval_);
        out.it_value = LibcClock::to(next_ == never ? Duration{0}
                                     : due()        ? Duration{1}
                                                    : elapsed(now, next_));
    }

private:
    [[nodiscard]] bool due() { return next_ != never && next_ <= process_.host().now(); }
    void set(Instant next, Duration interval) {
        timer_.cancel();
        next_ = next;
        interval_ = interval;
        if (next == never) return;
        timer_ = process_.host().at(next, [this] { changed(process_); });
    }

    LibcProcess& process_;
    const int clock_;
    Instant next_ = never;
    Duration interval_{0};
    Timer timer_;
};

/// Fills a buffer with random bits of the world.
inline void libc_random(LibcProcess& process, void* out, std::size_t size) {
    auto* to = static_cast<unsigned char*>(out);
    while (size != 0) {
        const std::uint64_t bits = process.bits()();
        const std::size_t n = std::min(size, sizeof bits);
        std::memcpy(to, &bits, n);
        to += n;
        size -= n;
    }
}

/// A standard stream: the input is empty, and the others are those of the test.
class LibcStandardStream final : public LibcFile {
public:
    explicit LibcStandardStream(int number) noexcept : number_{number} {}
    std::uint32_t ready() override { return number_ == 0 ? EPOLLIN : EPOLLOUT; }
    ssize_t read(std::span<const iovec>) override { return number_ == 0 ? 0 : libc_fail(EBADF); }
    ssize_t write(std::span<const iovec> iov) override {
        if (number_ == 0) return libc_fail(EBADF);
        return libc_real<"writev", ssize_t>(number_, iov.data(), static_cast<int>(iov.size()));
    }
    bool is_watchable() const noexcept override { return false; }

private:
    const int number_;
};

/// The file /dev/null, or /dev/urandom, which has a process.
class LibcDevice final : public LibcFile {
public:
    explicit LibcDevice(int flags, LibcProcess* process = nullptr) noexcept
        : access_{flags & O_ACCMODE}, process_{process} {}
    std::uint32_t ready() override { return EPOLLIN | EPOLLOUT; }
    ssize_t read(std::span<const iovec> iov) override {
        if (access_ == O_WRONLY) return libc_fail(EBADF);
        if (is_null()) return 0;
        for (const iovec& v : iov) libc_random(*process_, v.iov_base, v.iov_len);
        return size_of(iov);
    }
    ssize_t write(std::span<const iovec> iov) override {
        return access_ == O_RDONLY ? libc_fail(EBADF) : size_of(iov);
    }
    bool is_watchable() const noexcept override { return false; }
    mode_t kind() const noexcept override { return S_IFCHR | 0666; }
    int mode() const noexcept override { return access_; }
    [[nodiscard]] bool is_null() const noexcept { return process_ == nullptr; }

private:
    [[nodiscard]] static ssize_t size_of(std::span<const iovec> iov) noexcept {
        ssize_t size = 0;
        for (const iovec& v : iov) size += static_cast<ssize_t>(v.iov_len);
        return size;
    }

    const int access_;
    LibcProcess* const process_;
};

}}}  // namespace belay::detail
