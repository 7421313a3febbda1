// SPDX-License-Identifier: MIT
/// \file belay/libc_sim/detail/epoll.hpp
/// LibcEpoll: an epoll instance of a simulated program; what poll() collects.
#pragma once

#include <poll.h>       // pollfd
#include <sys/epoll.h>  // epoll_event

#include <algorithm>  // std::any_of, std::find_if
#include <chrono>     // std::chrono::milliseconds
#include <memory>     // std::shared_ptr
#include <span>       // std::span
#include <vector>     // std::vector

#include <belay/core/detail/heap.hpp>
#include <belay/libc_sim/detail/process.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Returns the end of a wait; a negative time has none.
inline Instant libc_deadline(LibcProcess& process, int milliseconds) noexcept {
    return milliseconds < 0 ? never
                            : after(process.host().now(), std::chrono::milliseconds{milliseconds});
}

/// An instance of epoll_create1(). A watch ends with its file.
class LibcEpoll final : public LibcFile {
public:
    int add(int number, const std::shared_ptr<LibcFile>& file, const epoll_event& event) {
        if (!file->is_watchable()) return libc_fail(EPERM);
        if (find(number) != nullptr) return libc_fail(EEXIST);
        watches_.push_back({number, file, event});
        count_change();
        return 0;
    }
    int modify(int number, const epoll_event& event) {
        Watch* const watch = find(number);
        if (watch == nullptr) return libc_fail(ENOENT);
        watch->event = event;
        watch->seen = 0;
        watch->armed = true;
        count_change();
        return 0;
    }
    int remove(int number) {
        forget_closed();
        const auto is_it = [number](const Watch& w) { return w.number == number; };
        return std::erase_if(watches_, is_it) != 0 ? 0 : libc_fail(ENOENT);
    }
    /// Reports the watches that are ready.   Returns: how many.
    [[nodiscard]] int collect(std::span<epoll_event> out) {
        std::size_t count = 0;
        forget_closed();
        for (Watch& w : watches_) {
            w.reported = false;
            if (count == out.size()) continue;
            const std::uint32_t flags = flags_of(w);
            if (flags == 0) continue;
            out[count] = w.event;
            out[count++].events = flags;
            w.seen = w.file.lock()->changes() + 1;
            w.reported = true;
            if ((w.event.events & EPOLLONESHOT) != 0) w.armed = false;
        }
        // Those that were reported come last next time, so that none is left out for ever.
        sort_stably(watches_,
                    [](const Watch& a, const Watch& b) { return !a.reported && b.reported; });
        return static_cast<int>(count);
    }
    std::uint32_t ready() override {
        forget_closed();
        const bool any = std::any_of(watches_.begin(), watches_.end(),
                                     [](const Watch& w) { return flags_of(w) != 0; });
        return any ? EPOLLIN : 0U;
    }

private:
    struct Watch {
        int number = -1;
        std::weak_ptr<LibcFile> file;
        epoll_event event{};
        std::uint64_t seen = 0;  // changes of the file when it was reported, + 1
        bool armed = true;
        bool reported = false;
    };

    [[nodiscard]] static std::uint32_t flags_of(const Watch& w) {
        const std::shared_ptr<LibcFile> file = w.file.lock();
        if (!w.armed || !file) return 0;
        const bool is_old = w.seen == file->changes() + 1;
        if (is_old && (w.event.events & EPOLLET) != 0) return 0;
        return file->ready() & (w.event.events | EPOLLERR | EPOLLHUP);
    }
    [[nodiscard]] Watch* find(int number) {
        forget_closed();
        const auto found = std::find_if(watches_.begin(), watches_.end(),
                                        [number](const Watch& w) { return w.number == number; });
        return found == watches_.end() ? nullptr : &*found;
    }
    void forget_closed() {
        std::erase_if(watches_, [](const Watch& w) { return w.file.expired(); });
    }

    std::vector<Watch> watches_;
};

/// Fills in what is ready.   Returns: how many entries have something.
inline int libc_collect(LibcProcess& process, std::span<pollfd> entries) {
    int count = 0;
    for (pollfd& e : entries) {
        e.revents = 0;
        if (e.fd < 0) continue;
        const std::shared_ptr<LibcFile> file = process.file(e.fd);
        const std::uint32_t asked =
            static_cast<std::uint16_t>(e.events) | std::uint32_t{POLLERR | POLLHUP};
        const std::uint32_t flags = file ? file->ready() & asked : std::uint32_t{POLLNVAL};
        e.revents = static_cast<short>(flags);
        count += flags != 0 ? 1 : 0;
    }
    return count;
}

}}}  // namespace belay::detail
