// SPDX-License-Identifier: MIT
/// \file belay/posix/poller.hpp
/// Poller and Watch: the file descriptors for which a posix::Loop waits.
#pragma once

#include <algorithm>     // std::min, std::max
#include <atomic>        // std::atomic
#include <cerrno>        // errno, EINTR, EINVAL
#include <chrono>        // std::chrono::ceil
#include <concepts>      // std::convertible_to
#include <cstddef>       // std::size_t
#include <cstdint>       // std::uint64_t, std::uint32_t
#include <exception>     // std::terminate
#include <system_error>  // std::system_error
#include <vector>        // std::vector

#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <unistd.h>
#if __has_include(<sys/eventfd.h>)
#    include <sys/eventfd.h>
#    define BELAY_DETAIL_HAS_EVENTFD 1
#endif

#include <belay/core/assert.hpp>
#include <belay/core/detail/scope_exit.hpp>
#include <belay/core/instant.hpp>

namespace belay { inline namespace BELAY_ABI { namespace posix {

namespace detail {

/// Reports that the process has no descriptors left, which errno states.   Throws:
/// std::system_error; without exceptions it calls std::terminate.
[[noreturn]] inline void refuse_loop() {
#if defined(__cpp_exceptions)
    throw std::system_error{errno, std::generic_category(), "posix::Loop"};
#else
    std::terminate();
#endif
}

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
        if (!made) refuse_loop();
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
    /// Resets it if it was notified.   Returns: whether it was.
    [[nodiscard]] bool take() noexcept {
        pollfd polled{in_, POLLIN, 0};
        if (::poll(&polled, 1, 0) <= 0) return false;
        reset();
        return true;
    }
    /// Waits until it is notified, `other` can be read, or the time is over. An interruption and an
    /// error end the wait, too.
    void wait(int other, Duration time) const noexcept {
        pollfd polled[2] = {{in_, POLLIN, 0}, {other, POLLIN, 0}};
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(time);
        static_cast<void>(::poll(polled, 2, static_cast<int>(left.count())));
    }
    [[nodiscard]] int descriptor() const noexcept { return in_; }

private:
    int in_ = -1;
    int out_ = -1;
    std::atomic<bool> signalled_{false};
};

}  // namespace detail

class Watch;

/// Waits for file descriptors by poll(2); the base of a posix::Loop.
///
/// Components that only need descriptors refer to a Poller, so that they do not depend on the clock
/// of the loop.
/// Thread safety: the loop's thread, or any while it is not running.
class Poller {
public:
    Poller(const Poller&) = delete;
    Poller& operator=(const Poller&) = delete;

    /// Returns the number of watched descriptors.
    [[nodiscard]] std::size_t watched() const noexcept { return watched_; }

protected:
    using WakeupFd = detail::WakeupFd;

    explicit Poller(WakeupFd& wakeup) : wakeup_{wakeup} {
        polled_.push_back({wakeup.descriptor(), POLLIN, 0});
        watches_.push_back(nullptr);
    }
    inline ~Poller();

    /// Waits for `most` at most, and calls the watches whose descriptors are ready.
    inline void wait(Duration most);
    /// Calls the watches that requested it by soon().
    inline void finish_round();

private:
    friend class Watch;

    inline void add(Watch& watch, int fd, short events);
    inline void remove(Watch& watch) noexcept;
    [[nodiscard]] inline int poll_again(int limit) noexcept;
    [[nodiscard]] inline int poll_in_pieces() noexcept;
    inline void dispatch(std::size_t ready);
    inline void compact() noexcept;
    [[nodiscard]] static int milliseconds(Duration d) noexcept;

    /// The pause in milliseconds after a poll() that cannot wait.
    static constexpr int pause_max = 10;

