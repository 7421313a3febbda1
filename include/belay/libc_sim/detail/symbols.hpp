// SPDX-License-Identifier: MIT
/// \file belay/libc_sim/detail/symbols.hpp
/// libc_symbols: the functions that replace those of the C library in a test program.
#pragma once

#include <time.h>  // clockid_t

#include <sys/utsname.h>  // utsname

#include <cstdarg>      // va_list
#include <cstddef>      // std::size_t
#include <cstdint>      // std::uint32_t
#include <type_traits>  // std::type_identity_t

#include <belay/libc_sim/detail/calls.hpp>
#include <belay/libc_sim/detail/disk_calls.hpp>
#include <belay/libc_sim/detail/names.hpp>
#include <belay/libc_sim/detail/real.hpp>

// NOLINTBEGIN(bugprone-easily-swappable-parameters): the parameters of the C library
// NOLINTBEGIN(readability-function-size): the parameters of the C library

// Shared libraries find only visible symbols. -fvisibility-inlines-hidden must not hide them.
#define BELAY_DETAIL_SYMBOL [[gnu::used, gnu::visibility("default")]]

namespace belay { inline namespace BELAY_ABI { namespace detail { namespace libc_symbols {

// Each function has two names. The one for the compiler is its own, so that its declaration need
// not agree with the header of the C library. The one for the linker is the library's. The objects
// of the program and shared libraries use it.

/// Calls a function of a simulated program, or that of the C library outside of programs.
template <LibcName Name, class R, class... A>
R libc_route(R (*in_world)(LibcProcess&, A...), std::type_identity_t<A>... arguments) {
    if (LibcProcess* const p = LibcProcess::current()) return in_world(*p, arguments...);
    return libc_real<Name, R>(arguments...);
}

// ---- time ---------------------------------------------------------------------------------

BELAY_DETAIL_SYMBOL inline int clock_gettime(clockid_t, timespec*) asm("clock_gettime");
inline int clock_gettime(clockid_t clock, timespec* out) {
    return libc_route<"clock_gettime">(&libc_calls::clock_gettime, clock, out);
}
BELAY_DETAIL_SYMBOL inline int gettimeofday(timeval*, void*) asm("gettimeofday");
inline int gettimeofday(timeval* out, void* zone) {
    return libc_route<"gettimeofday">(&libc_calls::gettimeofday, out, zone);
}
BELAY_DETAIL_SYMBOL inline time_t time(time_t*) asm("time");
inline time_t time(time_t* out) { return libc_route<"time">(&libc_calls::time, out); }
BELAY_DETAIL_SYMBOL inline int timespec_get(timespec*, int) asm("timespec_get");
inline int timespec_get(timespec* out, int base) {
    return libc_route<"timespec_get">(&libc_calls::timespec_get, out, base);
}
BELAY_DETAIL_SYMBOL inline clock_t clock() asm("clock");
inline clock_t clock() { return libc_route<"clock">(&libc_calls::clock); }
BELAY_DETAIL_SYMBOL inline int nanosleep(const timespec*, timespec*) asm("nanosleep");
inline int nanosleep(const timespec* t, timespec* rest) {
    return libc_route<"nanosleep">(&libc_calls::nanosleep, t, rest);
}
BELAY_DETAIL_SYMBOL inline int clock_nanosleep(clockid_t, int, const timespec*,
                                               timespec*) asm("clock_nanosleep");
inline int clock_nanosleep(clockid_t clock, int flags, const timespec* t, timespec* rest) {
    return libc_route<"clock_nanosleep">(&libc_calls::clock_nanosleep, clock, flags, t, rest);
}
BELAY_DETAIL_SYMBOL inline int usleep(useconds_t) asm("usleep");
inline int usleep(useconds_t us) { return libc_route<"usleep">(&libc_calls::usleep, us); }
BELAY_DETAIL_SYMBOL inline unsigned int sleep(unsigned int) asm("sleep");
inline unsigned int sleep(unsigned int seconds) {
    return libc_route<"sleep">(&libc_calls::sleep, seconds);
}
BELAY_DETAIL_SYMBOL inline int sched_yield() asm("sched_yield");
inline int sched_yield() { return libc_route<"sched_yield">(&libc_calls::sched_yield); }

// ---- randomness ---------------------------------------------------------------------------------

BELAY_DETAIL_SYMBOL inline ssize_t getrandom(void*, std::size_t, unsigned int) asm("getrandom");
inline ssize_t getrandom(void* out, std::size_t size, unsigned int flags) {
    return libc_route<"getrandom">(&libc_calls::getrandom, out, size, flags);
}
BELAY_DETAIL_SYMBOL inline int getentropy(void*, std::size_t) asm("getentropy");
inline int getentropy(void* out, std::size_t size) {
    return libc_route<"getentropy">(&libc_calls::getentropy, out, size);
}
BELAY_DETAIL_SYMBOL inline std::uint32_t arc4random() asm("arc4random");
inline std::uint32_t arc4random() { return libc_route<"arc4random">(&libc_calls::arc4random); }
BELAY_DETAIL_SYMBOL inline std::uint32_t arc4random_uniform(std::uint32_t) asm(
    "arc4random_uniform");
inline std::uint32_t arc4random_uniform(std::uint32_t bound) {
    return libc_route<"arc4random_uniform">(&libc_calls::arc4random_uniform, bound);
}
BELAY_DETAIL_SYMBOL inline void arc4random_buf(void*, std::size_t) asm("arc4random_buf");
inline void arc4random_buf(void* out, std::size_t size) {
    return libc_route<"arc4random_buf">(&libc_random, out, size);
}
#ifdef __GLIBCXX__
BELAY_DETAIL_SYMBOL inline unsigned int random_device(void*) asm(
    "_ZNSt13random_device9_M_getvalEv");
inline unsigned int random_device(void* self) {
    return libc_route<"_ZNSt13random_device9_M_getvalEv">(&libc_calls::random_device, self);
}
#else
BELAY_DETAIL_SYMBOL inline unsigned int random_device(void*) asm("_ZNSt3__113random_deviceclEv");
inline unsigned int random_device(void* self) {
    return libc_route<"_ZNSt3__113random_deviceclEv">(&libc_calls::random_device, self);
}
#endif

// ---- descriptors --------------------------------------------------------------------------------

BELAY_DETAIL_SYMBOL inline int close(int) asm("close");
inline int close(int fd) { return libc_route<"close">(&libc_calls::close, fd); }
BELAY_DETAIL_SYMBOL inline ssize_t read(int, void*, std::size_t) asm("read");
inline ssize_t read(int fd, void* out, std::size_t size) {
    return libc_route<"read">(&libc_calls::read, fd, out, size);
}
BELAY_DETAIL_SYMBOL inline ssize_t readv(int, const iovec*, int) asm("readv");
inline ssize_t readv(int fd, const iovec* iov, int count) {
    return libc_route<"readv">(&libc_calls::readv, fd, iov, count);
}
BELAY_DETAIL_SYMBOL inline ssize_t write(int, const void*, std::size_t) asm("write");
inline ssize_t write(int fd, const void* bytes, std::size_t size) {
    return libc_route<"write">(&libc_calls::write, fd, bytes, size);
}
BELAY_DETAIL_SYMBOL inline ssize_t writev(int, const iovec*, int) asm("writev");
inline ssize_t writev(int fd, const iovec* iov, int count) {
    return libc_route<"writev">(&libc_calls::writev, fd, iov, count);
}
BELAY_DETAIL_SYMBOL inline int fcntl(int, int, long) asm("fcntl");
inline int fcntl(int fd, int command, long argument) {
    return libc_route<"fcntl">(&libc_calls::fcntl, fd, command, argument);
}
BELAY_DETAIL_SYMBOL inline int fcntl64(int, int, long) asm("fcntl64");
inline int fcntl64(int fd, int command, long argument) {
    return libc_route<"fcntl64">(&libc_calls::fcntl, fd, command, argument);
}
BELAY_DETAIL_SYMBOL inline int ioctl(int, unsigned long, void*) asm("ioctl");
inline int ioctl(int fd, unsigned long request, void* argument) {
    return libc_route<"ioctl">(&libc_calls::ioctl, fd, request, argument);
}
BELAY_DETAIL_SYMBOL inline int pipe(int*) asm("pipe");
inline int pipe(int* ends) { return libc_route<"pipe">(&libc_calls::pipe, ends); }
BELAY_DETAIL_SYMBOL inline int pipe2(int*, int) asm("pipe2");
inline int pipe2(int* ends, int flags) {
    return libc_route<"pipe2">(&libc_calls::pipe2, ends, flags);
}
BELAY_DETAIL_SYMBOL inline int socketpair(int, int, int, int*) asm("socketpair");
inline int socketpair(int domain, int type, int protocol, int* ends) {
    return libc_route<"socketpair">(&libc_calls::socketpair, domain, type, protocol, ends);
}
BELAY_DETAIL_SYMBOL inline int eventfd(unsigned int, int) asm("eventfd");
inline int eventfd(unsigned int start, int flags) {
    return libc_route<"eventfd">(&libc_calls::eventfd, start, flags);
}
BELAY_DETAIL_SYMBOL inline int eventfd_read(int, std::uint64_t*) asm("eventfd_read");
inline int eventfd_read(int fd, std::uint64_t* out) {
    return libc_route<"eventfd_read">(&libc_calls::eventfd_read, fd, out);
}
BELAY_DETAIL_SYMBOL inline int eventfd_write(int, std::uint64_t) asm("eventfd_write");
inline int eventfd_write(int fd, std::uint64_t more) {
    return libc_route<"eventfd_write">(&libc_calls::eventfd_write, fd, more);
}
BELAY_DETAIL_SYMBOL inline int isatty(int) asm("isatty");
inline int isatty(int fd) { return libc_route<"isatty">(&libc_calls::isatty, fd); }
BELAY_DETAIL_SYMBOL inline int vdprintf(int, const char*, va_list) asm("vdprintf");
inline int vdprintf(int fd, const char* format, va_list arguments) {
    if (LibcProcess* const p = LibcProcess::current()) {
        return libc_calls::vdprintf(*p, fd, format, arguments);
    }
    return libc_real<"vdprintf", int>(fd, format, arguments);
}
BELAY_DETAIL_SYMBOL inline int dprintf(int, const char*, ...) asm("dprintf");
inline int dprintf(int fd, const char* format, ...) {
    va_list arguments;
    va_start(arguments, format);
    const int size = libc_symbols::vdprintf(fd, format, arguments);
    va_end(arguments);
    return size;
}
BELAY_DETAIL_SYMBOL inline int timerfd_create(int, int) asm("timerfd_create");
inline int timerfd_create(int clock, int flags) {
    return libc_route<"timerfd_create">(&libc_calls::timerfd_create, clock, flags);
}
BELAY_DETAIL_SYMBOL inline int timerfd_settime(int, int, const itimerspec*,
                                               itimerspec*) asm("timerfd_settime");
inline int timerfd_settime(int fd, int flags, const itimerspec* to, itimerspec* old) {
    return libc_route<"timerfd_settime">(&libc_calls::timerfd_settime, fd, flags, to, old);
}
BELAY_DETAIL_SYMBOL inline int timerfd_gettime(int, itimerspec*) asm("timerfd_gettime");
inline int timerfd_gettime(int fd, itimerspec* out) {
    return libc_route<"timerfd_gettime">(&libc_calls::timerfd_gettime, fd, out);
}

// ---- waiting for many ---------------------------------------------------------------------------

BELAY_DETAIL_SYMBOL inline int epoll_create(int) asm("epoll_create");
inline int epoll_create(int size) {
    return libc_route<"epoll_create">(&libc_calls::epoll_create, size);
}
BELAY_DETAIL_SYMBOL inline int epoll_create1(int) asm("epoll_create1");
inline int epoll_create1(int flags) {
    return libc_route<"epoll_create1">(&libc_calls::epoll_create1, flags);
}
BELAY_DETAIL_SYMBOL inline int epoll_ctl(int, int, int, epoll_event*) asm("epoll_ctl");
inline int epoll_ctl(int fd, int operation, int watched, epoll_event* event) {
    return libc_route<"epoll_ctl">(&libc_calls::epoll_ctl, fd, operation, watched, event);
}
BELAY_DETAIL_SYMBOL inline int epoll_wait(int, epoll_event*, int, int) asm("epoll_wait");
inline int epoll_wait(int fd, epoll_event* out, int count, int timeout) {
    return libc_route<"epoll_wait">(&libc_calls::epoll_wait, fd, out, count, timeout);
}
BELAY_DETAIL_SYMBOL inline int epoll_pwait(int, epoll_event*, int, int,
                                           const sigset_t*) asm("epoll_pwait");
inline int epoll_pwait(int fd, epoll_event* out, int count, int timeout, const sigset_t* mask) {
    return libc_route<"epoll_pwait">(&libc_calls::epoll_pwait, fd, out, count, timeout, mask);
}
BELAY_DETAIL_SYMBOL inline int epoll_pwait2(int, epoll_event*, int, const timespec*,
                                            const sigset_t*) asm("epoll_pwait2");
inline int epoll_pwait2(int fd, epoll_event* out, int count, const timespec* timeout,
                        const sigset_t* mask) {
    return libc_route<"epoll_pwait2">(&libc_calls::epoll_pwait2, fd, out, count, timeout, mask);
}
BELAY_DETAIL_SYMBOL inline int poll(pollfd*, nfds_t, int) asm("poll");
inline int poll(pollfd* entries, nfds_t count, int timeout) {
    return libc_route<"poll">(&libc_calls::poll, entries, count, timeout);
}
BELAY_DETAIL_SYMBOL inline int ppoll(pollfd*, nfds_t, const timespec*,
                                     const sigset_t*) asm("ppoll");
inline int ppoll(pollfd* entries, nfds_t count, const timespec* timeout, const sigset_t* mask) {
    return libc_route<"ppoll">(&libc_calls::ppoll, entries, count, timeout, mask);
}
BELAY_DETAIL_SYMBOL inline int select(int, fd_set*, fd_set*, fd_set*, timeval*) asm("select");
inline int select(int count, fd_set* reads, fd_set* writes, fd_set* exceptions, timeval* timeout) {
    return libc_route<"select">(&libc_calls::select, count, reads, writes, exceptions, timeout);
}
BELAY_DETAIL_SYMBOL inline int pselect(int, fd_set*, fd_set*, fd_set*, const timespec*,
                                       const sigset_t*) asm("pselect");
inline int pselect(int count, fd_set* reads, fd_set* writes, fd_set* exceptions,
                   const timespec* timeout, const sigset_t* mask) {
    if (LibcProcess* const p = LibcProcess::current()) {
        return libc_calls::pselect(*p, count, {reads, writes, exceptions}, timeout, mask);
    }
    return libc_real<"pselect", int>(count, reads, writes, exceptions, timeout, mask);
}

// ---- sockets ------------------------------------------------------------------------------------

BELAY_DETAIL_SYMBOL inline int socket(int, int, int) asm("socket");
inline int socket(int domain, int type, int protocol) {
    return libc_route<"socket">(&libc_calls::socket, domain, type, protocol);
}
BELAY_DETAIL_SYMBOL inline int bind(int, const sockaddr*, socklen_t) asm("bind");
inline int bind(int fd, const sockaddr* address, socklen_t size) {
    return libc_route<"bind">(&libc_calls::bind, fd, address, size);
}
BELAY_DETAIL_SYMBOL inline int listen(int, int) asm("listen");
inline int listen(int fd, int backlog) {
    return libc_route<"listen">(&libc_calls::listen, fd, backlog);
}
BELAY_DETAIL_SYMBOL inline int accept(int, sockaddr*, socklen_t*) asm("accept");
inline int accept(int fd, sockaddr* peer, socklen_t* size) {
    return libc_route<"accept">(&libc_calls::accept, fd, peer, size);
}
BELAY_DETAIL_SYMBOL inline int accept4(int, sockaddr*, socklen_t*, int) asm("accept4");
inline int accept4(int fd, sockaddr* peer, socklen_t* size, int flags) {
    return libc_route<"accept4">(&libc_calls::accept4, fd, peer, size, flags);
}
BELAY_DETAIL_SYMBOL inline int connect(int, const sockaddr*, socklen_t) asm("connect");
inline int connect(int fd, const sockaddr* address, socklen_t size) {
    return libc_route<"connect">(&libc_calls::connect, fd, address, size);
}
BELAY_DETAIL_SYMBOL inline int shutdown(int, int) asm("shutdown");
inline int shutdown(int fd, int how) {
    return libc_route<"shutdown">(&libc_calls::shutdown, fd, how);
}
BELAY_DETAIL_SYMBOL inline int getsockopt(int, int, int, void*, socklen_t*) asm("getsockopt");
inline int getsockopt(int fd, int level, int name, void* value, socklen_t* size) {
    return libc_route<"getsockopt">(&libc_calls::getsockopt, fd, level, name, value, size);
}
BELAY_DETAIL_SYMBOL inline int setsockopt(int, int, int, const void*, socklen_t) asm("setsockopt");
inline int setsockopt(int fd, int level, int name, const void* value, socklen_t size) {
    return libc_route<"setsockopt">(&libc_calls::setsockopt, fd, level, name, value, size);
}
BELAY_DETAIL_SYMBOL inline int getsockname(int, sockaddr*, socklen_t*) asm("getsockname");
inline int getsockname(int fd, sockaddr* out, socklen_t* size) {
    return libc_route<"getsockname">(&libc_calls::getsockname, fd, out, size);
}
BELAY_DETAIL_SYMBOL inline int getpeername(int, sockaddr*, socklen_t*) asm("getpeername");
inline int getpeername(int fd, sockaddr* out, socklen_t* size) {
    return libc_route<"getpeername">(&libc_calls::getpeername, fd, out, size);
}
BELAY_DETAIL_SYMBOL inline ssize_t send(int, const void*, std::size_t, int) asm("send");
inline ssize_t send(int fd, const void* bytes, std::size_t size, int flags) {
    return libc_route<"send">(&libc_calls::send, fd, bytes, size, flags);
}
BELAY_DETAIL_SYMBOL inline ssize_t sendto(int, const void*, std::size_t, int, const sockaddr*,
                                          socklen_t) asm("sendto");
inline ssize_t sendto(int fd, const void* bytes, std::size_t size, int flags, const sockaddr* to,
                      socklen_t to_size) {
    if (LibcProcess* const p = LibcProcess::current()) {
        return libc_calls::send(*p, fd, bytes, size, flags);  // TCP ignores the address
    }
    return libc_real<"sendto", ssize_t>(fd, bytes, size, flags, to, to_size);
}
BELAY_DETAIL_SYMBOL inline ssize_t sendmsg(int, const msghdr*, int) asm("sendmsg");
inline ssize_t sendmsg(int fd, const msghdr* message, int flags) {
    return libc_route<"sendmsg">(&libc_calls::sendmsg, fd, message, flags);
}
BELAY_DETAIL_SYMBOL inline ssize_t recv(int, void*, std::size_t, int) asm("recv");
inline ssize_t recv(int fd, void* out, std::size_t size, int flags) {
    return libc_route<"recv">(&libc_calls::recv, fd, out, size, flags);
}
BELAY_DETAIL_SYMBOL inline ssize_t recvfrom(int, void*, std::size_t, int, sockaddr*,
                                            socklen_t*) asm("recvfrom");
inline ssize_t recvfrom(int fd, void* out, std::size_t size, int flags, sockaddr* from,
                        socklen_t* from_size) {
    if (LibcProcess* const p = LibcProcess::current()) {
        return libc_calls::recvfrom(*p, fd, out, size, flags, from_size);
    }
    return libc_real<"recvfrom", ssize_t>(fd, out, size, flags, from, from_size);
}
BELAY_DETAIL_SYMBOL inline ssize_t recvmsg(int, msghdr*, int) asm("recvmsg");
inline ssize_t recvmsg(int fd, msghdr* message, int flags) {
    return libc_route<"recvmsg">(&libc_calls::recvmsg, fd, message, flags);
}

// ---- names --------------------------------------------------------------------------------------

BELAY_DETAIL_SYMBOL inline int getaddrinfo(const char*, const char*, const addrinfo*,
                                           addrinfo**) asm("getaddrinfo");
inline int getaddrinfo(const char* node, const char* service, const addrinfo* hints,
                       addrinfo** out) {
    return libc_route<"getaddrinfo">(&libc_names::getaddrinfo, node, service, hints, out);
}
BELAY_DETAIL_SYMBOL inline void freeaddrinfo(addrinfo*) asm("freeaddrinfo");
inline void freeaddrinfo(addrinfo* info) {
    return libc_route<"freeaddrinfo">(&libc_names::freeaddrinfo, info);
}
BELAY_DETAIL_SYMBOL inline int gethostname(char*, std::size_t) asm("gethostname");
inline int gethostname(char* out, std::size_t size) {
    return libc_route<"gethostname">(&libc_names::gethostname, out, size);
}

BELAY_DETAIL_SYMBOL inline int uname(utsname*) asm("uname");
inline int uname(utsname* out) {
    const int result = libc_real<"uname", int>(out);
    if (LibcProcess* const p = LibcProcess::current()) {
        return libc_names::gethostname(*p, out->nodename, sizeof out->nodename);
    }
    return result;
}

// ---- files --------------------------------------------------------------------------------------

BELAY_DETAIL_SYMBOL inline int open(const char*, int, mode_t) asm("open");
inline int open(const char* path, int flags, mode_t mode) {
    return libc_route<"open">(&libc_files::open, path, flags, mode);
}
BELAY_DETAIL_SYMBOL inline int open64(const char*, int, mode_t) asm("open64");
inline int open64(const char* path, int flags, mode_t mode) {
    return libc_route<"open64">(&libc_files::open, path, flags, mode);
}
BELAY_DETAIL_SYMBOL inline int openat(int, const char*, int, mode_t) asm("openat");
inline int openat(int directory, const char* path, int flags, mode_t mode) {
    return libc_route<"openat">(&libc_files::openat, directory, path, flags, mode);
}
BELAY_DETAIL_SYMBOL inline int openat64(int, const char*, int, mode_t) asm("openat64");
inline int openat64(int directory, const char* path, int flags, mode_t mode) {
    return libc_route<"openat64">(&libc_files::openat, directory, path, flags, mode);
}
BELAY_DETAIL_SYMBOL inline int creat(const char*, mode_t) asm("creat");
inline int creat(const char* path, mode_t mode) {
    return libc_route<"creat">(&libc_files::creat, path, mode);
}
BELAY_DETAIL_SYMBOL inline int creat64(const char*, mode_t) asm("creat64");
inline int creat64(const char* path, mode_t mode) {
    return libc_route<"creat64">(&libc_files::creat, path, mode);
}
BELAY_DETAIL_SYMBOL inline ssize_t pread(int, void*, std::size_t, off_t) asm("pread");
inline ssize_t pread(int fd, void* out, std::size_t size, off_t offset) {
    return libc_route<"pread">(&libc_files::pread, fd, out, size, offset);
}
BELAY_DETAIL_SYMBOL inline ssize_t pread64(int, void*, std::size_t, off_t) asm("pread64");
inline ssize_t pread64(int fd, void* out, std::size_t size, off_t offset) {
    return libc_route<"pread64">(&libc_files::pread, fd, out, size, offset);
}
BELAY_DETAIL_SYMBOL inline ssize_t pwrite(int, const void*, std::size_t, off_t) asm("pwrite");
inline ssize_t pwrite(int fd, const void* bytes, std::size_t size, off_t offset) {
    return libc_route<"pwrite">(&libc_files::pwrite, fd, bytes, size, offset);
}
BELAY_DETAIL_SYMBOL inline ssize_t pwrite64(int, const void*, std::size_t, off_t) asm("pwrite64");
inline ssize_t pwrite64(int fd, const void* bytes, std::size_t size, off_t offset) {
    return libc_route<"pwrite64">(&libc_files::pwrite, fd, bytes, size, offset);
}
BELAY_DETAIL_SYMBOL inline ssize_t preadv(int, const iovec*, int, off_t) asm("preadv");
inline ssize_t preadv(int fd, const iovec* iov, int count, off_t offset) {
    return libc_route<"preadv">(&libc_files::preadv, fd, iov, count, offset);
}
BELAY_DETAIL_SYMBOL inline ssize_t preadv64(int, const iovec*, int, off_t) asm("preadv64");
inline ssize_t preadv64(int fd, const iovec* iov, int count, off_t offset) {
    return libc_route<"preadv64">(&libc_files::preadv, fd, iov, count, offset);
}
BELAY_DETAIL_SYMBOL inline ssize_t pwritev(int, const iovec*, int, off_t) asm("pwritev");
inline ssize_t pwritev(int fd, const iovec* iov, int count, off_t offset) {
    return libc_route<"pwritev">(&libc_files::pwritev, fd, iov, count, offset);
}
BELAY_DETAIL_SYMBOL inline ssize_t pwritev64(int, const iovec*, int, off_t) asm("pwritev64");
inline ssize_t pwritev64(int fd, const iovec* iov, int count, off_t offset) {
    return libc_route<"pwritev64">(&libc_files::pwritev, fd, iov, count, offset);
}
BELAY_DETAIL_SYMBOL inline off_t lseek(int, off_t, int) asm("lseek");
inline off_t lseek(int fd, off_t to, int from) {
    return libc_route<"lseek">(&libc_files::lseek, fd, to, from);
}
BELAY_DETAIL_SYMBOL inline off_t lseek64(int, off_t, int) asm("lseek64");
inline off_t lseek64(int fd, off_t to, int from) {
    return libc_route<"lseek64">(&libc_files::lseek, fd, to, from);
}
BELAY_DETAIL_SYMBOL inline int truncate(const char*, off_t) asm("truncate");
inline int truncate(const char* path, off_t bytes) {
    return libc_route<"truncate">(&libc_files::truncate, path, bytes);
}
BELAY_DETAIL_SYMBOL inline int truncate64(const char*, off_t) asm("truncate64");
inline int truncate64(const char* path, off_t bytes) {
    return libc_route<"truncate64">(&libc_files::truncate, path, bytes);
}
BELAY_DETAIL_SYMBOL inline int ftruncate(int, off_t) asm("ftruncate");
inline int ftruncate(int fd, off_t bytes) {
    return libc_route<"ftruncate">(&libc_files::ftruncate, fd, bytes);
}
BELAY_DETAIL_SYMBOL inline int ftruncate64(int, off_t) asm("ftruncate64");
inline int ftruncate64(int fd, off_t bytes) {
    return libc_route<"ftruncate64">(&libc_files::ftruncate, fd, bytes);
}
BELAY_DETAIL_SYMBOL inline int fallocate(int, int, off_t, off_t) asm("fallocate");
inline int fallocate(int fd, int mode, off_t offset, off_t bytes) {
    return libc_route<"fallocate">(&libc_files::fallocate, fd, mode, offset, bytes);
}
BELAY_DETAIL_SYMBOL inline int fallocate64(int, int, off_t, off_t) asm("fallocate64");
inline int fallocate64(int fd, int mode, off_t offset, off_t bytes) {
    return libc_route<"fallocate64">(&libc_files::fallocate, fd, mode, offset, bytes);
}
BELAY_DETAIL_SYMBOL inline int posix_fallocate(int, off_t, off_t) asm("posix_fallocate");
inline int posix_fallocate(int fd, off_t offset, off_t bytes) {
    return libc_route<"posix_fallocate">(&libc_files::posix_fallocate, fd, offset, bytes);
}
BELAY_DETAIL_SYMBOL inline int posix_fallocate64(int, off_t, off_t) asm("posix_fallocate64");
inline int posix_fallocate64(int fd, off_t offset, off_t bytes) {
    return libc_route<"posix_fallocate64">(&libc_files::posix_fallocate, fd, offset, bytes);
}
BELAY_DETAIL_SYMBOL inline int fsync(int) asm("fsync");
inline int fsync(int fd) { return libc_route<"fsync">(&libc_files::fsync, fd); }
BELAY_DETAIL_SYMBOL inline int fdatasync(int) asm("fdatasync");
inline int fdatasync(int fd) { return libc_route<"fdatasync">(&libc_files::fsync, fd); }
BELAY_DETAIL_SYMBOL inline void* mmap(void*, std::size_t, int, int, int, off_t) asm("mmap");
inline void* mmap(void* place, std::size_t size, int protection, int flags, int fd, off_t offset) {
    LibcProcess* const p = LibcProcess::current();
    if (p != nullptr && fd != -1) return libc_files::mmap(*p, fd);
    return libc_real<"mmap", void*>(place, size, protection, flags, fd, offset);
}
BELAY_DETAIL_SYMBOL inline void* mmap64(void*, std::size_t, int, int, int, off_t) asm("mmap64");
inline void* mmap64(void* place, std::size_t size, int protection, int flags, int fd,
                    off_t offset) {
    LibcProcess* const p = LibcProcess::current();
    if (p != nullptr && fd != -1) return libc_files::mmap(*p, fd);
    return libc_real<"mmap64", void*>(place, size, protection, flags, fd, offset);
}
BELAY_DETAIL_SYMBOL inline int stat(const char*, struct stat*) asm("stat");
inline int stat(const char* path, struct stat* out) {
    return libc_route<"stat">(&libc_files::stat, path, out);
}
BELAY_DETAIL_SYMBOL inline int stat64(const char*, struct stat*) asm("stat64");
inline int stat64(const char* path, struct stat* out) {
    return libc_route<"stat64">(&libc_files::stat, path, out);
}
BELAY_DETAIL_SYMBOL inline int lstat(const char*, struct stat*) asm("lstat");
inline int lstat(const char* path, struct stat* out) {
    return libc_route<"lstat">(&libc_files::stat, path, out);
}
BELAY_DETAIL_SYMBOL inline int lstat64(const char*, struct stat*) asm("lstat64");
inline int lstat64(const char* path, struct stat* out) {
    return libc_route<"lstat64">(&libc_files::stat, path, out);
}
BELAY_DETAIL_SYMBOL inline int fstat(int, struct stat*) asm("fstat");
inline int fstat(int fd, struct stat* out) {
    return libc_route<"fstat">(&libc_files::fstat, fd, out);
}
BELAY_DETAIL_SYMBOL inline int fstat64(int, struct stat*) asm("fstat64");
inline int fstat64(int fd, struct stat* out) {
    return libc_route<"fstat64">(&libc_files::fstat, fd, out);
}
BELAY_DETAIL_SYMBOL inline int fstatat(int, const char*, struct stat*, int) asm("fstatat");
inline int fstatat(int directory, const char* path, struct stat* out, int flags) {
    return libc_route<"fstatat">(&libc_files::fstatat, directory, path, out, flags);
}
BELAY_DETAIL_SYMBOL inline int fstatat64(int, const char*, struct stat*, int) asm("fstatat64");
inline int fstatat64(int directory, const char* path, struct stat* out, int flags) {
    return libc_route<"fstatat64">(&libc_files::fstatat, directory, path, out, flags);
}
BELAY_DETAIL_SYMBOL inline int statx(int, const char*, int, unsigned int,
                                     struct statx*) asm("statx");
inline int statx(int directory, const char* path, int flags, unsigned int mask, struct statx* out) {
    return libc_route<"statx">(&libc_files::statx, directory, path, flags, mask, out);
}
BELAY_DETAIL_SYMBOL inline int access(const char*, int) asm("access");
inline int access(const char* path, int mode) {
    return libc_route<"access">(&libc_files::access, path, mode);
}
BELAY_DETAIL_SYMBOL inline ssize_t readlink(const char*, char*, std::size_t) asm("readlink");
inline ssize_t readlink(const char* path, char* out, std::size_t size) {
    return libc_route<"readlink">(&libc_files::readlink, path, out, size);
}
BELAY_DETAIL_SYMBOL inline int fchown(int, uid_t, gid_t) asm("fchown");
inline int fchown(int fd, uid_t user, gid_t group) {
    return libc_route<"fchown">(&libc_files::fchown, fd, user, group);
}
BELAY_DETAIL_SYMBOL inline int fchmod(int, mode_t) asm("fchmod");
inline int fchmod(int fd, mode_t mode) {
    return libc_route<"fchmod">(&libc_files::fchmod, fd, mode);
}
BELAY_DETAIL_SYMBOL inline int mkdir(const char*, mode_t) asm("mkdir");
inline int mkdir(const char* path, mode_t mode) {
    return libc_route<"mkdir">(&libc_files::mkdir, path, mode);
}
BELAY_DETAIL_SYMBOL inline int unlink(const char*) asm("unlink");
inline int unlink(const char* path) { return libc_route<"unlink">(&libc_files::unlink, path); }
BELAY_DETAIL_SYMBOL inline int remove(const char*) asm("remove");
inline int remove(const char* path) { return libc_route<"remove">(&libc_files::remove, path); }
BELAY_DETAIL_SYMBOL inline int rename(const char*, const char*) asm("rename");
inline int rename(const char* from, const char* to) {
    return libc_route<"rename">(&libc_files::rename, from, to);
}
BELAY_DETAIL_SYMBOL inline char* getcwd(char*, std::size_t) asm("getcwd");
inline char* getcwd(char* out, std::size_t size) {
    return libc_route<"getcwd">(&libc_files::getcwd, out, size);
}
BELAY_DETAIL_SYMBOL inline DIR* opendir(const char*) asm("opendir");
inline DIR* opendir(const char* path) { return libc_route<"opendir">(&libc_files::opendir, path); }
BELAY_DETAIL_SYMBOL inline dirent* readdir(DIR*) asm("readdir");
inline dirent* readdir(DIR* directory) {
    return libc_route<"readdir">(&libc_files::readdir, directory);
}
BELAY_DETAIL_SYMBOL inline dirent* readdir64(DIR*) asm("readdir64");
inline dirent* readdir64(DIR* directory) {
    return libc_route<"readdir64">(&libc_files::readdir, directory);
}
BELAY_DETAIL_SYMBOL inline int closedir(DIR*) asm("closedir");
inline int closedir(DIR* directory) {
    return libc_route<"closedir">(&libc_files::closedir, directory);
}
BELAY_DETAIL_SYMBOL inline int flock(int, int) asm("flock");
inline int flock(int fd, int operation) {
    return libc_route<"flock">(&libc_files::flock, fd, operation);
}

// ---- the end ------------------------------------------------------------------------------

BELAY_DETAIL_SYMBOL [[noreturn]] inline void exit_now(int) asm("_exit");
inline void exit_now(int code) {
    if (LibcProcess* const p = LibcProcess::current()) p->exit(code);
    libc_real<"_exit", void>(code);
    __builtin_unreachable();
}
BELAY_DETAIL_SYMBOL [[noreturn]] inline void exit_c(int) asm("_Exit");
inline void exit_c(int code) { libc_symbols::exit_now(code); }
BELAY_DETAIL_SYMBOL [[noreturn]] inline void quick_exit(int) asm("quick_exit");
inline void quick_exit(int code) {
    if (LibcProcess* const p = LibcProcess::current()) p->exit(code);
    libc_real<"quick_exit", void>(code);
    __builtin_unreachable();
}
/// The destructors of a program's thread-local variables do not run: the thread is the test's.
BELAY_DETAIL_SYMBOL inline int thread_atexit(void (*)(void*), void*,
                                             void*) asm("__cxa_thread_atexit");
inline int thread_atexit(void (*destroy)(void*), void* object, void* library) {
    if (LibcProcess::current() != nullptr) return 0;
    return libc_real<"__cxa_thread_atexit", int>(destroy, object, library);
}

}}}}  // namespace belay::detail::libc_symbols

#undef BELAY_DETAIL_SYMBOL

// NOLINTEND(readability-function-size)
// NOLINTEND(bugprone-easily-swappable-parameters)
