// SPDX-License-Identifier: MIT
/// \file belay/libc_sim/detail/calls.hpp
/// libc_calls: what the functions of the C library do in a simulated program.
#pragma once

#include <fcntl.h>       // O_NONBLOCK
#include <sys/ioctl.h>   // FIONBIO
#include <sys/select.h>  // fd_set
#include <sys/time.h>    // timeval
#include <time.h>        // TIMER_ABSTIME
#include <unistd.h>      // ssize_t

#include <algorithm>    // std::min
#include <cstdarg>      // va_list
#include <cstdio>       // vsnprintf
#include <memory>       // std::make_shared
#include <string>       // std::string
#include <string_view>  // std::string_view
#include <vector>       // std::vector

#include <belay/libc_sim/detail/disk_calls.hpp>
#include <belay/libc_sim/detail/epoll.hpp>
#include <belay/libc_sim/detail/files.hpp>
#include <belay/libc_sim/detail/pipe.hpp>
#include <belay/libc_sim/detail/socket.hpp>

// NOLINTBEGIN(bugprone-easily-swappable-parameters): the parameters of the C library

namespace belay { inline namespace BELAY_ABI { namespace detail {
namespace libc_calls {

using libc_files::file_of;

/// Returns a descriptor of socketpair(); null if it is another one.
inline std::shared_ptr<LibcPipe> pair_of(LibcProcess& p, int fd) {
    std::shared_ptr<LibcPipe> pipe = std::dynamic_pointer_cast<LibcPipe>(p.file(fd));
    return pipe && pipe->is_socket() ? pipe : nullptr;
}
inline std::shared_ptr<LibcSocket> socket_of(LibcProcess& p, int fd) {
    if (pair_of(p, fd)) {
        p.refuse_call(" with a descriptor of \"socketpair\"");
    }
    return file_of<LibcSocket>(p, fd, ENOTSOCK);
}

// ---- time ------------------------------------------------------------------------------------

inline int clock_gettime(LibcProcess& p, clockid_t clock, timespec* out) {
    p.spin();
    const Duration time = LibcClock::read(clock, p.host());
    if (time == forever) return libc_fail(EINVAL);
    *out = LibcClock::to(time);
    return 0;
}
inline int gettimeofday(LibcProcess& p, timeval* out, void*) {
    timespec t{};
    static_cast<void>(clock_gettime(p, CLOCK_REALTIME, &t));
    *out = {.tv_sec = t.tv_sec, .tv_usec = t.tv_nsec / 1000};
    return 0;
}
inline time_t time(LibcProcess& p, time_t* out) {
    timespec t{};
    static_cast<void>(clock_gettime(p, CLOCK_REALTIME, &t));
    if (out != nullptr) *out = t.tv_sec;
    return t.tv_sec;
}
inline int timespec_get(LibcProcess& p, timespec* out, int base) {
    return base == TIME_UTC && libc_calls::clock_gettime(p, CLOCK_REALTIME, out) == 0 ? base : 0;
}
/// Code takes no time.
inline clock_t clock(LibcProcess& p) {
    p.spin();
    return 0;
}
/// Returns an error, not errno.
inline int clock_nanosleep(LibcProcess& p, clockid_t clock, int flags, const timespec* t,
                           timespec* rest) {
    const Instant now = p.host().now();
    if (!LibcClock::is_valid(*t) || LibcClock::read(clock, p.host()) == forever) return EINVAL;
    const Duration time = LibcClock::from(*t);
    const bool absolute = (flags & TIMER_ABSTIME) != 0;
    const Instant end = absolute ? LibcClock::when(clock, time, p.host()) : after(now, time);
    const int error = errno;
    static_cast<void>(p.wait_or_fail(end, [] { return false; }));
    if (std::exchange(errno, error) != EINTR) return 0;
    if (!absolute && rest != nullptr) *rest = LibcClock::to(elapsed(p.host().now(), end));
    return EINTR;
}
inline int nanosleep(LibcProcess& p, const timespec* t, timespec* rest) {
    const int error = libc_calls::clock_nanosleep(p, CLOCK_MONOTONIC, 0, t, rest);
    return error == 0 ? 0 : libc_fail(error);
}
inline int usleep(LibcProcess& p, useconds_t us) {
    const timespec t = LibcClock::to(std::chrono::microseconds{us});
    return libc_calls::nanosleep(p, &t, nullptr);
}
inline unsigned int sleep(LibcProcess& p, unsigned int seconds) {
    const timespec t = LibcClock::to(std::chrono::seconds{seconds});
    timespec rest{};
    static_cast<void>(libc_calls::nanosleep(p, &t, &rest));
    return static_cast<unsigned int>(rest.tv_sec + (rest.tv_nsec >= LibcClock::second / 2));
}
/// Lets the other programs of this instant run.
inline int sched_yield(LibcProcess& p) {
    p.yield();
    return 0;
}

// ---- randomness ------------------------------------------------------------------------------

inline ssize_t getrandom(LibcProcess& p, void* out, std::size_t size, unsigned int) {
    libc_random(p, out, size);
    return static_cast<ssize_t>(size);
}
inline int getentropy(LibcProcess& p, void* out, std::size_t size) {
    if (size > 256) return libc_fail(EIO);
    libc_random(p, out, size);
    return 0;
}
inline std::uint32_t arc4random(LibcProcess& p) { return static_cast<std::uint32_t>(p.bits()()); }
inline std::uint32_t arc4random_uniform(LibcProcess& p, std::uint32_t bound) {
    return bound < 2 ? 0 : static_cast<std::uint32_t>(uniform_upto(p.bits(), bound - 1));
}
inline unsigned int random_device(LibcProcess& p, void*) {
    return static_cast<unsigned int>(p.bits()());
}
// ---- descriptors -----------------------------------------------------------------------------

/// Makes a descriptor. In each of these functions, the flag of Linux for it is that of open().
inline int open_file(LibcProcess& p, std::shared_ptr<LibcFile> file, int flags) {
    file->set_nonblocking((flags & O_NONBLOCK) != 0);
    return p.open(std::move(file));
}
inline int close(LibcProcess& p, int fd) { return p.close(fd); }

/// Repeats a call while it would block, if the descriptor waits.
template <class F>
ssize_t repeat(LibcProcess& p, bool waits, F&& call) {
    ssize_t n = call();
    while (waits && n < 0 && errno == EAGAIN) {
        if (!p.wait_or_fail(never, [&] { return (n = call()) >= 0 || errno != EAGAIN; })) return -1;
    }
    return n;
}

/// Moves the rest of each buffer by `f(rest, total)`, as often as it needs, until that is an end or
/// an error, which the next call returns.
template <class F>
ssize_t move_all(std::span<const iovec> iov, F&& f) {
    ssize_t total = 0;
    for (const iovec& v : iov) {
        for (std::size_t have = 0; have != v.iov_len;) {
            const iovec rest{static_cast<char*>(v.iov_base) + have, v.iov_len - have};
            const ssize_t n = f(rest, total);
            if (n <= 0) return total != 0 ? total : n;
            have += static_cast<std::size_t>(n);
            total += n;
        }
    }
    return total;
}
/// Receives something, after a wait if the socket blocks.
inline ssize_t receive_until(LibcProcess& p, LibcSocket& s, std::span<const iovec> iov, int flags,
                             Instant deadline) {
    if (!s.nonblocking() && (flags & MSG_DONTWAIT) == 0) {
        const bool is_ready = p.wait_or_fail(deadline, [&] {
            return (!s.connected() && !s.connecting()) ||
                   (s.ready() & (EPOLLIN | EPOLLERR | EPOLLHUP)) != 0;
        });
        if (!is_ready) return -1;
    }
    return s.receive(iov, flags);
}
/// With MSG_WAITALL, it receives everything.
inline ssize_t receive_some(LibcProcess& p, LibcSocket& s, std::span<const iovec> iov, int flags) {
    const Instant deadline = s.deadline(false);
    if ((flags & MSG_WAITALL) == 0) return receive_until(p, s, iov, flags, deadline);
    return move_all(iov, [&](const iovec& rest, ssize_t total) -> ssize_t {
        if (total != 0 && s.available() == 0 && s.is_over()) return 0;
        return receive_until(p, s, {&rest, 1}, flags, deadline);
    });
}
/// Reads, after a wait if the descriptor blocks.
inline ssize_t readv(LibcProcess& p, int fd, const iovec* iov, int count) {
    const std::shared_ptr<LibcFile> f = p.file(fd);
    if (!f) return libc_fail(EBADF);
    if (!libc_files::is_count_of_buffers(count)) return libc_fail(EINVAL);
    const std::span buffers{iov, static_cast<std::size_t>(count)};
    if (const auto s = std::dynamic_pointer_cast<LibcSocket>(f)) {
        return receive_some(p, *s, buffers, 0);
    }
    return repeat(p, !f->nonblocking(), [&] { return f->read(buffers); });
}
inline ssize_t read(LibcProcess& p, int fd, void* out, std::size_t size) {
    const iovec iov{out, size};
    return libc_calls::readv(p, fd, &iov, 1);
}

inline ssize_t send_all(LibcProcess& p, LibcSocket& s, std::span<const iovec> iov, int flags);
/// Writes everything if the pipe blocks.
inline ssize_t write_pipe(LibcProcess& p, LibcPipe& pipe, std::span<const iovec> iov, int flags) {
    const bool signals = (flags & MSG_NOSIGNAL) == 0;
    if (pipe.mode() == O_RDONLY) return libc_fail(EBADF);
    if (pipe.nonblocking() || (flags & MSG_DONTWAIT) != 0) return pipe.send(iov, signals);
    return move_all(iov, [&](const iovec& rest, ssize_t) {
        return repeat(p, true, [&] { return pipe.send({&rest, 1}, signals); });
    });
}

inline ssize_t writev(LibcProcess& p, int fd, const iovec* iov, int count) {
    const std::shared_ptr<LibcFile> f = p.file(fd);
    if (!f) return libc_fail(EBADF);
    if (!libc_files::is_count_of_buffers(count)) return libc_fail(EINVAL);
    const std::span buffers{iov, static_cast<std::size_t>(count)};
    if (const auto s = std::dynamic_pointer_cast<LibcSocket>(f)) return send_all(p, *s, buffers, 0);
    if (const auto pipe = std::dynamic_pointer_cast<LibcPipe>(f)) {
        return write_pipe(p, *pipe, buffers, 0);
    }
    return repeat(p, !f->nonblocking(), [&] { return f->write(buffers); });
}
inline ssize_t write(LibcProcess& p, int fd, const void* bytes, std::size_t size) {
    const iovec iov{const_cast<void*>(bytes), size};
    return libc_calls::writev(p, fd, &iov, 1);
}
/// Writes again after a part was written.   Returns: the bytes until an error, with errno.
inline std::size_t write_all(LibcProcess& p, int fd, std::string_view bytes) {
    std::size_t written = 0;
    while (written != bytes.size()) {
        const ssize_t n = libc_calls::write(p, fd, bytes.data() + written, bytes.size() - written);
        if (n <= 0) break;
        written += static_cast<std::size_t>(n);
    }
    return written;
}
/// Sends a part of a file, of 64 KiB at most.
inline ssize_t sendfile(LibcProcess& p, int to, int from, off_t* offset, std::size_t size) {
    const auto file = libc_files::file_of(p, from);
    if (!file) return -1;
    const off_t at = offset != nullptr ? *offset : static_cast<off_t>(file->offset());
    std::string part(std::min(size, std::size_t{1} << 16U), '\0');
    const ssize_t n = libc_files::pread(p, from, part.data(), part.size(), at);
    if (n <= 0) return n;
    const ssize_t sent = libc_calls::write(p, to, part.data(), static_cast<std::size_t>(n));
    if (sent < 0) return -1;
    if (offset != nullptr) *offset = at + sent;
    if (offset == nullptr) file->seek(at + sent, SEEK_SET);
    return sent;
}
/// Copies a part of a file, of 64 KiB at most.
// NOLINTNEXTLINE(readability-function-size): the parameters of the C library
inline ssize_t copy_file_range(LibcProcess& p, int from, off_t* from_offset, int to,
                               off_t* to_offset, std::size_t size, unsigned flags) {
    const auto file = libc_files::file_of(p, to);
    if (!file) return -1;
    if (flags != 0) return libc_fail(EINVAL);
    if ((file->mode() & O_APPEND) != 0) return libc_fail(EBADF);
    const auto place = static_cast<off_t>(file->offset());
    if (to_offset != nullptr) static_cast<void>(file->seek(*to_offset, SEEK_SET));
    const ssize_t n = libc_calls::sendfile(p, to, from, from_offset, size);
    if (to_offset == nullptr) return n;
    *to_offset = static_cast<off_t>(file->offset());
    static_cast<void>(file->seek(place, SEEK_SET));
    return n;
}
/// Only what has no stream of the test takes the place of a standard stream.
inline int dup2(LibcProcess& p, int fd, int to) {
    const std::shared_ptr<LibcFile> f = p.file(fd);
    if (!f || to < 0 || to >= static_cast<int>(LibcState::descriptors_max)) return libc_fail(EBADF);
    if (fd == to) return fd;
    const auto device = std::dynamic_pointer_cast<LibcDevice>(f);
    const bool is_quiet =
        (device && device->is_null()) || std::dynamic_pointer_cast<LibcStandardStream>(f);
    if (to < 512 && !(to < 3 && is_quiet)) {
        p.refuse("called \"dup2\" with the descriptor " + std::to_string(to) +
                 ", which a world has for /dev/null and for the streams of the test only");
    }
    return p.replace(to, f);
}
inline int dup3(LibcProcess& p, int fd, int to, int) {
    return fd == to ? libc_fail(EINVAL) : libc_calls::dup2(p, fd, to);
}
inline int dup(LibcProcess& p, int fd) {
    std::shared_ptr<LibcFile> f = p.file(fd);
    return f ? p.open(std::move(f)) : libc_fail(EBADF);
}
inline int fcntl(LibcProcess& p, int fd, int command, long argument) {
    const std::shared_ptr<LibcFile> f = p.file(fd);
    if (!f) return libc_fail(EBADF);
    switch (command) {
        case F_GETFL:
            return f->mode() | (f->nonblocking() ? O_NONBLOCK : 0);
        case F_SETFL:
            // Linux ignores the access mode and the flags of creation.
            if ((argument & (O_ASYNC | O_DIRECT | O_NOATIME)) != 0 ||
                !f->set_append((argument & O_APPEND) != 0)) {
                p.refuse_call(" with F_SETFL and " +
                              libc_words::of_flags(libc_words::open_flags, argument));
            }
            f->set_nonblocking((argument & O_NONBLOCK) != 0);
            return 0;
        case F_DUPFD:
        case F_DUPFD_CLOEXEC:
            return argument < 0 ? libc_fail(EINVAL) : p.open(f, static_cast<int>(argument));
        case F_GETPIPE_SZ: {
            const auto pipe = std::dynamic_pointer_cast<LibcPipe>(f);
            const bool is_pipe = pipe && !pipe->is_socket();
            return is_pipe ? static_cast<int>(LibcPipeBuffer::pipe_bytes) : libc_fail(EBADF);
        }
        case F_GETFD:
            return FD_CLOEXEC;  // no program starts another one
        case F_SETFD:
            return 0;
        case F_GETLK:
        case F_SETLK:
        case F_SETLKW:
        case F_OFD_GETLK:
        case F_OFD_SETLK:
        case F_OFD_SETLKW:
            return libc_files::lock(p, fd, command, reinterpret_cast<struct flock*>(argument));
        default:
            p.refuse_call(" with " + libc_words::of(libc_words::commands, command, "command"));
    }
}
inline int ioctl(LibcProcess& p, int fd, unsigned long request, void* argument) {
    const std::shared_ptr<LibcFile> f = p.file(fd);
    if (!f) return libc_fail(EBADF);
    if (request == FIONBIO) {
        f->set_nonblocking(*static_cast<const int*>(argument) != 0);
        return 0;
    }
    if (const auto s = std::dynamic_pointer_cast<LibcSocket>(f); s && request == FIONREAD) {
        *static_cast<int*>(argument) = static_cast<int>(s->available());
        return 0;
    }
    if (const auto pipe = std::dynamic_pointer_cast<LibcPipe>(f); pipe && request == FIONREAD) {
        *static_cast<int*>(argument) = static_cast<int>(pipe->unread());
        return 0;
    }
    if (const auto file = std::dynamic_pointer_cast<LibcDiskFile>(f); file && request == FIONREAD) {
        const auto size = file->size();
        if (!size) return libc_result(size.error());
        *static_cast<int*>(argument) = static_cast<int>(*size - file->offset());
        return 0;
    }
    p.refuse_call(" with " +
                  libc_words::of(libc_words::requests, static_cast<long>(request), "request"));
}
/// Makes two descriptors, or none.
inline int open_both(LibcProcess& p, std::shared_ptr<LibcFile> one, std::shared_ptr<LibcFile> other,
                     int flags, int* ends) {
    const int first = open_file(p, std::move(one), flags);
    const int second = first < 0 ? -1 : open_file(p, std::move(other), flags);
    if (second >= 0) return ends[0] = first, ends[1] = second, 0;
    if (first >= 0) static_cast<void>(p.close(first));
    return libc_fail(EMFILE);
}
inline int pipe2(LibcProcess& p, int* ends, int flags) {
    const auto buffer = std::make_shared<LibcPipeBuffer>();
    return open_both(p, std::make_shared<LibcPipe>(p, buffer, nullptr),
                     std::make_shared<LibcPipe>(p, nullptr, buffer), flags, ends);
}
inline int pipe(LibcProcess& p, int* ends) { return libc_calls::pipe2(p, ends, 0); }
inline int socketpair(LibcProcess& p, int domain, int type, int, int* ends) {
    const int kind = type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (domain != AF_UNIX || kind != SOCK_STREAM) {
        p.refuse_call(" with " + libc_words::of_socket(domain, kind));
    }
    const auto one = std::make_shared<LibcPipeBuffer>();
    const auto other = std::make_shared<LibcPipeBuffer>();
    one->bytes_max = other->bytes_max = 212'992;  // the default of Linux: net.core.wmem_default
    return open_both(p, std::make_shared<LibcPipe>(p, one, other),
                     std::make_shared<LibcPipe>(p, other, one), type, ends);
}
inline int eventfd(LibcProcess& p, unsigned int start, int flags) {
    const bool semaphore = (flags & EFD_SEMAPHORE) != 0;
    return open_file(p, std::make_shared<LibcCounter>(p, start, semaphore), flags);
}
inline int eventfd_read(LibcProcess& p, int fd, std::uint64_t* out) {
    return libc_calls::read(p, fd, out, sizeof *out) == sizeof *out ? 0 : -1;
}
inline int eventfd_write(LibcProcess& p, int fd, std::uint64_t more) {
    return libc_calls::write(p, fd, &more, sizeof more) == sizeof more ? 0 : -1;
}
inline int vdprintf(LibcProcess& p, int fd, const char* format, va_list arguments) {
    va_list again;
    va_copy(again, arguments);
    const int size = vsnprintf(nullptr, 0, format, again);
    va_end(again);
    if (size < 0) return size;
    std::string text(static_cast<std::size_t>(size) + 1, '\0');
    static_cast<void>(vsnprintf(text.data(), text.size(), format, arguments));
    text.pop_back();
    return write_all(p, fd, text) == text.size() ? size : -1;
}
/// There are no terminals.
inline int isatty(LibcProcess& p, int fd) {
    errno = p.file(fd) ? ENOTTY : EBADF;
    return 0;
}
inline int timerfd_create(LibcProcess& p, int clock, int flags) {
    if (LibcClock::read(clock, p.host()) == forever) return libc_fail(EINVAL);
    return open_file(p, std::make_shared<LibcTimer>(p, clock), flags);
}
inline int timerfd_settime(LibcProcess& p, int fd, int flags, const itimerspec* to,
                           itimerspec* old) {
    const auto timer = file_of<LibcTimer>(p, fd);
    return timer ? timer->set(flags, *to, old) : -1;
}
inline int timerfd_gettime(LibcProcess& p, int fd, itimerspec* out) {
    const auto timer = file_of<LibcTimer>(p, fd);
    if (!timer) return -1;
    timer->get(*out);
    return 0;
}

// ---- waiting for many ------------------------------------------------------------------------

inline int epoll_create1(LibcProcess& p, int) { return p.open(std::make_shared<LibcEpoll>()); }
inline int epoll_create(LibcProcess& p, int size) {
    return size > 0 ? libc_calls::epoll_create1(p, 0) : libc_fail(EINVAL);
}
inline int epoll_ctl(LibcProcess& p, int fd, int operation, int watched, epoll_event* event) {
    const auto epoll = file_of<LibcEpoll>(p, fd);
    const std::shared_ptr<LibcFile> f = p.file(watched);
    if (!epoll) return -1;
    if (!f) return libc_fail(EBADF);
    if (f == epoll) return libc_fail(EINVAL);
    if (operation == EPOLL_CTL_ADD) return epoll->add(watched, f, *event);
    if (operation == EPOLL_CTL_MOD) return epoll->modify(watched, *event);
    if (operation == EPOLL_CTL_DEL) return epoll->remove(watched);
    return libc_fail(EINVAL);
}
/// When a wait ends: at a time, or by a signal that its mask lets through. Only a write of the
/// program itself raises a signal, so one may wait at the begin, and none arrives later.
struct WaitEnd {
    Instant at;
    const sigset_t* mask = nullptr;
};
inline int epoll_until(LibcProcess& p, int fd, epoll_event* out, int count, WaitEnd end) {
    const auto epoll = file_of<LibcEpoll>(p, fd);
    if (!epoll) return -1;
    if (count <= 0) return libc_fail(EINVAL);
    // Unlike poll(), it is interrupted by a signal without a handler, and not at its deadline.
    const bool waits = end.at > p.host().now() && epoll->ready() == 0;
    if (end.mask != nullptr && waits) {
        const bool was_pending = p.pipe_action().pending();
        static_cast<void>(p.pipe_action().interrupts(p, *end.mask));
        if (was_pending && !p.pipe_action().pending()) return libc_fail(EINTR);
    }
    int found = 0;
    const bool is_ready = p.wait_or_fail(end.at, [&] {
        return (found = epoll->collect({out, static_cast<std::size_t>(count)})) != 0;
    });
    return is_ready || errno != EINTR ? found : -1;
}
inline int epoll_wait(LibcProcess& p, int fd, epoll_event* out, int count, int timeout) {
    return epoll_until(p, fd, out, count, {libc_deadline(p, timeout)});
}
inline int epoll_pwait(LibcProcess& p, int fd, epoll_event* out, int count, int timeout,
                       const sigset_t* mask) {
    return epoll_until(p, fd, out, count, {libc_deadline(p, timeout), mask});
}
inline int poll_until(LibcProcess& p, std::span<pollfd> entries, WaitEnd end) {
    if (end.mask != nullptr && libc_collect(p, entries) == 0 &&
        p.pipe_action().interrupts(p, *end.mask)) {
        return libc_fail(EINTR);
    }
    int count = 0;
    const bool is_ready =
        p.wait_or_fail(end.at, [&] { return (count = libc_collect(p, entries)) != 0; });
    return is_ready || errno != EINTR ? count : -1;
}
inline int poll(LibcProcess& p, pollfd* entries, nfds_t count, int timeout) {
    return poll_until(p, {entries, static_cast<std::size_t>(count)}, {libc_deadline(p, timeout)});
}
inline Instant deadline_of(LibcProcess& p, const timespec* t) {
    return t == nullptr ? never : after(p.host().now(), LibcClock::from(*t));
}
inline int epoll_pwait2(LibcProcess& p, int fd, epoll_event* out, int count,
                        const timespec* timeout, const sigset_t* mask) {
    if (timeout != nullptr && !LibcClock::is_valid(*timeout)) return libc_fail(EINVAL);
    return epoll_until(p, fd, out, count, {deadline_of(p, timeout), mask});
}
inline int ppoll(LibcProcess& p, pollfd* entries, nfds_t count, const timespec* timeout,
                 const sigset_t* mask) {
    if (timeout != nullptr && !LibcClock::is_valid(*timeout)) return libc_fail(EINVAL);
    return poll_until(p, {entries, static_cast<std::size_t>(count)},
                      {deadline_of(p, timeout), mask});
}
/// The sets of select(). A null set is empty.
struct Sets {
    fd_set* reads;
    fd_set* writes;
    fd_set* exceptions;
};
inline int pselect(LibcProcess& p, int count, Sets sets, const timespec* timeout,
                   const sigset_t* mask = nullptr) {
    if (timeout != nullptr && !LibcClock::is_valid(*timeout)) return libc_fail(EINVAL);
    if (count < 0 || count > FD_SETSIZE) return libc_fail(EINVAL);
    const auto has = [](fd_set* set, int fd) { return set != nullptr && FD_ISSET(fd, set); };
    std::vector<pollfd> entries;
    for (int fd = 0; fd < count; ++fd) {
        int events = has(sets.reads, fd) ? POLLIN : 0;
        if (has(sets.writes, fd)) events |= POLLOUT;
        if (has(sets.exceptions, fd)) events |= POLLPRI;
        if (events == 0) continue;
        if (!p.file(fd)) return libc_fail(EBADF);
        entries.push_back({fd, static_cast<short>(events), 0});
    }
    if (poll_until(p, entries, {deadline_of(p, timeout), mask}) < 0) return -1;
    int found = 0;
    const auto keep = [&](fd_set* set, const pollfd& e, int flags) {
        if (!has(set, e.fd)) return;
        if ((e.revents & flags) == 0) return FD_CLR(e.fd, set);
        ++found;
    };
    for (const pollfd& e : entries) {
        keep(sets.reads, e, POLLIN | POLLHUP | POLLERR);
        keep(sets.writes, e, POLLOUT | POLLERR);
        keep(sets.exceptions, e, POLLPRI);
    }
    return found;
}
inline int select(LibcProcess& p, int count, fd_set* reads, fd_set* writes, fd_set* exceptions,
                  timeval* timeout) {
    const Sets sets{reads, writes, exceptions};
    if (timeout == nullptr) return libc_calls::pselect(p, count, sets, nullptr);
    // As on Linux, the microseconds may be more than a second.
    const auto seconds = timeout->tv_usec / 1'000'000;
    const timespec t{.tv_sec = timeout->tv_sec + seconds,
                     .tv_nsec = (timeout->tv_usec - seconds * 1'000'000) * 1000};
    if (!LibcClock::is_valid(t)) return libc_fail(EINVAL);
    const Instant end = after(p.host().now(), LibcClock::from(t));
    const int result = libc_calls::pselect(p, count, sets, &t);
    // As on Linux, the time that is left.
    const timespec left = LibcClock::to(elapsed(p.host().now(), end));
    *timeout = {.tv_sec = left.tv_sec, .tv_usec = left.tv_nsec / 1000};
    return result;
}

// ---- sockets ---------------------------------------------------------------------------------

inline int socket(LibcProcess& p, int domain, int type, int protocol) {
    const int kind = type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (domain == AF_INET6) return libc_fail(EAFNOSUPPORT);  // a computer without IPv6
    if (domain != AF_INET || kind != SOCK_STREAM || (protocol != 0 && protocol != IPPROTO_TCP)) {
        p.refuse("called \"socket\" with " + libc_words::of_socket(domain, kind) +
                 ", but a world has TCP over IPv4 only");
    }
    return open_file(p, std::make_shared<LibcSocket>(p), type);
}
inline const sockaddr_in* ipv4(const sockaddr* address, socklen_t size) noexcept {
    if (address == nullptr || size < sizeof(sockaddr_in)) return errno = EINVAL, nullptr;
    if (address->sa_family != AF_INET) return errno = EAFNOSUPPORT, nullptr;
    return reinterpret_cast<const sockaddr_in*>(address);
}
inline int bind(LibcProcess& p, int fd, const sockaddr* address, socklen_t size) {
    const auto s = socket_of(p, fd);
    const sockaddr_in* const at = s ? ipv4(address, size) : nullptr;
    return at != nullptr ? s->bind(*at) : -1;
}
inline int listen(LibcProcess& p, int fd, int backlog) {
    const auto s = socket_of(p, fd);
    return s ? s->listen(backlog) : -1;
}
inline int accept4(LibcProcess& p, int fd, sockaddr* peer, socklen_t* size, int flags) {
    const auto s = socket_of(p, fd);
    if (!s) return -1;
    // As on Linux, there must be a number before a connection is taken from the kernel.
    const auto has_number = [&] { return p.close(p.open(s)) == 0; };
    if (!has_number()) {
        // Time passes for a program that accepts again at once.
        p.pass(std::chrono::milliseconds{1});
        return libc_fail(EMFILE);
    }
    std::shared_ptr<LibcSocket> accepted = s->accept();
    if (!accepted && errno == EAGAIN && !s->nonblocking()) {
        if (!p.wait_or_fail(s->deadline(false), [&] { return (s->ready() & EPOLLIN) != 0; }))
            return -1;
        if (!has_number()) return libc_fail(EMFILE);
        accepted = s->accept();
    }
    if (!accepted) return -1;
    accepted->give_name(true, peer, size);
    return open_file(p, std::move(accepted), flags);
}
inline int accept(LibcProcess& p, int fd, sockaddr* peer, socklen_t* size) {
    return libc_calls::accept4(p, fd, peer, size, 0);
}
inline int connect(LibcProcess& p, int fd, const sockaddr* address, socklen_t size) {
    const auto s = socket_of(p, fd);
    const sockaddr_in* const to = s ? ipv4(address, size) : nullptr;
    if (to == nullptr) return -1;
    const int result = s->connect(*to);
    if (result == 0 || !s->connecting() || s->nonblocking()) return result;
    const int begun = errno;  // EALREADY: an earlier call was interrupted
    if (!p.wait_or_fail(s->deadline(true), [&] { return !s->connecting(); })) {
        return libc_fail(errno == EINTR ? EINTR : begun);
    }
    s->end_connect();
    int error = 0;
    socklen_t error_size = sizeof error;
    static_cast<void>(s->option(SOL_SOCKET, SO_ERROR, &error, &error_size));
    return error == 0 ? 0 : libc_fail(error);
}
inline int shutdown(LibcProcess& p, int fd, int how) {
    const auto s = socket_of(p, fd);
    if (!s) return -1;
    return how >= SHUT_RD && how <= SHUT_RDWR ? s->shutdown(how) : libc_fail(EINVAL);
}
inline int getsockopt(LibcProcess& p, int fd, int level, int name, void* value, socklen_t* size) {
    const auto s = socket_of(p, fd);
    return s ? s->option(level, name, value, size) : -1;
}
inline int setsockopt(LibcProcess& p, int fd, int level, int name, const void* value,
                      socklen_t size) {
    const auto s = socket_of(p, fd);
    return s ? s->set_option(level, name, value, size) : -1;
}
inline int getsockname(LibcProcess& p, int fd, sockaddr* out, socklen_t* size) {
    const auto s = socket_of(p, fd);
    if (!s) return -1;
    s->give_name(false, out, size);
    return 0;
}
inline int getpeername(LibcProcess& p, int fd, sockaddr* out, socklen_t* size) {
    const auto s = socket_of(p, fd);
    if (!s) return -1;
    if (!s->has_peer()) return libc_fail(ENOTCONN);
    s->give_name(true, out, size);
    return 0;
}

inline void refuse_flags(LibcProcess& p, int flags) {
    const int both = MSG_PEEK | MSG_WAITALL;
    const int other = flags & ~(MSG_NOSIGNAL | MSG_DONTWAIT | both | MSG_CMSG_CLOEXEC);
    if (other == 0 && (flags & both) != both) return;
    p.refuse_call(" with " +
                  libc_words::of_flags(libc_words::message_flags, other != 0 ? other : both));
}
/// Sends everything if the socket blocks.
inline ssize_t send_all(LibcProcess& p, LibcSocket& s, std::span<const iovec> iov, int flags) {
    if (s.nonblocking() || (flags & MSG_DONTWAIT) != 0) return s.send(iov, flags);
    const Instant end = s.deadline(true);
    const auto fails = [&] {
        return (!s.connected() && !s.connecting()) || (s.ready() & (EPOLLERR | EPOLLHUP)) != 0;
    };
    const auto can_send = [&] { return fails() || (s.ready() & EPOLLOUT) != 0; };
    return move_all(iov, [&](const iovec& rest, ssize_t total) -> ssize_t {
        if (!p.wait_or_fail(end, can_send)) return -1;
        return total != 0 && fails() ? 0 : s.send({&rest, 1}, flags);
    });
}
inline ssize_t sendmsg(LibcProcess& p, int fd, const msghdr* message, int flags) {
    refuse_flags(p, flags);
    if (message->msg_controllen != 0) {
        p.refuse_call(" with control data");
    }
    if (const auto pair = pair_of(p, fd)) {
        return write_pipe(p, *pair, {message->msg_iov, message->msg_iovlen}, flags);
    }
    const auto s = socket_of(p, fd);
    if (!s) return -1;
    return send_all(p, *s, {message->msg_iov, message->msg_iovlen}, flags);
}
inline ssize_t send(LibcProcess& p, int fd, const void* bytes, std::size_t size, int flags) {
    iovec iov{const_cast<void*>(bytes), size};
    msghdr message{};
    message.msg_iov = &iov;
    message.msg_iovlen = 1;
    return libc_calls::sendmsg(p, fd, &message, flags);
}
inline ssize_t sendto(LibcProcess& p, int fd, const void* bytes, std::size_t size, int flags,
                      const sockaddr*) {
    return libc_calls::send(p, fd, bytes, size, flags);  // TCP ignores the address
}
inline ssize_t recvmsg(LibcProcess& p, int fd, msghdr* message, int flags) {
    refuse_flags(p, flags);
    const auto pair = pair_of(p, fd);
    const auto s = pair ? nullptr : socket_of(p, fd);
    if (!pair && !s) return -1;
    message->msg_namelen = 0;
    message->msg_controllen = 0;
    message->msg_flags = 0;
    if (pair) {
        if ((flags & (MSG_PEEK | MSG_WAITALL)) != 0) {
            p.refuse_call(" with " + libc_words::of_flags(libc_words::message_flags, flags) +
                          " and a descriptor of \"socketpair\"");
        }
        const bool waits = !pair->nonblocking() && (flags & MSG_DONTWAIT) == 0;
        return repeat(p, waits, [&] {
            return pair->read({message->msg_iov, message->msg_iovlen});
        });
    }
    return receive_some(p, *s, {message->msg_iov, message->msg_iovlen}, flags);
}
inline ssize_t recv(LibcProcess& p, int fd, void* out, std::size_t size, int flags) {
    iovec iov{out, size};
    msghdr message{};
    message.msg_iov = &iov;
    message.msg_iovlen = 1;
    return libc_calls::recvmsg(p, fd, &message, flags);
}
// NOLINTNEXTLINE(readability-function-size): the parameters of the C library
inline ssize_t recvfrom(LibcProcess& p, int fd, void* out, std::size_t size, int flags, sockaddr*,
                        socklen_t* name_size) {
    if (name_size != nullptr) *name_size = 0;
    return libc_calls::recv(p, fd, out, size, flags);
}

}  // namespace libc_calls

// ---- state of the process -----------------------------------------------------------------------

namespace libc_state {

inline int rand(LibcProcess& p) {
    int value = 0;
    random_r(&p.state().random(), &value);
    return value;
}
inline void srand(LibcProcess& p, unsigned seed) { srandom_r(seed, &p.state().random()); }
/// These two return the state before, which begins with a word in front of the numbers.
inline char* initstate(LibcProcess& p, unsigned seed, char* to, std::size_t size) {
    auto* const before = reinterpret_cast<char*>(p.state().random().state - 1);
    return initstate_r(seed, to, size, &p.state().random()) == 0 ? before : nullptr;
}
inline char* setstate(LibcProcess& p, char* to) {
    auto* const before = reinterpret_cast<char*>(p.state().random().state - 1);
    return setstate_r(to, &p.state().random()) == 0 ? before : nullptr;
}
inline long lrand48(LibcProcess& p) {
    long value = 0;
    lrand48_r(&p.state().drand48(), &value);
    return value;
}
inline long mrand48(LibcProcess& p) {
    long value = 0;
    mrand48_r(&p.state().drand48(), &value);
    return value;
}
inline long nrand48(LibcProcess& p, unsigned short* x) {
    long value = 0;
    nrand48_r(x, &p.state().drand48(), &value);
    return value;
}
inline long jrand48(LibcProcess& p, unsigned short* x) {
    long value = 0;
    jrand48_r(x, &p.state().drand48(), &value);
    return value;
}
inline void srand48(LibcProcess& p, long seed) { srand48_r(seed, &p.state().drand48()); }
inline unsigned short* seed48(LibcProcess& p, unsigned short* seed) {
    seed48_r(seed, &p.state().drand48());
    return p.state().drand48().__old_x;
}
inline void lcong48(LibcProcess& p, unsigned short* parameters) {
    lcong48_r(parameters, &p.state().drand48());
}

inline int getpid(LibcProcess& p) { return p.state().pid(); }
/// It is a child of the first process.
inline int getppid(LibcProcess&) { return 1; }
inline int getpgid(LibcProcess& p, int pid) {
    if (pid == 0 || pid == p.state().pid()) return p.state().pid();
    errno = ESRCH;
    return -1;
}
inline mode_t umask(LibcProcess& p, mode_t mask) { return p.state().set_mask(mask); }

inline int prlimit(LibcProcess& p, int pid, int resource, const rlimit* to, rlimit* old) {
    if (pid != 0 && pid != p.state().pid()) return errno = ESRCH, -1;
    if (resource < 0 || resource >= RLIM_NLIMITS) return errno = EINVAL, -1;
    rlimit none{RLIM_INFINITY, RLIM_INFINITY};
    rlimit* const limit = p.state().limit(resource);
    rlimit& now = limit != nullptr ? *limit : none;
    const rlimit before = now;
    if (to != nullptr) {
        if (to->rlim_cur > to->rlim_max) return errno = EINVAL, -1;
        if (to->rlim_max > before.rlim_max) return errno = EPERM, -1;
        if (limit == nullptr && to->rlim_cur != RLIM_INFINITY) {
            p.refuse_call(" with " + libc_words::of(libc_words::limits, resource, "limit"));
        }
        now = *to;
    }
    if (old != nullptr) *old = before;
    return 0;
}
inline int getrlimit(LibcProcess& p, int resource, rlimit* out) {
    return libc_state::prlimit(p, 0, resource, nullptr, out);
}
inline int setrlimit(LibcProcess& p, int resource, const rlimit* to) {
    return libc_state::prlimit(p, 0, resource, to, nullptr);
}

}  // namespace libc_state

}}}  // namespace belay::detail

// NOLINTEND(bugprone-easily-swappable-parameters)
