// SPDX-License-Identifier: MIT
/// \file belay/libc_sim/detail/symbols.hpp
/// libc_symbols: the functions that replace those of the C library in a test program.
#pragma once

#include <argp.h>         // argp
#include <err.h>          // vwarn
#include <error.h>        // error_message_count
#include <sys/syscall.h>  // SYS_futex

#include <cerrno>       // program_invocation_name
#include <cstdarg>      // va_list
#include <cstddef>      // std::size_t
#include <cstdio>       // std::vfprintf
#include <cstring>      // strerror
#include <string>       // std::string
#include <string_view>  // std::string_view
#include <type_traits>  // std::is_pointer_v
#include <utility>      // std::index_sequence_for
#include <vector>       // std::vector

#include <belay/libc_sim/detail/calls.hpp>
#include <belay/libc_sim/detail/disk_calls.hpp>
#include <belay/libc_sim/detail/names.hpp>
#include <belay/libc_sim/detail/real.hpp>
#include <belay/libc_sim/detail/signals.hpp>
#include <belay/libc_sim/detail/streams.hpp>

// NOLINTBEGIN(bugprone-easily-swappable-parameters): the parameters of the C library
// NOLINTBEGIN(readability-function-size): the parameters of the C library

namespace belay { inline namespace BELAY_ABI { namespace detail { namespace libc_symbols {

// Each function has two names. The one for the compiler is its own, so that its declaration need
// not agree with the header of the C library. The one for the linker is the library's. The objects
// of the program and shared libraries use it.
//
// All have the same parameters. In the C ABI of a 64-bit Linux, each number and each pointer has a
// register of its own, or a place on the stack. A function ignores the rest.

/// Converts a register to the type of a parameter.
template <class T>
T libc_argument(long value) noexcept {
    if constexpr (std::is_pointer_v<T>) {
        return reinterpret_cast<T>(value);
    } else {
        return static_cast<T>(value);
    }
}
template <std::size_t... I, class R, class... A>
long libc_call(std::index_sequence<I...>, R (*in_world)(LibcProcess&, A...), LibcProcess& p,
               const long (&values)[7]) {
    if constexpr (std::is_void_v<R>) {
        in_world(p, libc_argument<A>(values[I])...);
        return 0;
    } else if constexpr (std::is_pointer_v<R>) {
        return reinterpret_cast<long>(in_world(p, libc_argument<A>(values[I])...));
    } else {
        return static_cast<long>(in_world(p, libc_argument<A>(values[I])...));
    }
}
/// Calls a function of a simulated program, or that of the C library outside of programs.
template <LibcName Name, class R, class... A>
long libc_route(R (*in_world)(LibcProcess&, A...), const long (&v)[7]) {
    if (LibcProcess* const p = LibcProcess::current()) {
        p->calls(Name.text);
        return libc_call(std::index_sequence_for<A...>{}, in_world, *p, v);
    }
    return libc_real<Name, long>(v[0], v[1], v[2], v[3], v[4], v[5], v[6]);
}
/// Rejects a call of a simulated program.
inline void refuse_in_program(const char* name) {
    LibcProcess* const p = LibcProcess::current();
    if (p == nullptr) return;
    p->calls(name);
    bool is_of_threads = false;
    for (const char* const begin : {"pthread_", "thrd_", "cnd_", "sem_"}) {
        is_of_threads |= std::string_view{name}.starts_with(begin);
    }
    p->refuse_call("", is_of_threads ? ": a program has one thread" : "");
}
/// The same. Outside of programs, it calls the C library.
template <LibcName Name>
long libc_refuse(const long (&v)[7]) {
    refuse_in_program(Name.text);
    return libc_real<Name, long>(v[0], v[1], v[2], v[3], v[4], v[5], v[6]);
}

/// The same, of a function whose first argument is the version of a struct.
template <LibcName Name, class R, class... A>
long libc_route_version(R (*in_world)(LibcProcess&, A...), const long (&v)[7]) {
    if (LibcProcess* const p = LibcProcess::current()) {
        return libc_call(std::index_sequence_for<A...>{}, in_world, *p,
                         {v[1], v[2], v[3], v[4], v[5], v[6], 0});
    }
    return libc_real<Name, long>(v[0], v[1], v[2], v[3], v[4], v[5], v[6]);
}

// ---- functions whose parameters are in another order --------------------------------------------

inline int pselect(LibcProcess& p, int count, fd_set* reads, fd_set* writes, fd_set* exceptions,
                   const timespec* timeout, const sigset_t* mask) {
    return libc_calls::pselect(p, count, {reads, writes, exceptions}, timeout, mask);
}
inline ssize_t recv_checked(LibcProcess& p, int fd, void* out, std::size_t size, std::size_t,
                            int flags) {
    return libc_calls::recv(p, fd, out, size, flags);
}
inline ssize_t recvfrom_checked(LibcProcess& p, int fd, void* out, std::size_t size, std::size_t,
                                int flags, sockaddr* from, socklen_t* from_size) {
    return libc_calls::recvfrom(p, fd, out, size, flags, from, from_size);
}

// ---- the macros ---------------------------------------------------------------------------------

// Shared libraries find only visible symbols. -fvisibility-inlines-hidden must not hide them.
#define BELAY_DETAIL_SYMBOL [[gnu::used, gnu::visibility("default")]]
// Defines a function of this name, which calls `route<name>(..., values)`.
#define BELAY_DETAIL_ROUTE(name, route, ...)                                          \
    BELAY_DETAIL_SYMBOL inline long libc_##name(long, long, long, long, long, long,   \
                                                long) asm(#name);                     \
    inline long libc_##name(long a, long b, long c, long d, long e, long f, long g) { \
        return route<#name>(__VA_ARGS__ __VA_OPT__(, ){a, b, c, d, e, f, g});         \
    }
// Defines functions that have the same name in a namespace of calls.
#define BELAY_DETAIL_REPLACE(calls, ...) \
    BELAY_DETAIL_EACH(BELAY_DETAIL_REPLACE_ONE, calls, __VA_ARGS__)
#define BELAY_DETAIL_REPLACE_ONE(calls, name) BELAY_DETAIL_ROUTE(name, libc_route, &calls::name)
// Defines functions that are another one in a program.
#define BELAY_DETAIL_REPLACE_BY(in_world, ...) \
    BELAY_DETAIL_EACH(BELAY_DETAIL_REPLACE_BY_ONE, in_world, __VA_ARGS__)
#define BELAY_DETAIL_REPLACE_BY_ONE(in_world, name) BELAY_DETAIL_ROUTE(name, libc_route, &in_world)
// Defines functions that a program must not call.
#define BELAY_DETAIL_REFUSE(...) BELAY_DETAIL_EACH(BELAY_DETAIL_REFUSE_ONE, , __VA_ARGS__)
#define BELAY_DETAIL_REFUSE_ONE(unused, name) BELAY_DETAIL_ROUTE(name, libc_refuse)
// Applies a macro to each name of a list, with the same first argument. At most 256 names.
// Source: D. Mazieres, "Recursive macros with C++20 __VA_OPT__" (2021).
#define BELAY_DETAIL_EACH(macro, first, ...) \
    BELAY_DETAIL_SCAN_256(BELAY_DETAIL_NEXT(macro, first, __VA_ARGS__))
#define BELAY_DETAIL_NEXT(macro, first, name, ...) \
    macro(first, name)                             \
        __VA_OPT__(BELAY_DETAIL_AGAIN BELAY_DETAIL_PARENTHESES(macro, first, __VA_ARGS__))
#define BELAY_DETAIL_AGAIN() BELAY_DETAIL_NEXT
#define BELAY_DETAIL_PARENTHESES ()
#define BELAY_DETAIL_SCAN_256(...) \
    BELAY_DETAIL_SCAN_64(          \
        BELAY_DETAIL_SCAN_64(BELAY_DETAIL_SCAN_64(BELAY_DETAIL_SCAN_64(__VA_ARGS__))))
#define BELAY_DETAIL_SCAN_64(...) \
    BELAY_DETAIL_SCAN_16(         \
        BELAY_DETAIL_SCAN_16(BELAY_DETAIL_SCAN_16(BELAY_DETAIL_SCAN_16(__VA_ARGS__))))
#define BELAY_DETAIL_SCAN_16(...) \
    BELAY_DETAIL_SCAN_4(BELAY_DETAIL_SCAN_4(BELAY_DETAIL_SCAN_4(BELAY_DETAIL_SCAN_4(__VA_ARGS__))))
#define BELAY_DETAIL_SCAN_4(...) \
    BELAY_DETAIL_SCAN(BELAY_DETAIL_SCAN(BELAY_DETAIL_SCAN(BELAY_DETAIL_SCAN(__VA_ARGS__))))
#define BELAY_DETAIL_SCAN(...) __VA_ARGS__

// It sets each name of a list on a line of its own.
// clang-format off

// ---- time and randomness ------------------------------------------------------------------------

BELAY_DETAIL_REPLACE(libc_calls,
    clock_gettime, gettimeofday, time, timespec_get, clock, nanosleep, clock_nanosleep, usleep,
    sleep, sched_yield, getrandom, getentropy, arc4random, arc4random_uniform)
BELAY_DETAIL_REPLACE_BY(libc_random, arc4random_buf)
#ifdef __GLIBCXX__
BELAY_DETAIL_REPLACE_BY(libc_calls::random_device, _ZNSt13random_device9_M_getvalEv)
#else
BELAY_DETAIL_REPLACE_BY(libc_calls::random_device, _ZNSt3__113random_deviceclEv)
#endif

// ---- state of the process -----------------------------------------------------------------------

BELAY_DETAIL_REPLACE(libc_state,
    rand, srand, initstate, setstate, lrand48, mrand48, nrand48, jrand48, srand48, seed48, lcong48,
    getpid, getppid, getpgid, umask, prlimit, getrlimit, setrlimit)
// Some have several names: of 64 bits, of the C library itself, of -D_FORTIFY_SOURCE, or old ones.
BELAY_DETAIL_REPLACE_BY(libc_state::rand, random)
BELAY_DETAIL_REPLACE_BY(libc_state::srand, srandom)
BELAY_DETAIL_REPLACE_BY(libc_state::getpid, gettid, getpgrp, __getpid)
BELAY_DETAIL_REPLACE_BY(libc_state::getpgid, getsid, __getpgid)
BELAY_DETAIL_REPLACE_BY(libc_state::prlimit, prlimit64)
BELAY_DETAIL_REPLACE_BY(libc_state::getrlimit, getrlimit64)
BELAY_DETAIL_REPLACE_BY(libc_state::setrlimit, setrlimit64)
// Their results have registers of their own.
BELAY_DETAIL_SYMBOL inline double drand48() asm("drand48");
inline double drand48() {
    LibcProcess* const p = LibcProcess::current();
    if (p == nullptr) return libc_real<"drand48", double>();
    double value = 0;
    drand48_r(&p->state().drand48(), &value);
    return value;
}
BELAY_DETAIL_SYMBOL inline double erand48(unsigned short*) asm("erand48");
inline double erand48(unsigned short* x) {
    LibcProcess* const p = LibcProcess::current();
    if (p == nullptr) return libc_real<"erand48", double>(x);
    double value = 0;
    erand48_r(x, &p->state().drand48(), &value);
    return value;
}

// ---- descriptors, waiting for many, and sockets -------------------------------------------------

BELAY_DETAIL_REPLACE(libc_calls,
    close, read, readv, write, writev, fcntl, ioctl, pipe, pipe2, socketpair, eventfd,
    eventfd_read, eventfd_write, isatty, timerfd_create, timerfd_settime, timerfd_gettime,
    epoll_create, epoll_create1, epoll_ctl, epoll_wait, epoll_pwait, epoll_pwait2, poll, ppoll,
    select, socket, bind, listen, accept, accept4, connect, shutdown, getsockopt, setsockopt,
    getsockname, getpeername, send, sendto, sendmsg, recv, recvfrom, recvmsg, sendfile,
    copy_file_range, dup, dup2, dup3)
BELAY_DETAIL_REPLACE(libc_symbols, pselect)
BELAY_DETAIL_REPLACE_BY(libc_calls::dup2, __dup2)
BELAY_DETAIL_REPLACE_BY(libc_calls::sendfile, sendfile64)
BELAY_DETAIL_REPLACE_BY(libc_calls::fcntl, fcntl64, __fcntl)
BELAY_DETAIL_REPLACE_BY(libc_calls::clock_gettime, __clock_gettime)
BELAY_DETAIL_REPLACE_BY(libc_calls::gettimeofday, __gettimeofday)
BELAY_DETAIL_REPLACE_BY(libc_calls::nanosleep, __nanosleep)
BELAY_DETAIL_REPLACE_BY(libc_calls::sched_yield, __sched_yield, pthread_yield, thrd_yield)
BELAY_DETAIL_REPLACE_BY(libc_calls::close, __close)
BELAY_DETAIL_REPLACE_BY(libc_calls::read, __read, __read_chk)
BELAY_DETAIL_REPLACE_BY(libc_calls::write, __write)
BELAY_DETAIL_REPLACE_BY(libc_calls::pipe, __pipe)
BELAY_DETAIL_REPLACE_BY(libc_calls::poll, __poll, __poll_chk)
BELAY_DETAIL_REPLACE_BY(libc_calls::select, __select)
BELAY_DETAIL_REPLACE_BY(libc_calls::connect, __connect)
BELAY_DETAIL_REPLACE_BY(libc_calls::send, __send)
BELAY_DETAIL_REPLACE_BY(libc_symbols::recv_checked, __recv_chk)
BELAY_DETAIL_REPLACE_BY(libc_symbols::recvfrom_checked, __recvfrom_chk)
BELAY_DETAIL_REPLACE_BY(libc_calls::ppoll, __ppoll_chk)
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

// ---- names --------------------------------------------------------------------------------------

BELAY_DETAIL_REPLACE(libc_names, getaddrinfo, freeaddrinfo, getnameinfo, gethostname, uname)
BELAY_DETAIL_REPLACE_BY(libc_names::gethostname, __gethostname_chk)

// ---- files and streams --------------------------------------------------------------------------

BELAY_DETAIL_REPLACE(libc_files,
    open, openat, creat, pread, pwrite, preadv, pwritev, lseek, truncate, ftruncate, fallocate,
    posix_fallocate, fsync, stat, fstat, fstatat, statx, access, faccessat, readlink, readlinkat,
    fchown, fchmod, fchmodat, chmod, utimensat, futimens, statvfs, fstatvfs, mkdir, mkdirat, rmdir,
    unlink, unlinkat, remove, rename, renameat, renameat2, chdir, fchdir, getcwd, realpath,
    canonicalize_file_name, mkstemp, mkstemps, mkostemp, mkostemps, mkdtemp, opendir, fdopendir,
    readdir, rewinddir, dirfd, closedir, flock, mmap, munmap, mremap,
    madvise)
BELAY_DETAIL_REPLACE_BY(libc_files::fsync, fdatasync)
BELAY_DETAIL_REPLACE_BY(libc_files::stat, lstat, stat64, lstat64)
BELAY_DETAIL_REPLACE_BY(libc_files::open, open64, __open, __open64, __open_2, __open64_2)
BELAY_DETAIL_REPLACE_BY(libc_files::openat, openat64, __openat_2, __openat64_2)
BELAY_DETAIL_REPLACE_BY(libc_files::creat, creat64)
BELAY_DETAIL_REPLACE_BY(libc_files::pread,
    pread64, __libc_pread, __pread64, __pread_chk, __pread64_chk)
BELAY_DETAIL_REPLACE_BY(libc_files::pwrite, pwrite64, __libc_pwrite, __pwrite64)
BELAY_DETAIL_REPLACE_BY(libc_files::preadv, preadv64)
BELAY_DETAIL_REPLACE_BY(libc_files::pwritev, pwritev64)
BELAY_DETAIL_REPLACE_BY(libc_files::lseek, lseek64, __lseek, llseek)
BELAY_DETAIL_REPLACE_BY(libc_files::truncate, truncate64)
BELAY_DETAIL_REPLACE_BY(libc_files::ftruncate, ftruncate64)
BELAY_DETAIL_REPLACE_BY(libc_files::fallocate, fallocate64)
BELAY_DETAIL_REPLACE_BY(libc_files::posix_fallocate, posix_fallocate64)
BELAY_DETAIL_REPLACE_BY(libc_files::mmap, mmap64)
BELAY_DETAIL_REPLACE_BY(libc_files::statvfs, statvfs64)
BELAY_DETAIL_REPLACE_BY(libc_files::fstatvfs, fstatvfs64)
BELAY_DETAIL_REPLACE_BY(libc_files::mkstemp, mkstemp64)
BELAY_DETAIL_REPLACE_BY(libc_files::mkstemps, mkstemps64)
BELAY_DETAIL_REPLACE_BY(libc_files::mkostemp, mkostemp64)
BELAY_DETAIL_REPLACE_BY(libc_files::mkostemps, mkostemps64)
BELAY_DETAIL_REPLACE_BY(libc_files::fstat, fstat64, __fstat64)
BELAY_DETAIL_REPLACE_BY(libc_files::fstatat, fstatat64)
BELAY_DETAIL_REPLACE_BY(libc_files::readdir, readdir64)
BELAY_DETAIL_REPLACE_BY(libc_files::getcwd, __getcwd_chk)
BELAY_DETAIL_REPLACE_BY(libc_files::readlink, __readlink_chk)
BELAY_DETAIL_REPLACE_BY(libc_files::readlinkat, __readlinkat_chk)
BELAY_DETAIL_REPLACE_BY(libc_files::realpath, __realpath_chk)

BELAY_DETAIL_REPLACE(libc_streams, fopen, fdopen, fileno, fflush)
BELAY_DETAIL_REPLACE_BY(libc_streams::fopen, fopen64)
BELAY_DETAIL_REPLACE_BY(libc_streams::fileno, fileno_unlocked)
BELAY_DETAIL_REPLACE_BY(libc_streams::fflush, fflush_unlocked)

// ---- signals ------------------------------------------------------------------------------------

BELAY_DETAIL_REPLACE(libc_signals,
    signal, sigaction, raise, kill, sigset, sigignore, sighold, sigrelse, pthread_sigmask,
    sigprocmask, sigpending, sigtimedwait)
BELAY_DETAIL_REPLACE_BY(libc_signals::raise, gsignal)
BELAY_DETAIL_REPLACE_BY(libc_signals::signal, bsd_signal, ssignal)
BELAY_DETAIL_REPLACE_BY(libc_signals::sysv_signal, __sysv_signal, sysv_signal)
BELAY_DETAIL_REPLACE_BY(libc_signals::sigaction, __sigaction)

// ---- the end ------------------------------------------------------------------------------------

BELAY_DETAIL_SYMBOL [[noreturn]] inline void exit(int) asm("exit");
inline void exit(int code) {
    if (LibcProcess* const p = LibcProcess::current()) {
        libc_streams::end(*p);
        p->exit(code);
    }
    libc_real<"exit", void>(code);
    __builtin_unreachable();
}
inline void exit_now(LibcProcess& p, int code) { p.exit(code); }
BELAY_DETAIL_REPLACE_BY(libc_symbols::exit_now, _exit, _Exit, quick_exit)
BELAY_DETAIL_SYMBOL inline int atexit(void (*)()) asm("atexit");
/// A part of each program, and not of the C library.
inline int atexit(void (*f)()) {
    if (LibcProcess* const p = LibcProcess::current()) {
        p->at_exit([](void* g) { reinterpret_cast<void (*)()>(g)(); }, reinterpret_cast<void*>(f));
        return 0;
    }
    return libc_real<"__cxa_atexit", int>(f, nullptr, nullptr);
}
/// Destructors of static variables. Those of a ProgramFile are its program's.
inline int static_atexit(LibcProcess& p, void (*f)(void*), void* argument, void* place) {
    if (p.has_static(place)) return p.at_exit(f, argument), 0;
    return libc_real<"__cxa_atexit", int>(f, argument, place);
}
BELAY_DETAIL_REPLACE_BY(libc_symbols::static_atexit, __cxa_atexit)
/// The program goes on as its own child. Its output stays that of the test.
inline int daemon(LibcProcess&) noexcept { return 0; }
BELAY_DETAIL_REPLACE(libc_symbols, daemon)
inline void abort(LibcProcess& p) {
    p.refuse(
        "called \"abort\", after an assertion or an exception that nothing caught; its output has "
        "the text");
}
inline void assert_fail(LibcProcess& p, const char* condition, const char* file, unsigned line) {
    p.refuse("failed the assertion \"" + std::string{condition} + "\" (" + file + ":" +
             std::to_string(line) + ")");
}
inline void assert_error(LibcProcess& p, int error, const char* file, unsigned line) {
    libc_symbols::assert_fail(p, ::strerror(error), file, line);
}
BELAY_DETAIL_REPLACE(libc_symbols, abort)
BELAY_DETAIL_REPLACE_BY(libc_symbols::assert_fail, __assert_fail, __assert)
BELAY_DETAIL_REPLACE_BY(libc_symbols::assert_error, __assert_perror_fail)

// The C library calls its own exit() in these, which is not replaced there.
BELAY_DETAIL_SYMBOL [[noreturn]] inline void verr(int, const char*, va_list) asm("verr");
inline void verr(int code, const char* format, va_list arguments) {
    ::vwarn(format, arguments);
    libc_symbols::exit(code);
}
BELAY_DETAIL_SYMBOL [[noreturn]] inline void verrx(int, const char*, va_list) asm("verrx");
inline void verrx(int code, const char* format, va_list arguments) {
    ::vwarnx(format, arguments);
    libc_symbols::exit(code);
}
BELAY_DETAIL_SYMBOL [[noreturn]] inline void err(int, const char*, ...) asm("err");
inline void err(int code, const char* format, ...) {
    va_list arguments;
    va_start(arguments, format);
    libc_symbols::verr(code, format, arguments);
}
BELAY_DETAIL_SYMBOL [[noreturn]] inline void errx(int, const char*, ...) asm("errx");
inline void errx(int code, const char* format, ...) {
    va_list arguments;
    va_start(arguments, format);
    libc_symbols::verrx(code, format, arguments);
}
inline void report_error(int code, int number, const std::string& place, const char* format,
                         va_list arguments) {
    std::fflush(stdout);
    std::fprintf(stderr, "%s:%s ", ::program_invocation_name, place.c_str());
    std::vfprintf(stderr, format, arguments);
    std::fprintf(stderr, "%s%s\n", number != 0 ? ": " : "", number != 0 ? ::strerror(number) : "");
    ++::error_message_count;
    if (code != 0) libc_symbols::exit(code);
}
BELAY_DETAIL_SYMBOL inline void error(int, int, const char*, ...) asm("error");
inline void error(int code, int number, const char* format, ...) {
    va_list arguments;
    va_start(arguments, format);
    libc_symbols::report_error(code, number, "", format, arguments);
    va_end(arguments);
}
BELAY_DETAIL_SYMBOL inline void error_at_line(int, int, const char*, unsigned, const char*,
                                              ...) asm("error_at_line");
inline void error_at_line(int code, int number, const char* file, unsigned line,
                          const char* format, ...) {
    va_list arguments;
    va_start(arguments, format);
    const std::string place = std::string{file} + ":" + std::to_string(line) + ":";
    libc_symbols::report_error(code, number, place, format, arguments);
    va_end(arguments);
}
/// The library's own parsers end the process. Here the program does, with the same code.
inline int argp_parse(LibcProcess&, const argp* options, int count, char** arguments,
                      unsigned flags, int* end, void* input) {
    const unsigned all = (flags & ARGP_NO_EXIT) != 0 ? flags : flags | ARGP_NO_EXIT | ARGP_NO_HELP;
    const int error = libc_real<"argp_parse", int>(options, count, arguments, all, end, input);
    if (error != 0 && (flags & ARGP_NO_EXIT) == 0) libc_symbols::exit(::argp_err_exit_status);
    return error;
}
BELAY_DETAIL_REPLACE(libc_symbols, argp_parse)

// ---- the log of the system, which is the test's stderr ------------------------------------------

BELAY_DETAIL_SYMBOL inline void vsyslog(int, const char*, va_list) asm("vsyslog");
inline void vsyslog(int priority, const char* format, va_list arguments) {
    if (LibcProcess::current() == nullptr) {
        return libc_real<"vsyslog", void>(priority, format, arguments);
    }
    std::vfprintf(stderr, format, arguments);
    std::fputc('\n', stderr);
}
BELAY_DETAIL_SYMBOL inline void syslog(int, const char*, ...) asm("syslog");
inline void syslog(int priority, const char* format, ...) {
    va_list arguments;
    va_start(arguments, format);
    libc_symbols::vsyslog(priority, format, arguments);
    va_end(arguments);
}
BELAY_DETAIL_SYMBOL inline void vsyslog_chk(int, int, const char*, va_list) asm("__vsyslog_chk");
inline void vsyslog_chk(int priority, int, const char* format, va_list arguments) {
    libc_symbols::vsyslog(priority, format, arguments);
}
BELAY_DETAIL_SYMBOL inline void syslog_chk(int, int, const char*, ...) asm("__syslog_chk");
inline void syslog_chk(int priority, int, const char* format, ...) {
    va_list arguments;
    va_start(arguments, format);
    libc_symbols::vsyslog(priority, format, arguments);
    va_end(arguments);
}
inline void openlog(LibcProcess&) noexcept {}
inline void closelog(LibcProcess&) noexcept {}
BELAY_DETAIL_REPLACE(libc_symbols, openlog, closelog)

/// The destructors of a program's thread-local variables do not run: the thread is the test's.
inline int thread_atexit(LibcProcess&) noexcept { return 0; }
BELAY_DETAIL_REPLACE_BY(libc_symbols::thread_atexit, __cxa_thread_atexit)

// ---- names that the library gives them with -D_FORTIFY_SOURCE -----------------------------------

BELAY_DETAIL_SYMBOL inline int vdprintf_chk(int, int, const char*, va_list) asm("__vdprintf_chk");
inline int vdprintf_chk(int fd, int, const char* format, va_list arguments) {
    return libc_symbols::vdprintf(fd, format, arguments);
}
BELAY_DETAIL_SYMBOL inline int dprintf_chk(int, int, const char*, ...) asm("__dprintf_chk");
inline int dprintf_chk(int fd, int, const char* format, ...) {
    va_list arguments;
    va_start(arguments, format);
    const int size = libc_symbols::vdprintf(fd, format, arguments);
    va_end(arguments);
    return size;
}

// ---- names in objects that were built with glibc before 2.33 ------------------------------------

BELAY_DETAIL_ROUTE(__xstat, libc_route_version, &libc_files::stat)
BELAY_DETAIL_ROUTE(__xstat64, libc_route_version, &libc_files::stat)
BELAY_DETAIL_ROUTE(__lxstat, libc_route_version, &libc_files::stat)
BELAY_DETAIL_ROUTE(__lxstat64, libc_route_version, &libc_files::stat)
BELAY_DETAIL_ROUTE(__fxstat, libc_route_version, &libc_files::fstat)
BELAY_DETAIL_ROUTE(__fxstat64, libc_route_version, &libc_files::fstat)
BELAY_DETAIL_ROUTE(__fxstatat, libc_route_version, &libc_files::fstatat)
BELAY_DETAIL_ROUTE(__fxstatat64, libc_route_version, &libc_files::fstatat)

// ---- refused: other processes and threads, and waits for them -----------------------------------

BELAY_DETAIL_REFUSE(
    fork, _Fork, __fork, __libc_fork, clone, __clone, forkpty, posix_spawn, posix_spawnp,
    pidfd_spawn, pidfd_spawnp, execve, execveat, execv, execvp, execvpe, fexecve, system, popen,
    _IO_popen, _IO_proc_open, wordexp, ptrace, wait, __wait, wait3, wait4, waitid, waitpid,
    __waitpid, pthread_create, thrd_create, pthread_exit, thrd_exit, pthread_cancel,
    pthread_cond_wait, pthread_cond_timedwait, pthread_cond_clockwait, pthread_barrier_wait,
    cnd_wait, cnd_timedwait, sem_wait, sem_timedwait, sem_clockwait, sem_open, sem_unlink,
    thrd_sleep, dlmopen)
/// A function that returns twice cannot be passed on. fork() may take its place.
BELAY_DETAIL_SYMBOL inline long vfork() asm("vfork");
inline long vfork() { return refuse_in_program("vfork"), libc_refuse<"fork">({}); }
BELAY_DETAIL_SYMBOL inline long vfork_of_library() asm("__vfork");
inline long vfork_of_library() { return libc_symbols::vfork(); }
/// Returns the arguments of execl() and its kind, up to the null pointer.
inline std::vector<const char*> exec_arguments(const char* first, va_list& rest) {
    std::vector<const char*> all{first};
    while (all.back() != nullptr) all.push_back(va_arg(rest, const char*));
    return all;
}
inline int execute(long (*function)(long, long, long, long, long, long, long), const char* file,
                   const std::vector<const char*>& arguments, char* const* environment = nullptr) {
    return static_cast<int>(function(reinterpret_cast<long>(file),
                                     reinterpret_cast<long>(arguments.data()),
                                     reinterpret_cast<long>(environment), 0, 0, 0, 0));
}
BELAY_DETAIL_SYMBOL inline int execl(const char*, const char*, ...) asm("execl");
inline int execl(const char* path, const char* first, ...) {
    refuse_in_program("execl");
    va_list rest;
    va_start(rest, first);
    const auto all = exec_arguments(first, rest);
    va_end(rest);
    return execute(&libc_execv, path, all);
}
BELAY_DETAIL_SYMBOL inline int execlp(const char*, const char*, ...) asm("execlp");
inline int execlp(const char* file, const char* first, ...) {
    refuse_in_program("execlp");
    va_list rest;
    va_start(rest, first);
    const auto all = exec_arguments(first, rest);
    va_end(rest);
    return execute(&libc_execvp, file, all);
}
BELAY_DETAIL_SYMBOL inline int execle(const char*, const char*, ...) asm("execle");
inline int execle(const char* path, const char* first, ...) {
    refuse_in_program("execle");
    va_list rest;
    va_start(rest, first);
    const auto all = exec_arguments(first, rest);
    char* const* const environment = va_arg(rest, char* const*);
    va_end(rest);
    return execute(&libc_execve, path, all, environment);
}

// ---- refused: signals, timers, and results by a thread or a signal ------------------------------

BELAY_DETAIL_REFUSE(
    killpg, tgkill, sigqueue, pthread_kill, pthread_sigqueue, pidfd_open, pidfd_getfd,
    pidfd_send_signal, signalfd, sigwait, sigwaitinfo, sigsuspend, __sigsuspend, sigpause,
    __sigpause, __xpg_sigpause, pause, on_exit, __cxa_at_quick_exit, argp_error, argp_failure,
    argp_usage, argp_state_help, alarm, ualarm, setitimer, timer_create, profil, sprofil,
    monstartup, __monstartup, moncontrol, _mcleanup, getaddrinfo_a, gai_suspend, aio_read,
    aio_write, aio_fsync, aio_suspend, lio_listio, aio_read64, aio_write64, aio_fsync64,
    aio_suspend64, lio_listio64, mq_open, __mq_open_2, mq_unlink, mq_notify, shmget, msgget,
    semget, ftok)

// ---- refused: state of the machine and of the test's process ------------------------------------

BELAY_DETAIL_REFUSE(
    settimeofday, clock_settime, clock_adjtime, adjtime, adjtimex, __adjtimex, ntp_adjtime,
    ntp_gettime, ntp_gettimex, stime, ftime, times, getdate, getdate_r, setuid, setgid, seteuid,
    setegid, setreuid, setregid, setresuid, setresgid, setfsuid, setfsgid, setgroups, initgroups,
    setsid, setpgid, __setpgid, setpgrp, setlogin, capset, chroot, pivot_root, mount, umount,
    umount2, move_mount, mount_setattr, open_tree, fsopen, fsmount, fsconfig, fspick, setns,
    unshare, personality, reboot, swapon, swapoff, acct, quotactl, klogctl, init_module,
    delete_module, create_module, nfsservctl, bdflush, uselib, iopl, ioperm, vhangup, revoke,
    sethostname, setdomainname, sethostid, gethostid, sync, syncfs, sync_file_range,
    process_vm_readv, process_vm_writev, process_madvise, process_mrelease, fanotify_init,
    ulimit, vlimit, posix_openpt, getpt, openpty, login_tty, getpass, login, logout, logwtmp,
    pututline, pututxline, updwtmp, updwtmpx, lckpwdf, fcloseall)

// ---- refused: descriptors and files -------------------------------------------------------------

BELAY_DETAIL_REFUSE(
    inotify_init, inotify_init1, splice, tee, vmsplice, recvmmsg, sendmmsg, preadv2, pwritev2,
    preadv64v2, pwritev64v2, lockf, lockf64, close_range, closefrom, memfd_create, link, symlink,
    get_current_dir_name, getwd, __getwd_chk, linkat, symlinkat, eaccess, euidaccess, mknod,
    mkfifo, mknodat, mkfifoat, __xmknod, __xmknodat, shm_open, shm_unlink, mktemp, tempnam, tmpnam,
    tmpnam_r, freopen, freopen64, tmpfile, tmpfile64, _IO_fopen, _IO_file_fopen, _IO_file_open,
    setmntent, __setmntent)
BELAY_DETAIL_REFUSE(
    lchmod, chflags, fchownat, chown, lchown, futimesat, utimes, utime, lutimes, futimes, statfs,
    __statfs, statfs64, ustat, pathconf, getxattr, lgetxattr, setxattr, lsetxattr, listxattr,
    llistxattr, removexattr, lremovexattr, name_to_handle_at, open_by_handle_at, openat2, telldir,
    seekdir, readdir_r, readdir64_r, scandir, scandir64, scandirat, scandirat64, ftw, ftw64, nftw,
    nftw64, fts_open, fts64_open, glob, glob64)

// ---- refused: what leaves the machine, and system calls by number -------------------------------

BELAY_DETAIL_REFUSE(
    gethostbyname, gethostbyname_r, gethostbyname2, gethostbyname2_r, gethostbyaddr,
    gethostbyaddr_r, gethostent, gethostent_r, sethostent, getnetbyname, getnetbyname_r,
    getnetbyaddr, getnetbyaddr_r, getnetent, getnetent_r, setnetent, innetgr, setnetgrent,
    getnetgrent, getnetgrent_r, getifaddrs, if_nametoindex, if_indextoname, if_nameindex,
    ether_hostton, ether_ntohost, getaliasbyname, getaliasbyname_r, getaliasent, getaliasent_r,
    setaliasent, res_query, __res_query, res_search, __res_search, res_querydomain,
    __res_querydomain, res_send, __res_send, res_nquery, __res_nquery, res_nsearch, __res_nsearch,
    res_nquerydomain, __res_nquerydomain, res_nsend, __res_nsend, rcmd, rcmd_af, rexec, rexec_af,
    ruserok, ruserok_af, ruserpass, iruserok, iruserok_af, rresvport, rresvport_af, bindresvport)
// Remote procedure calls, which only objects that were built with glibc before 2.32 can make.
BELAY_DETAIL_REFUSE(
    rtime, callrpc, clnt_broadcast, clnt_create, clnttcp_create, clntudp_create,
    clntudp_bufcreate, clntunix_create, get_myaddress, getrpcport, pmap_getmaps, pmap_getport,
    pmap_rmtcall, pmap_set, pmap_unset, registerrpc, svc_register, svc_unregister, svc_run,
    svctcp_create, svcudp_create, svcudp_bufcreate, svcunix_create, authdes_create,
    authdes_pk_create, authdes_getucred, key_decryptsession, key_decryptsession_pk,
    key_encryptsession, key_encryptsession_pk, key_gendes, key_get_conv, key_secretkey_is_set,
    key_setnet, key_setsecret, getpublickey, getsecretkey, netname2user)
inline long syscall(LibcProcess& p, long number, void* out, std::size_t size) {
    if (number == SYS_gettid) return p.state().pid();
    if (number == SYS_getrandom) return libc_calls::getrandom(p, out, size, 0);
    if (number == SYS_futex) {  // std::future and std::atomic::wait
        p.refuse("waits for another thread by \"futex\", but a program of a world has one thread");
    }
    p.refuse_call(" with " + libc_words::of(libc_words::system_calls, number, "number"));
}
BELAY_DETAIL_REPLACE(libc_symbols, syscall)

// clang-format on

}}}}  // namespace belay::detail::libc_symbols

#undef BELAY_DETAIL_SYMBOL
#undef BELAY_DETAIL_ROUTE
#undef BELAY_DETAIL_REPLACE
#undef BELAY_DETAIL_REPLACE_ONE
#undef BELAY_DETAIL_REPLACE_BY
#undef BELAY_DETAIL_REPLACE_BY_ONE
#undef BELAY_DETAIL_REFUSE
#undef BELAY_DETAIL_REFUSE_ONE
#undef BELAY_DETAIL_EACH
#undef BELAY_DETAIL_NEXT
#undef BELAY_DETAIL_AGAIN
#undef BELAY_DETAIL_PARENTHESES
#undef BELAY_DETAIL_SCAN_256
#undef BELAY_DETAIL_SCAN_64
#undef BELAY_DETAIL_SCAN_16
#undef BELAY_DETAIL_SCAN_4
#undef BELAY_DETAIL_SCAN

// NOLINTEND(readability-function-size)
// NOLINTEND(bugprone-easily-swappable-parameters)
