// SPDX-License-Identifier: MIT
/// \file belay/adapter/detail/libc_sim_calls.hpp
/// libc_calls: what the functions of the C library do in a simulated program.
#pragma once

#include <fcntl.h>      // O_NONBLOCK
#include <sys/ioctl.h>  // FIONBIO
#include <sys/time.h>   // timeval
#include <time.h>       // TIMER_ABSTIME
#include <unistd.h>     // ssize_t

#include <memory>  // std::make_shared

#include <belay/adapter/detail/libc_sim_disk_calls.hpp>
#include <belay/adapter/detail/libc_sim_epoll.hpp>
#include <belay/adapter/detail/libc_sim_files.hpp>
#include <belay/adapter/detail/libc_sim_pipe.hpp>
#include <belay/adapter/detail/libc_sim_socket.hpp>

// NOLINTBEGIN(bugprone-easily-swappable-parameters): the parameters of the C library

namespace belay { inline namespace BELAY_ABI { namespace detail { namespace libc_calls {

/// Returns the file of a number, if it is a T; otherwise null, with errno.
template <class T>
std::shared_ptr<T> file(LibcProcess& p, int fd, int other_kind) {
    const std::shared_ptr<LibcFile> found = p.file(fd);
    std::shared_ptr<T> as = std::dynamic_pointer_cast<T>(found);
    if (!as) errno = found ? other_kind : EBADF;
    return as;
}
inline std::shared_ptr<LibcSocket> socket_of(LibcProcess& p, int fd) {
    return file<LibcSocket>(p, fd, ENOTSOCK);
}

// ---- time ------------------------------------------------------------------------------------

inline int clock_gettime(LibcProcess& p, clockid_t clock, timespec* out) {
    p.spin();
    const Duration time = LibcClock::read(clock, p.host().now());
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
/// Returns an error, not errno.
inline int clock_nanosleep(LibcProcess& p, clockid_t clock, int flags, const timespec* t,
                           timespec* rest) {
    const Instant now = p.host().now();
    if (!LibcClock::is_valid(*t) || LibcClock::read(clock, now) == forever) return EINVAL;
    const Duration time = LibcClock::from(*t);
    const bool absolute = (flags & TIMER_ABSTIME) != 0;
    const Instant end = absolute ? LibcClock::when(clock, time, now) : after(now, time);
    static_cast<void>(p.wait(end, [] { return false; }));
    // No signal interrupts it.
    if (!absolute && rest != nullptr) *rest = {};
    return 0;
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
    static_cast<void>(libc_calls::nanosleep(p, &t, nullptr));
    return 0;
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

/// Receives something, after a wait if the socket blocks.
inline ssize_t receive_some(LibcProcess& p, LibcSocket& s, std::span<const iovec> iov, int flags) {
    if (!s.nonblocking() && (flags & MSG_DONTWAIT) == 0) {
        static_cast<void>(p.wait(s.deadline(false), [&] {
            return !s.connected() || (s.ready() & (EPOLLIN | EPOLLERR | EPOLLHUP)) != 0;
        }));
    }
    return s.receive(iov, flags);
}
/// Reads, after a wait if the descriptor blocks.
inline ssize_t readv(LibcProcess& p, int fd, const iovec* iov, int count) {
    const std::shared_ptr<LibcFile> f = p.file(fd);
    if (!f) return libc_fail(EBADF);
    const std::span buffers{iov, static_cast<std::size_t>(count)};
    if (const auto s = std::dynamic_pointer_cast<LibcSocket>(f)) {
        return receive_some(p, *s, buffers, 0);
    }
    if (!f->nonblocking()) {
        static_cast<void>(p.wait(never, [&] { return (f->ready() & EPOLLIN) != 0; }));
    }
    return f->read(buffers);
}
inline ssize_t read(LibcProcess& p, int fd, void* out, std::size_t size) {
    const iovec iov{out, size};
    return libc_calls::readv(p, fd, &iov, 1);
}

inline ssize_t send_all(LibcProcess& p, LibcSocket& s, std::span<const iovec> iov, int flags);

inline ssize_t writev(LibcProcess& p, int fd, const iovec* iov, int count) {
    const std::shared_ptr<LibcFile> f = p.file(fd);
    if (!f) return libc_fail(EBADF);
    const std::span buffers{iov, static_cast<std::size_t>(count)};
    if (const auto s = std::dynamic_pointer_cast<LibcSocket>(f)) return send_all(p, *s, buffers, 0);
    ssize_t n = f->write(buffers);
    while (n < 0 && errno == EAGAIN && !f->nonblocking()) {
        static_cast<void>(p.wait(never, [&] { return (n = f->write(buffers)) >= 0; }));
    }
    return n;
}
inline ssize_t write(LibcProcess& p, int fd, const void* bytes, std::size_t size) {
    const iovec iov{const_cast<void*>(bytes), size};
    return libc_calls::writev(p, fd, &iov, 1);
}
inline int fcntl(LibcProcess& p, int fd, int command, long argument) {
    const std::shared_ptr<LibcFile> f = p.file(fd);
    if (!f) return libc_fail(EBADF);
    switch (command) {
        case F_GETFL:
            return O_RDWR | (f->nonblocking() ? O_NONBLOCK : 0);
        case F_SETFL:
            f->set_nonblocking((argument & O_NONBLOCK) != 0);
            return 0;
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
            p.refuse("called \"fcntl\" with command " + std::to_string(command) +
                     ", which a world does not have");
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
    p.refuse("called \"ioctl\" with request " + std::to_string(request) +
             ", which a world does not have");
}
inline int pipe2(LibcProcess& p, int* ends, int flags) {
    const auto buffer = std::make_shared<LibcPipeBuffer>();
    ends[0] = open_file(p, std::make_shared<LibcPipe>(p, buffer, nullptr), flags);
    ends[1] = open_file(p, std::make_shared<LibcPipe>(p, nullptr, buffer), flags);
    return 0;
}
inline int pipe(LibcProcess& p, int* ends) { return libc_calls::pipe2(p, ends, 0); }
inline int socketpair(LibcProcess& p, int domain, int type, int, int* ends) {
    const int kind = type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (domain != AF_UNIX || kind != SOCK_STREAM) {
        p.refuse(
            "called \"socketpair\" of another kind than AF_UNIX and SOCK_STREAM, which a "
            "world does not have");
    }
    const auto one = std::make_shared<LibcPipeBuffer>();
    const auto other = std::make_shared<LibcPipeBuffer>();
    ends[0] = open_file(p, std::make_shared<LibcPipe>(p, one, other), type);
    ends[1] = open_file(p, std::make_shared<LibcPipe>(p, other, one), type);
    return 0;
}
inline int eventfd(LibcProcess& p, unsigned int start, int flags) {
    const bool semaphore = (flags & EFD_SEMAPHORE) != 0;
    return open_file(p, std::make_shared<LibcCounter>(p, start, semaphore), flags);
}
inline int timerfd_create(LibcProcess& p, int clock, int flags) {
    if (LibcClock::read(clock, p.host().now()) == forever) return libc_fail(EINVAL);
    return open_file(p, std::make_shared<LibcTimer>(p, clock), flags);
}
inline int timerfd_settime(LibcProcess& p, int fd, int flags, const itimerspec* to,
                           itimerspec* old) {
    const auto timer = file<LibcTimer>(p, fd, EINVAL);
    return timer ? timer->set(flags, *to, old) : -1;
}
inline int timerfd_gettime(LibcProcess& p, int fd, itimerspec* out) {
    const auto timer = file<LibcTimer>(p, fd, EINVAL);
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
    const auto epoll = file<LibcEpoll>(p, fd, EINVAL);
    const std::shared_ptr<LibcFile> f = p.file(watched);
    if (!epoll) return -1;
    if (!f) return libc_fail(EBADF);
    if (f == epoll) return libc_fail(EINVAL);
    if (operation == EPOLL_CTL_ADD) return epoll->add(watched, f, *event);
    if (operation == EPOLL_CTL_MOD) return epoll->modify(watched, *event);
    if (operation == EPOLL_CTL_DEL) return epoll->remove(watched);
    return libc_fail(EINVAL);
}
inline int epoll_wait(LibcProcess& p, int fd, epoll_event* out, int count, int timeout) {
    const auto epoll = file<LibcEpoll>(p, fd, EINVAL);
    if (!epoll) return -1;
    if (count <= 0) return libc_fail(EINVAL);
    int found = 0;
    static_cast<void>(p.wait(libc_deadline(p, timeout), [&] {
        return (found = epoll->collect({out, static_cast<std::size_t>(count)})) != 0;
    }));
    return found;
}
/// No signal comes in a world, so that the mask changes nothing.
inline int epoll_pwait(LibcProcess& p, int fd, epoll_event* out, int count, int timeout,
                       const sigset_t*) {
    return libc_calls::epoll_wait(p, fd, out, count, timeout);
}
inline int poll(LibcProcess& p, pollfd* entries, nfds_t count, int timeout) {
    return libc_poll(p, {entries, static_cast<std::size_t>(count)}, libc_deadline(p, timeout));
}
inline Instant deadline_of(LibcProcess& p, const timespec* t) {
    return t == nullptr ? never : after(p.host().now(), LibcClock::from(*t));
}
inline int ppoll(LibcProcess& p, pollfd* entries, nfds_t count, const timespec* timeout,
                 const sigset_t*) {
    return libc_poll(p, {entries, static_cast<std::size_t>(count)}, deadline_of(p, timeout));
}
inline int pselect(LibcProcess& p, int count, fd_set* reads, fd_set* writes, fd_set* exceptions,
                   const timespec* timeout) {
    return libc_select(p, count, {reads, writes, exceptions}, deadline_of(p, timeout));
}
inline int select(LibcProcess& p, int count, fd_set* reads, fd_set* writes, fd_set* exceptions,
                  timeval* timeout) {
    if (timeout == nullptr)
        return libc_calls::pselect(p, count, reads, writes, exceptions, nullptr);
    const timespec t{.tv_sec = timeout->tv_sec, .tv_nsec = timeout->tv_usec * 1000};
    if (!LibcClock::is_valid(t)) return libc_fail(EINVAL);
    return libc_calls::pselect(p, count, reads, writes, exceptions, &t);
}

// ---- sockets ---------------------------------------------------------------------------------

inline int socket(LibcProcess& p, int domain, int type, int protocol) {
    const int kind = type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (domain == AF_INET6) return libc_fail(EAFNOSUPPORT);  // a computer without IPv6
    if (domain != AF_INET || kind != SOCK_STREAM || (protocol != 0 && protocol != IPPROTO_TCP)) {
        p.refuse("called \"socket\" of domain " + std::to_string(domain) + " and type " +
                 std::to_string(kind) + ", but a world has TCP over IPv4 only");
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
inline int listen(LibcProcess& p, int fd, int) {
    const auto s = socket_of(p, fd);
    return s ? s->listen() : -1;
}
inline int accept4(LibcProcess& p, int fd, sockaddr* peer, socklen_t* size, int flags) {
    const auto s = socket_of(p, fd);
    if (!s) return -1;
    std::shared_ptr<LibcSocket> accepted = s->accept();
    if (!accepted && errno == EAGAIN && !s->nonblocking()) {
        static_cast<void>(p.wait(s->deadline(false), [&] { return (s->ready() & EPOLLIN) != 0; }));
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
    if (errno != EINPROGRESS || s->nonblocking()) return result;
    if (!p.wait(s->deadline(true), [&] { return !s->connecting(); })) return libc_fail(EINPROGRESS);
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
    if (!s->connected()) return libc_fail(ENOTCONN);
    s->give_name(true, out, size);
    return 0;
}

inline void refuse_flags(LibcProcess& p, const char* function, int flags) {
    if ((flags & ~(MSG_NOSIGNAL | MSG_DONTWAIT | MSG_PEEK | MSG_CMSG_CLOEXEC)) == 0) return;
    p.refuse("called \"" + std::string{function} + "\" with flags " + std::to_string(flags) +
             ", which a world does not have");
}
/// Sends everything if the socket blocks.
inline ssize_t send_all(LibcProcess& p, LibcSocket& s, std::span<const iovec> iov, int flags) {
    if (s.nonblocking() || (flags & MSG_DONTWAIT) != 0) return s.send(iov, flags);
    ssize_t total = 0;
    for (const iovec& v : iov) {
        for (std::size_t sent = 0; sent != v.iov_len;) {
            const Instant end = s.deadline(true);
            if (!p.wait(end, [&] { return (s.ready() & (EPOLLOUT | EPOLLERR | EPOLLHUP)) != 0; })) {
                return total != 0 ? total : libc_fail(EAGAIN);
            }
            const iovec rest{static_cast<char*>(v.iov_base) + sent, v.iov_len - sent};
            const ssize_t n = s.send({&rest, 1}, flags);
            if (n < 0) return total != 0 ? total : n;
            sent += static_cast<std::size_t>(n);
            total += n;
        }
    }
    return total;
}
/// Whether a descriptor is of socketpair(), whose calls are those of a pipe.
inline bool is_pair(LibcProcess& p, int fd) {
    const auto pipe = std::dynamic_pointer_cast<LibcPipe>(p.file(fd));
    return pipe && pipe->is_socket();
}
inline ssize_t sendmsg(LibcProcess& p, int fd, const msghdr* message, int flags) {
    if (is_pair(p, fd)) {
        return libc_calls::writev(p, fd, message->msg_iov, static_cast<int>(message->msg_iovlen));
    }
    const auto s = socket_of(p, fd);
    if (!s) return -1;
    refuse_flags(p, "sendmsg", flags);
    if (message->msg_controllen != 0) p.refuse("called \"sendmsg\" with control data");
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
    if (is_pair(p, fd)) {
        return libc_calls::readv(p, fd, message->msg_iov, static_cast<int>(message->msg_iovlen));
    }
    const auto s = socket_of(p, fd);
    if (!s) return -1;
    refuse_flags(p, "recvmsg", flags);
    message->msg_namelen = 0;
    message->msg_controllen = 0;
    message->msg_flags = 0;
    return receive_some(p, *s, {message->msg_iov, message->msg_iovlen}, flags);
}
inline ssize_t recv(LibcProcess& p, int fd, void* out, std::size_t size, int flags) {
    iovec iov{out, size};
    msghdr message{};
    message.msg_iov = &iov;
    message.msg_iovlen = 1;
    return libc_calls::recvmsg(p, fd, &message, flags);
}
inline ssize_t recvfrom(LibcProcess& p, int fd, void* out, std::size_t size, int flags,
                        socklen_t* name_size) {
    if (name_size != nullptr) *name_size = 0;
    return libc_calls::recv(p, fd, out, size, flags);
}

}}}}  // namespace belay::detail::libc_calls

// NOLINTEND(bugprone-easily-swappable-parameters)