    WakeupFd& wakeup_;
    // One entry for each watch; the first is the wakeup descriptor. A watch that ended leaves a
    // hole until the end of the round, so that handlers may end any watch.
    std::vector<pollfd> polled_;
    std::vector<Watch*> watches_;
    std::size_t watched_ = 0;
    bool holes_ = false;
    Watch* soon_ = nullptr;
};

/// Calls a function when a descriptor is ready; the destructor ends the watch.
///
/// It cannot be moved. It does not own the descriptor, which must stay open while it is watched.
/// The function may do anything except run the loop: it may also end, begin and destroy watches,
/// its own included.
///
/// Thread safety: the loop's thread, or any while it is not running. An active watch may outlive
///                the loop, and then does nothing.
class Watch {
public:
    /// The function to call, with `self` and what poll(2) reported; with 0 after soon().
    using Ready = void (*)(void* self, short revents);

    Watch(Poller& poller, void* self, Ready ready) noexcept
        : poller_{&poller}, self_{self}, ready_{ready} {}
    Watch(const Watch&) = delete;
    Watch& operator=(const Watch&) = delete;
    ~Watch() { stop(); }

    /// Begins to watch a descriptor for `events` of poll(2).
    ///
    /// Without events, the descriptor is not watched at all, so that a peer that has hung up does
    /// not keep the loop busy.
    /// Pre: not active().   Throws: std::bad_alloc.
    void start(int fd, short events) {
        BELAY_PRECONDITION(!active(), "Watch::start: the watch must not be active");
        if (poller_ != nullptr) poller_->add(*this, fd, events);
    }
    /// Changes the events, also for a call that is due in this round; does nothing unless active().
    void modify(short events) noexcept {
        if (!active()) return;
        pollfd& p = poller_->polled_[place_];
        p.events = events;
        p.fd = events != 0 ? fd_ : -1;
    }
    /// Ends the watch; a call that was due is not made any more.
    void stop() noexcept {
        if (active()) poller_->remove(*this);
    }
    /// Requests one call with `revents` 0 at the end of this round, or of the next; does nothing
    /// unless active().
    void soon() noexcept {
        if (!active() || previous_ != nullptr) return;
        next_ = poller_->soon_;
        if (next_ != nullptr) next_->previous_ = &next_;
        previous_ = &poller_->soon_;
        poller_->soon_ = this;
    }
    /// Returns whether it watches a descriptor.
    [[nodiscard]] bool active() const noexcept { return poller_ != nullptr && place_ != 0; }

private:
    friend class Poller;

    void unlink() noexcept {
        if (previous_ == nullptr) return;
        *previous_ = next_;
        if (next_ != nullptr) next_->previous_ = previous_;
        previous_ = nullptr;
        next_ = nullptr;
    }

