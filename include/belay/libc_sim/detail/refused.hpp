// SPDX-License-Identifier: MIT
/// \file belay/libc_sim/detail/refused.hpp
/// libc_refused: functions of the C library that end a simulated program with a sentence.
#pragma once

#include <dirent.h>      // DIR
#include <ifaddrs.h>     // ifaddrs
#include <netdb.h>       // hostent
#include <pthread.h>     // pthread_t
#include <signal.h>      // sigset_t
#include <stdio.h>       // FILE
#include <sys/socket.h>  // mmsghdr
#include <sys/time.h>    // itimerval
#include <sys/types.h>   // pid_t

#include <cstddef>  // std::size_t
#include <string>   // std::string

#include <belay/libc_sim/detail/process.hpp>
#include <belay/libc_sim/detail/real.hpp>

// NOLINTBEGIN(bugprone-easily-swappable-parameters): the parameters of the C library
// NOLINTBEGIN(readability-function-size): the parameters of the C library

// Shared libraries find only visible symbols. -fvisibility-inlines-hidden must not hide them.
#define BELAY_DETAIL_SYMBOL [[gnu::used, gnu::visibility("default")]]

namespace belay { inline namespace BELAY_ABI { namespace detail { namespace libc_refused {

/// Rejects a call of a simulated program. Outside of programs, it calls the C library.
template <LibcName Name, class R, class... A>
R libc_refuse(A... arguments) {
    if (LibcProcess* const p = LibcProcess::current()) {
        p->refuse("called \"" + std::string{Name.text} + "\", which a world does not have");
    }
    return libc_real<Name, R>(arguments...);
}

// ---- other processes and threads ----------------------------------------------------------------

BELAY_DETAIL_SYMBOL inline pid_t fork() asm("fork");
inline pid_t fork() { return libc_refuse<"fork", pid_t>(); }
/// A function that returns twice cannot be passed on. fork() may take its place.
BELAY_DETAIL_SYMBOL inline pid_t vfork() asm("vfork");
inline pid_t vfork() { return libc_refused::fork(); }
using Start = void* (*)(void*);
BELAY_DETAIL_SYMBOL inline int pthread_create(pthread_t*, const pthread_attr_t*, Start,
                                              void*) asm("pthread_create");
inline int pthread_create(pthread_t* thread, const pthread_attr_t* attributes, Start start,
                          void* argument) {
    return libc_refuse<"pthread_create", int>(thread, attributes, start, argument);
}
BELAY_DETAIL_SYMBOL inline int posix_spawn(pid_t*, const char*, const void*, const void*,
                                           char* const*, char* const*) asm("posix_spawn");
inline int posix_spawn(pid_t* pid, const char* path, const void* actions, const void* attributes,
                       char* const* arguments, char* const* environment) {
    return libc_refuse<"posix_spawn", int>(pid, path, actions, attributes, arguments, environment);
}
BELAY_DETAIL_SYMBOL inline int posix_spawnp(pid_t*, const char*, const void*, const void*,
                                            char* const*, char* const*) asm("posix_spawnp");
inline int posix_spawnp(pid_t* pid, const char* file, const void* actions, const void* attributes,
                        char* const* arguments, char* const* environment) {
    return libc_refuse<"posix_spawnp", int>(pid, file, actions, attributes, arguments, environment);
}
BELAY_DETAIL_SYMBOL inline int execve(const char*, char* const*, char* const*) asm("execve");
inline int execve(const char* path, char* const* arguments, char* const* environment) {
    return libc_refuse<"execve", int>(path, arguments, environment);
}
BELAY_DETAIL_SYMBOL inline int execv(const char*, char* const*) asm("execv");
inline int execv(const char* path, char* const* arguments) {
    return libc_refuse<"execv", int>(path, arguments);
}
BELAY_DETAIL_SYMBOL inline int execvp(const char*, char* const*) asm("execvp");
inline int execvp(const char* file, char* const* arguments) {
    return libc_refuse<"execvp", int>(file, arguments);
}
BELAY_DETAIL_SYMBOL inline int system(const char*) asm("system");
inline int system(const char* command) { return libc_refuse<"system", int>(command); }
BELAY_DETAIL_SYMBOL inline FILE* popen(const char*, const char*) asm("popen");
inline FILE* popen(const char* command, const char* mode) {
    return libc_refuse<"popen", FILE*>(command, mode);
}
BELAY_DETAIL_SYMBOL inline pid_t waitpid(pid_t, int*, int) asm("waitpid");
inline pid_t waitpid(pid_t pid, int* status, int options) {
    return libc_refuse<"waitpid", pid_t>(pid, status, options);
}

// ---- signals and timers of processes ------------------------------------------------------------

BELAY_DETAIL_SYMBOL inline int signalfd(int, const sigset_t*, int) asm("signalfd");
inline int signalfd(int fd, const sigset_t* signals, int flags) {
    return libc_refuse<"signalfd", int>(fd, signals, flags);
}
BELAY_DETAIL_SYMBOL inline int sigwait(const sigset_t*, int*) asm("sigwait");
inline int sigwait(const sigset_t* signals, int* signal) {
    return libc_refuse<"sigwait", int>(signals, signal);
}
BELAY_DETAIL_SYMBOL inline int sigsuspend(const sigset_t*) asm("sigsuspend");
inline int sigsuspend(const sigset_t* signals) { return libc_refuse<"sigsuspend", int>(signals); }
BELAY_DETAIL_SYMBOL inline int pause() asm("pause");
inline int pause() { return libc_refuse<"pause", int>(); }
BELAY_DETAIL_SYMBOL inline unsigned int alarm(unsigned int) asm("alarm");
inline unsigned int alarm(unsigned int seconds) {
    return libc_refuse<"alarm", unsigned int>(seconds);
}
BELAY_DETAIL_SYMBOL inline int setitimer(int, const itimerval*, itimerval*) asm("setitimer");
inline int setitimer(int which, const itimerval* to, itimerval* old) {
    return libc_refuse<"setitimer", int>(which, to, old);
}

// ---- descriptors --------------------------------------------------------------------------------

BELAY_DETAIL_SYMBOL inline int dup(int) asm("dup");
inline int dup(int fd) { return libc_refuse<"dup", int>(fd); }
BELAY_DETAIL_SYMBOL inline int dup2(int, int) asm("dup2");
inline int dup2(int fd, int to) { return libc_refuse<"dup2", int>(fd, to); }
BELAY_DETAIL_SYMBOL inline int dup3(int, int, int) asm("dup3");
inline int dup3(int fd, int to, int flags) { return libc_refuse<"dup3", int>(fd, to, flags); }
BELAY_DETAIL_SYMBOL inline int inotify_init() asm("inotify_init");
inline int inotify_init() { return libc_refuse<"inotify_init", int>(); }
BELAY_DETAIL_SYMBOL inline int inotify_init1(int) asm("inotify_init1");
inline int inotify_init1(int flags) { return libc_refuse<"inotify_init1", int>(flags); }
BELAY_DETAIL_SYMBOL inline ssize_t sendfile(int, int, off_t*, std::size_t) asm("sendfile");
inline ssize_t sendfile(int to, int from, off_t* offset, std::size_t size) {
    return libc_refuse<"sendfile", ssize_t>(to, from, offset, size);
}
BELAY_DETAIL_SYMBOL inline ssize_t sendfile64(int, int, off_t*, std::size_t) asm("sendfile64");
inline ssize_t sendfile64(int to, int from, off_t* offset, std::size_t size) {
    return libc_refuse<"sendfile64", ssize_t>(to, from, offset, size);
}
BELAY_DETAIL_SYMBOL inline ssize_t splice(int, off_t*, int, off_t*, std::size_t,
                                          unsigned int) asm("splice");
inline ssize_t splice(int from, off_t* from_offset, int to, off_t* to_offset, std::size_t size,
                      unsigned int flags) {
    return libc_refuse<"splice", ssize_t>(from, from_offset, to, to_offset, size, flags);
}
BELAY_DETAIL_SYMBOL inline int recvmmsg(int, mmsghdr*, unsigned int, int,
                                        timespec*) asm("recvmmsg");
inline int recvmmsg(int fd, mmsghdr* messages, unsigned int count, int flags, timespec* timeout) {
    return libc_refuse<"recvmmsg", int>(fd, messages, count, flags, timeout);
}
BELAY_DETAIL_SYMBOL inline int sendmmsg(int, mmsghdr*, unsigned int, int) asm("sendmmsg");
inline int sendmmsg(int fd, mmsghdr* messages, unsigned int count, int flags) {
    return libc_refuse<"sendmmsg", int>(fd, messages, count, flags);
}

// ---- files --------------------------------------------------------------------------------------

BELAY_DETAIL_SYMBOL inline DIR* fdopendir(int) asm("fdopendir");
inline DIR* fdopendir(int fd) { return libc_refuse<"fdopendir", DIR*>(fd); }
BELAY_DETAIL_SYMBOL inline int rmdir(const char*) asm("rmdir");
inline int rmdir(const char* path) { return libc_refuse<"rmdir", int>(path); }
BELAY_DETAIL_SYMBOL inline int chdir(const char*) asm("chdir");
inline int chdir(const char* path) { return libc_refuse<"chdir", int>(path); }
BELAY_DETAIL_SYMBOL inline int chmod(const char*, mode_t) asm("chmod");
inline int chmod(const char* path, mode_t mode) { return libc_refuse<"chmod", int>(path, mode); }
BELAY_DETAIL_SYMBOL inline int link(const char*, const char*) asm("link");
inline int link(const char* from, const char* to) { return libc_refuse<"link", int>(from, to); }
BELAY_DETAIL_SYMBOL inline int symlink(const char*, const char*) asm("symlink");
inline int symlink(const char* target, const char* path) {
    return libc_refuse<"symlink", int>(target, path);
}
BELAY_DETAIL_SYMBOL inline int mkstemp(char*) asm("mkstemp");
inline int mkstemp(char* path) { return libc_refuse<"mkstemp", int>(path); }
BELAY_DETAIL_SYMBOL inline char* realpath(const char*, char*) asm("realpath");
inline char* realpath(const char* path, char* out) {
    return libc_refuse<"realpath", char*>(path, out);
}

// ---- names and interfaces -----------------------------------------------------------------------

BELAY_DETAIL_SYMBOL inline hostent* gethostbyname(const char*) asm("gethostbyname");
inline hostent* gethostbyname(const char* name) {
    return libc_refuse<"gethostbyname", hostent*>(name);
}
BELAY_DETAIL_SYMBOL inline int getifaddrs(ifaddrs**) asm("getifaddrs");
inline int getifaddrs(ifaddrs** out) { return libc_refuse<"getifaddrs", int>(out); }

// ---- system calls by number ------------------------------------------------------------------

BELAY_DETAIL_SYMBOL inline long syscall(long, long, long, long, long, long, long) asm("syscall");
inline long syscall(long number, long a, long b, long c, long d, long e, long f) {
    if (LibcProcess* const p = LibcProcess::current()) {
        p->refuse("made the system call " + std::to_string(number) +
                  " by \"syscall\", which a world does not have");
    }
    return libc_real<"syscall", long>(number, a, b, c, d, e, f);
}

}}}}  // namespace belay::detail::libc_refused

#undef BELAY_DETAIL_SYMBOL

// NOLINTEND(readability-function-size)
// NOLINTEND(bugprone-easily-swappable-parameters)
