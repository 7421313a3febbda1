// SPDX-License-Identifier: MIT
/// \file belay/libc_sim/detail/locks.hpp
/// libc_locks: functions that wait for a lock or an initialization, which end a simulated program
/// that would wait for ever.
#pragma once

#include <pthread.h>    // pthread_mutex_t
#include <sys/types.h>  // pid_t
#include <threads.h>    // mtx_t
#include <time.h>       // timespec
#include <unistd.h>     // gettid

#include <cerrno>   // EBUSY
#include <cstring>  // std::memcpy
#include <string>   // std::string

#include <belay/libc_sim/detail/process.hpp>
#include <belay/libc_sim/detail/real.hpp>

// NOLINTBEGIN(bugprone-easily-swappable-parameters): the parameters of the C library

// Shared libraries find only visible symbols. -fvisibility-inlines-hidden must not hide them.
#define BELAY_DETAIL_SYMBOL [[gnu::used, gnu::visibility("default")]]

namespace belay { inline namespace BELAY_ABI { namespace detail { namespace libc_locks {

/// Returns whether the locking thread would wait for itself.
inline bool waits_for_itself(const pthread_mutex_t& mutex) {
    // A lock that checks for errors returns EDEADLK itself.
    const bool checks = (mutex.__data.__kind & 3) == PTHREAD_MUTEX_ERRORCHECK_NP;
    return !checks && mutex.__data.__owner == libc_real<"gettid", pid_t>();
}
/// Readers have no names. A simulated program starts no thread, so that they are programs.
inline bool waits_for_itself(const pthread_rwlock_t& lock) {
    const pid_t writer = lock.__data.__cur_writer;
    return writer == 0 || writer == libc_real<"gettid", pid_t>();
}
inline bool waits_for_itself(const pthread_spinlock_t&) { return true; }

inline bool waits_for_itself(const mtx_t& mutex) {
    // A mutex of C is one of POSIX.
    pthread_mutex_t same;
    std::memcpy(&same, &mutex, sizeof mutex);
    return waits_for_itself(same);
}

/// Locks as the C library does. All programs of a world are one thread of the test. Therefore a
/// program that waits for another one, or for itself, would stop the world.
template <LibcName Name, LibcName Try, class Lock, class... A>
int libc_lock(Lock* lock, A... arguments) {
    if (LibcProcess* const p = LibcProcess::current()) {
        const int error = libc_real<Try, int>(lock);
        if (error != EBUSY && error != static_cast<int>(thrd_busy)) return error;
        if (waits_for_itself(*lock)) {
            p->refuse("called \"" + std::string{Name.text} +
                      "\" of a lock that it, or another program of the test, has locked");
        }
    }
    return libc_real<Name, int>(lock, arguments...);
}

// Defines a function that waits for a lock: its name, the function that does not wait, its
// parameters and its arguments.
#define BELAY_DETAIL_LOCK(name, try_name, parameters, ...)     \
    BELAY_DETAIL_SYMBOL inline int name parameters asm(#name); \
    inline int name parameters { return libc_lock<#name, #try_name>(__VA_ARGS__); }

BELAY_DETAIL_LOCK(pthread_mutex_lock, pthread_mutex_trylock, (pthread_mutex_t * mutex), mutex)
BELAY_DETAIL_LOCK(pthread_mutex_timedlock, pthread_mutex_trylock,
                  (pthread_mutex_t * mutex, const timespec* end), mutex, end)
BELAY_DETAIL_LOCK(pthread_mutex_clocklock, pthread_mutex_trylock,
                  (pthread_mutex_t * mutex, clockid_t clock, const timespec* end), mutex, clock,
                  end)
BELAY_DETAIL_LOCK(pthread_rwlock_rdlock, pthread_rwlock_tryrdlock, (pthread_rwlock_t * lock), lock)
BELAY_DETAIL_LOCK(pthread_rwlock_timedrdlock, pthread_rwlock_tryrdlock,
                  (pthread_rwlock_t * lock, const timespec* end), lock, end)
BELAY_DETAIL_LOCK(pthread_rwlock_clockrdlock, pthread_rwlock_tryrdlock,
                  (pthread_rwlock_t * lock, clockid_t clock, const timespec* end), lock, clock, end)
BELAY_DETAIL_LOCK(pthread_rwlock_wrlock, pthread_rwlock_trywrlock, (pthread_rwlock_t * lock), lock)
BELAY_DETAIL_LOCK(pthread_rwlock_timedwrlock, pthread_rwlock_trywrlock,
                  (pthread_rwlock_t * lock, const timespec* end), lock, end)
BELAY_DETAIL_LOCK(pthread_rwlock_clockwrlock, pthread_rwlock_trywrlock,
                  (pthread_rwlock_t * lock, clockid_t clock, const timespec* end), lock, clock, end)
BELAY_DETAIL_LOCK(pthread_spin_lock, pthread_spin_trylock, (pthread_spinlock_t * lock), lock)
BELAY_DETAIL_LOCK(mtx_lock, mtx_trylock, (mtx_t * mutex), mutex)
BELAY_DETAIL_LOCK(mtx_timedlock, mtx_trylock, (mtx_t * mutex, const timespec* end), mutex, end)

/// Rejects a program that uses what it, or another program, has begun to initialize. As all
/// programs are one thread, it would wait for ever.
inline void refuse_half_initialized(const std::string& uses, bool has_begun) {
    LibcProcess* const p = LibcProcess::current();
    if (p == nullptr || !has_begun) return;
    p->refuse(uses + " that it, or another program of the test, has begun to initialize");
}
BELAY_DETAIL_SYMBOL inline int once(pthread_once_t*, void (*)()) asm("pthread_once");
inline int once(pthread_once_t* control, void (*initialize)()) {
    // Source: glibc, nptl/pthreadP.h: bit 0 is for "in progress".
    refuse_half_initialized("called \"pthread_once\"", (*control & 1) != 0);
    return libc_real<"pthread_once", int>(control, initialize);
}
BELAY_DETAIL_SYMBOL inline void once_of_c(once_flag*, void (*)()) asm("call_once");
inline void once_of_c(once_flag* control, void (*initialize)()) {
    static_cast<void>(once(reinterpret_cast<pthread_once_t*>(control), initialize));
}
/// A static variable of a function.
BELAY_DETAIL_SYMBOL inline int guard_acquire(char*) asm("__cxa_guard_acquire");
inline int guard_acquire(char* guard) {
    // Source: Itanium C++ ABI, 3.3.3. Byte 0 is for "initialized"; both C++ libraries have the rest
    // of the state in byte 1.
    refuse_half_initialized("used a static variable", guard[0] == 0 && guard[1] != 0);
    return libc_real<"__cxa_guard_acquire", int>(guard);
}

}}}}  // namespace belay::detail::libc_locks

#undef BELAY_DETAIL_SYMBOL
#undef BELAY_DETAIL_LOCK

// NOLINTEND(bugprone-easily-swappable-parameters)