    Poller* poller_;
    void* self_;
    Ready ready_;
    int fd_ = -1;
    /// The index in the poller's vectors; 0, which belongs to the wakeup descriptor, means none.
    std::uint32_t place_ = 0;
    /// Links of the list of watches that want a call soon; previous_ is null outside of the list.
    Watch** previous_ = nullptr;
    Watch* next_ = nullptr;
};

inline Poller::~Poller() {
    for (Watch* const watch : watches_) {
        if (watch != nullptr) watch->poller_ = nullptr;
    }
    while (soon_ != nullptr) soon_->unlink();
}

inline void Poller::add(Watch& watch, int fd, short events) {
    if (watches_.capacity() == watches_.size()) watches_.reserve(2 * watches_.size());
    polled_.push_back({events != 0 ? fd : -1, events, 0});
    watches_.push_back(&watch);
    watch.fd_ = fd;
    watch.place_ = static_cast<std::uint32_t>(watches_.size() - 1);
    ++watched_;
}

inline void Poller::remove(Watch& watch) noexcept {
    watch.unlink();
    polled_[watch.place_].fd = -1;
    watches_[watch.place_] = nullptr;
    watch.place_ = 0;
    --watched_;
    holes_ = true;
}

inline int Poller::milliseconds(Duration d) noexcept {
    constexpr int longest = 3'600'000;
    // Rounded up: waking before the deadline would only mean to wait again.
    const auto count = d.count() / 1'000'000 + (d.count() % 1'000'000 != 0 ? 1 : 0);
    return count < longest ? static_cast<int>(count) : longest;
}

inline void Poller::wait(Duration most) {
    if (soon_ != nullptr) most = Duration::zero();
    compact();
    const int limit = milliseconds(most);
    int ready = ::poll(polled_.data(), static_cast<nfds_t>(polled_.size()), limit);
    if (ready < 0) ready = poll_again(limit);
    if (ready <= 0) return;
    std::size_t left = static_cast<std::size_t>(ready);
    if (polled_.front().revents != 0) {
        wakeup_.reset();
        --left;
    }
    dispatch(left);
}

/// Waits after poll() has failed.   Returns: the number of descriptors that are ready.
inline int Poller::poll_again(int limit) noexcept {
    const int error = errno;
    // After a signal it is not known what is ready, so the next round calls poll() again.
    if (error == EINTR) return 0;
    // Not the limit of open files, which may have been lowered: the kernel has no memory.
    const int ready = error == EINVAL ? poll_in_pieces() : 0;
    // Without a pause, the loop would take a whole core.
    if (ready == 0) ::poll(nullptr, 0, limit < pause_max ? limit : pause_max);
    return ready;
}

/// Looks at as many descriptors at a time as the limit of open files allows.
inline int Poller::poll_in_pieces() noexcept {
    rlimit files{};
    static_cast<void>(::getrlimit(RLIMIT_NOFILE, &files));
    const std::size_t size = polled_.size();
    const std::size_t piece =
        files.rlim_cur < size ? std::max<std::size_t>(files.rlim_cur, 1) : size;
    int ready = 0;
    for (std::size_t at = 0; at < size; at += piece) {
        const std::size_t count = std::min(piece, size - at);
        const int n = ::poll(&polled_[at], static_cast<nfds_t>(count), 0);
        if (n > 0) ready += n;
        // A call that fails leaves what an earlier one has reported.
        for (std::size_t i = at; n < 0 && i < at + count; ++i) polled_[i].revents = 0;
    }
    return ready;
}

inline void Poller::dispatch(std::size_t ready) {
    // Watches that handlers add wait for the next round: poll() has not seen them.
    const std::size_t size = polled_.size();
    for (std::size_t i = 1; i < size && ready != 0; ++i) {
        const pollfd& polled = polled_[i];
        if (polled.revents == 0) continue;
        --ready;
        // An earlier handler may have changed the events since.
        const int wanted = polled.events | POLLERR | POLLHUP | POLLNVAL;
        const auto revents = static_cast<short>(polled.revents & wanted);
        Watch* const watch = watches_[i];
        if (watch != nullptr && polled.fd >= 0 && revents != 0)
            watch->ready_(watch->self_, revents);
    }
}

inline void Poller::compact() noexcept {
    if (!holes_) return;
    holes_ = false;
    std::uint32_t to = 1;
    for (std::size_t from = 1; from < watches_.size(); ++from) {
        if (watches_[from] == nullptr) continue;
        watches_[from]->place_ = to;
        watches_[to] = watches_[from];
        polled_[to] = polled_[from];
        ++to;
    }
    watches_.resize(to);
    polled_.resize(to);
}

inline void Poller::finish_round() {
    // A watch that requests another call while it is called waits for the next round.
    Watch* due = soon_;
    soon_ = nullptr;
    if (due != nullptr) due->previous_ = &due;
    const belay::detail::ScopeExit put_back{[&due] {
        // Only if a watch has thrown.
        while (due != nullptr) {
            Watch& watch = *due;
            watch.unlink();
            watch.soon();
        }
    }};
    while (due != nullptr) {
        Watch& watch = *due;
        watch.unlink();
        watch.ready_(watch.self_, 0);
    }
}

namespace detail {

template <class Loop>
concept PollingLoop = std::convertible_to<Loop&, Poller&>;

template <class Loop>
consteval bool explain_polling_loop() {
    static_assert(PollingLoop<Loop>,
                  "posix::Tcp, Unix and Listener: the loop must be a belay::posix::Loop, which "
                  "waits for sockets; a belay::Loop does not");
    return true;
}

}  // namespace detail

}}}  // namespace belay::posix

#undef BELAY_DETAIL_HAS_EVENTFD
