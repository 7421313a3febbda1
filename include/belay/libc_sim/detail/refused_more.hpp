// SPDX-License-Identifier: MIT
/// \file belay/libc_sim/detail/refused_more.hpp
/// libc_refused: functions of files, descriptors and waits that end a simulated program.
#pragma once

#include <dirent.h>       // DIR
#include <pthread.h>      // pthread_cond_t
#include <semaphore.h>    // sem_t
#include <signal.h>       // siginfo_t
#include <stdio.h>        // FILE
#include <sys/statvfs.h>  // statvfs
#include <sys/time.h>     // timeval
#include <sys/types.h>    // mode_t
#include <sys/uio.h>      // iovec
#include <time.h>         // timespec

#include <cstdarg>  // va_list
#include <cstddef>  // std::size_t
#include <vector>   // std::vector

#include <belay/libc_sim/detail/refused.hpp>

// NOLINTBEGIN(bugprone-easily-swappable-parameters): the parameters of the C library
// NOLINTBEGIN(readability-function-size): the parameters of the C library

// Defines a function that a simulated program must not call: its result, its name, its parameters
// and its arguments.
#define BELAY_DETAIL_REFUSE(result, name, parameters, ...)        \
    BELAY_DETAIL_SYMBOL inline result name parameters asm(#name); \
    inline result name parameters { return libc_refuse<#name, result>(__VA_ARGS__); }

// Shared libraries find only visible symbols. -fvisibility-inlines-hidden must not hide them.
#define BELAY_DETAIL_SYMBOL [[gnu::used, gnu::visibility("default")]]

namespace belay { inline namespace BELAY_ABI { namespace detail { namespace libc_refused {

// ---- names of files -----------------------------------------------------------------------------

BELAY_DETAIL_REFUSE(int, unlinkat, (int directory, const char* path, int flags), directory, path,
                    flags)
BELAY_DETAIL_REFUSE(int, renameat,
                    (int directory, const char* path, int to_directory, const char* to), directory,
                    path, to_directory, to)
BELAY_DETAIL_REFUSE(int, renameat2,
                    (int directory, const char* path, int to_directory, const char* to,
                     unsigned int flags),
                    directory, path, to_directory, to, flags)
BELAY_DETAIL_REFUSE(int, mkdirat, (int directory, const char* path, mode_t mode), directory, path,
                    mode)
BELAY_DETAIL_REFUSE(int, linkat,
                    (int directory, const char* path, int to_directory, const char* to, int flags),
                    directory, path, to_directory, to, flags)
BELAY_DETAIL_REFUSE(int, symlinkat, (const char* target, int directory, const char* path), target,
                    directory, path)
BELAY_DETAIL_REFUSE(ssize_t, readlinkat,
                    (int directory, const char* path, char* out, std::size_t size), directory, path,
                    out, size)
BELAY_DETAIL_REFUSE(int, faccessat, (int directory, const char* path, int mode, int flags),
                    directory, path, mode, flags)
BELAY_DETAIL_REFUSE(int, mknod, (const char* path, mode_t mode, dev_t device), path, mode, device)
BELAY_DETAIL_REFUSE(int, mkfifo, (const char* path, mode_t mode), path, mode)
BELAY_DETAIL_REFUSE(int, mknodat, (int directory, const char* path, mode_t mode, dev_t device),
                    directory, path, mode, device)
BELAY_DETAIL_REFUSE(int, mkfifoat, (int directory, const char* path, mode_t mode), directory, path,
                    mode)
BELAY_DETAIL_REFUSE(int, shm_open, (const char* name, int flags, mode_t mode), name, flags, mode)
BELAY_DETAIL_REFUSE(int, shm_unlink, (const char* name), name)
BELAY_DETAIL_REFUSE(char*, mkdtemp, (char* path), path)
BELAY_DETAIL_REFUSE(int, mkostemp, (char* path, int flags), path, flags)
BELAY_DETAIL_REFUSE(int, mkstemps, (char* path, int suffix), path, suffix)
BELAY_DETAIL_REFUSE(int, mkostemps, (char* path, int suffix, int flags), path, suffix, flags)
BELAY_DETAIL_REFUSE(FILE*, freopen, (const char* path, const char* mode, FILE* stream), path, mode,
                    stream)
BELAY_DETAIL_REFUSE(int, mkstemp64, (char* path), path)
BELAY_DETAIL_REFUSE(int, mkostemp64, (char* path, int flags), path, flags)
BELAY_DETAIL_REFUSE(int, mkstemps64, (char* path, int suffix), path, suffix)
BELAY_DETAIL_REFUSE(int, mkostemps64, (char* path, int suffix, int flags), path, suffix, flags)
BELAY_DETAIL_REFUSE(FILE*, freopen64, (const char* path, const char* mode, FILE* stream), path,
                    mode, stream)
BELAY_DETAIL_SYMBOL inline FILE* tmpfile() asm("tmpfile");
inline FILE* tmpfile() { return libc_refuse<"tmpfile", FILE*>(); }
BELAY_DETAIL_SYMBOL inline FILE* tmpfile64() asm("tmpfile64");
inline FILE* tmpfile64() { return libc_refuse<"tmpfile64", FILE*>(); }

// ---- state of files -----------------------------------------------------------------------------

BELAY_DETAIL_REFUSE(int, fchmodat, (int directory, const char* path, mode_t mode, int flags),
                    directory, path, mode, flags)
BELAY_DETAIL_REFUSE(int, fchownat,
                    (int directory, const char* path, uid_t user, gid_t group, int flags),
                    directory, path, user, group, flags)
BELAY_DETAIL_REFUSE(int, chown, (const char* path, uid_t user, gid_t group), path, user, group)
BELAY_DETAIL_REFUSE(int, lchown, (const char* path, uid_t user, gid_t group), path, user, group)
BELAY_DETAIL_REFUSE(int, utimensat,
                    (int directory, const char* path, const timespec* times, int flags), directory,
                    path, times, flags)
BELAY_DETAIL_REFUSE(int, utimes, (const char* path, const timeval* times), path, times)
BELAY_DETAIL_REFUSE(int, utime, (const char* path, const void* times), path, times)
BELAY_DETAIL_REFUSE(int, lutimes, (const char* path, const timeval* times), path, times)
BELAY_DETAIL_REFUSE(int, futimes, (int fd, const timeval* times), fd, times)
BELAY_DETAIL_REFUSE(int, futimens, (int fd, const timespec* times), fd, times)
BELAY_DETAIL_REFUSE(int, fchdir, (int fd), fd)
BELAY_DETAIL_REFUSE(int, statvfs, (const char* path, struct statvfs* out), path, out)
BELAY_DETAIL_REFUSE(int, fstatvfs, (int fd, struct statvfs* out), fd, out)
BELAY_DETAIL_REFUSE(int, statvfs64, (const char* path, struct statvfs* out), path, out)
BELAY_DETAIL_REFUSE(int, fstatvfs64, (int fd, struct statvfs* out), fd, out)

// ---- directories --------------------------------------------------------------------------------

BELAY_DETAIL_REFUSE(void, rewinddir, (DIR * directory), directory)
BELAY_DETAIL_REFUSE(long, telldir, (DIR * directory), directory)
BELAY_DETAIL_REFUSE(void, seekdir, (DIR * directory, long place), directory, place)
BELAY_DETAIL_REFUSE(int, dirfd, (DIR * directory), directory)
BELAY_DETAIL_REFUSE(int, readdir_r, (DIR * directory, void* entry, void* out), directory, entry,
                    out)
BELAY_DETAIL_REFUSE(int, scandir, (const char* path, void* out, void* filter, void* compare), path,
                    out, filter, compare)
BELAY_DETAIL_REFUSE(int, ftw, (const char* path, void* call, int count), path, call, count)
BELAY_DETAIL_REFUSE(int, nftw, (const char* path, void* call, int count, int flags), path, call,
                    count, flags)
BELAY_DETAIL_REFUSE(int, glob, (const char* pattern, int flags, void* on_error, void* out), pattern,
                    flags, on_error, out)
BELAY_DETAIL_REFUSE(int, readdir64_r, (DIR * directory, void* entry, void* out), directory, entry,
                    out)
BELAY_DETAIL_REFUSE(int, scandir64, (const char* path, void* out, void* filter, void* compare),
                    path, out, filter, compare)
BELAY_DETAIL_REFUSE(int, ftw64, (const char* path, void* call, int count), path, call, count)
BELAY_DETAIL_REFUSE(int, nftw64, (const char* path, void* call, int count, int flags), path, call,
                    count, flags)
BELAY_DETAIL_REFUSE(int, glob64, (const char* pattern, int flags, void* on_error, void* out),
                    pattern, flags, on_error, out)

// ---- descriptors --------------------------------------------------------------------------------

BELAY_DETAIL_REFUSE(ssize_t, preadvv2,
                    (int fd, const iovec* iov, int count, off_t offset, int flags), fd, iov, count,
                    offset, flags)
BELAY_DETAIL_REFUSE(ssize_t, pwritevv2,
                    (int fd, const iovec* iov, int count, off_t offset, int flags), fd, iov, count,
                    offset, flags)
BELAY_DETAIL_REFUSE(int, lockf, (int fd, int command, off_t size), fd, command, size)
BELAY_DETAIL_REFUSE(ssize_t, preadv64v2,
                    (int fd, const iovec* iov, int count, off_t offset, int flags), fd, iov, count,
                    offset, flags)
BELAY_DETAIL_REFUSE(ssize_t, pwritev64v2,
                    (int fd, const iovec* iov, int count, off_t offset, int flags), fd, iov, count,
                    offset, flags)
BELAY_DETAIL_REFUSE(int, lockf64, (int fd, int command, off_t size), fd, command, size)
BELAY_DETAIL_REFUSE(ssize_t, copy_file_range,
                    (int from, off_t* from_offset, int to, off_t* to_offset, std::size_t size,
                     unsigned int flags),
                    from, from_offset, to, to_offset, size, flags)
BELAY_DETAIL_REFUSE(int, close_range, (unsigned int first, unsigned int last, int flags), first,
                    last, flags)
BELAY_DETAIL_REFUSE(void, closefrom, (int first), first)
BELAY_DETAIL_REFUSE(int, memfd_create, (const char* name, unsigned int flags), name, flags)

// ---- waits that only another thread or a signal ends --------------------------------------------

BELAY_DETAIL_REFUSE(int, pthread_cond_wait, (pthread_cond_t * condition, pthread_mutex_t* mutex),
                    condition, mutex)
BELAY_DETAIL_REFUSE(int, pthread_cond_timedwait,
                    (pthread_cond_t * condition, pthread_mutex_t* mutex, const timespec* end),
                    condition, mutex, end)
BELAY_DETAIL_REFUSE(int, pthread_cond_clockwait,
                    (pthread_cond_t * condition, pthread_mutex_t* mutex, clockid_t clock,
                     const timespec* end),
                    condition, mutex, clock, end)
BELAY_DETAIL_REFUSE(int, pthread_barrier_wait, (pthread_barrier_t * barrier), barrier)
BELAY_DETAIL_REFUSE(int, cnd_wait, (void* condition, void* mutex), condition, mutex)
BELAY_DETAIL_REFUSE(int, cnd_timedwait, (void* condition, void* mutex, const timespec* end),
                    condition, mutex, end)
BELAY_DETAIL_REFUSE(int, sem_wait, (sem_t * semaphore), semaphore)
BELAY_DETAIL_REFUSE(int, sem_timedwait, (sem_t * semaphore, const timespec* end), semaphore, end)
BELAY_DETAIL_REFUSE(int, sem_clockwait, (sem_t * semaphore, clockid_t clock, const timespec* end),
                    semaphore, clock, end)
BELAY_DETAIL_REFUSE(int, sigwaitinfo, (const sigset_t* signals, siginfo_t* out), signals, out)
BELAY_DETAIL_REFUSE(int, thrd_sleep, (const timespec* time, timespec* rest), time, rest)

// ---- other threads and processes ----------------------------------------------------------------

BELAY_DETAIL_REFUSE(int, thrd_create, (void* thread, int (*start)(void*), void* argument), thread,
                    start, argument)
// The C library notifies of the end of these by a thread or a signal.
BELAY_DETAIL_REFUSE(int, timer_create, (clockid_t clock, void* event, void* timer), clock, event,
                    timer)
BELAY_DETAIL_REFUSE(int, getaddrinfo_a, (int mode, void* list, int count, void* event), mode, list,
                    count, event)
BELAY_DETAIL_REFUSE(int, aio_read, (void* control), control)
BELAY_DETAIL_REFUSE(int, aio_write, (void* control), control)
BELAY_DETAIL_REFUSE(int, aio_fsync, (int operation, void* control), operation, control)
BELAY_DETAIL_REFUSE(int, lio_listio, (int mode, void* list, int count, void* event), mode, list,
                    count, event)
BELAY_DETAIL_REFUSE(int, aio_read64, (void* control), control)
BELAY_DETAIL_REFUSE(int, aio_write64, (void* control), control)
BELAY_DETAIL_REFUSE(int, aio_fsync64, (int operation, void* control), operation, control)
BELAY_DETAIL_REFUSE(int, lio_listio64, (int mode, void* list, int count, void* event), mode, list,
                    count, event)
BELAY_DETAIL_REFUSE(pid_t, wait, (int* status), status)
BELAY_DETAIL_REFUSE(pid_t, wait3, (int* status, int options, void* usage), status, options, usage)
BELAY_DETAIL_REFUSE(pid_t, wait4, (pid_t pid, int* status, int options, void* usage), pid, status,
                    options, usage)
BELAY_DETAIL_REFUSE(int, waitid, (int kind, id_t id, siginfo_t* out, int options), kind, id, out,
                    options)
BELAY_DETAIL_REFUSE(int, execvpe,
                    (const char* file, char* const* arguments, char* const* environment), file,
                    arguments, environment)
BELAY_DETAIL_REFUSE(int, fexecve, (int fd, char* const* arguments, char* const* environment), fd,
                    arguments, environment)

/// Returns the arguments of execl() and its kind, up to the null pointer.
inline std::vector<char*> exec_arguments(const char* first, va_list& rest) {
    std::vector<char*> all{const_cast<char*>(first)};
    while (all.back() != nullptr) all.push_back(va_arg(rest, char*));
    return all;
}
BELAY_DETAIL_SYMBOL inline int execl(const char*, const char*, ...) asm("execl");
inline int execl(const char* path, const char* first, ...) {
    va_list rest;
    va_start(rest, first);
    const std::vector<char*> all = exec_arguments(first, rest);
    va_end(rest);
    return libc_refused::execv(path, all.data());
}
BELAY_DETAIL_SYMBOL inline int execlp(const char*, const char*, ...) asm("execlp");
inline int execlp(const char* file, const char* first, ...) {
    va_list rest;
    va_start(rest, first);
    const std::vector<char*> all = exec_arguments(first, rest);
    va_end(rest);
    return libc_refused::execvp(file, all.data());
}
BELAY_DETAIL_SYMBOL inline int execle(const char*, const char*, ...) asm("execle");
inline int execle(const char* path, const char* first, ...) {
    va_list rest;
    va_start(rest, first);
    const std::vector<char*> all = exec_arguments(first, rest);
    char* const* const environment = va_arg(rest, char* const*);
    va_end(rest);
    return libc_refused::execve(path, all.data(), environment);
}

}}}}  // namespace belay::detail::libc_refused

#undef BELAY_DETAIL_SYMBOL
#undef BELAY_DETAIL_REFUSE

// NOLINTEND(readability-function-size)
// NOLINTEND(bugprone-easily-swappable-parameters)
