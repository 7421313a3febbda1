// SPDX-License-Identifier: MIT
/// \file belay/core/detail/spin_mutex.hpp
/// SpinMutex: a one-byte lock for short critical sections, Guarded: a value that it protects, and
/// what else threads need of <mutex> and <thread>.
#pragma once

#include <atomic>       // std::memory_order, std::atomic
#include <ctime>        // timespec
#include <type_traits>  // std::is_constant_evaluated

#include <belay/core/assert.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Returns when `value` is no longer `old`, or earlier. A notification follows each change.
///
/// Where libstdc++ has no futex, as with MinGW-w64, its releases 11 and 12 compare the value before
/// they lock the mutex of the notification. A wake between the two is lost, and the thread would
/// sleep for ever. There it looks every millisecond.   Source: GCC bug 106183.
template <class Atomic, class T>
void wait_while(const Atomic& value, T old, std::memory_order order) noexcept {
#if defined(__GLIBCXX__) && !defined(_GLIBCXX_HAVE_PLATFORM_WAIT) && _GLIBCXX_RELEASE < 13
    for (int look = 0; value.load(order) == old; ++look) {
        if (look < 64) {
            __gthread_yield();  // what std::this_thread::yield calls, without <thread>
        } else {
            look = 64;
            const timespec pause{0, 1'000'000};
            nanosleep(&pause, nullptr);
        }
    }
#else
    value.wait(old, order);
#endif
}

/// Returns an address that is unique to the calling thread.
[[nodiscard]] inline const void* this_thread() noexcept {
    static thread_local char name;
    return &name;
}

/// A mutex without <mutex>, because every user would pay the parse time of that header.
///
/// Use it for sections of a few dozen instructions that call no user code. It is neither recursive
/// nor fair.
/// Thread safety: any thread.   Blocks: while another thread holds it.
class SpinMutex {
public:
    void lock() noexcept {
        if (!try_lock()) lock_later();
    }
    [[nodiscard]] bool try_lock() noexcept {
        unsigned char expected = 0;
        return state_.compare_exchange_strong(expected, 1, std::memory_order_acquire,
                                              std::memory_order_relaxed);
    }
    void unlock() noexcept {
        if (state_.exchange(0, std::memory_order_release) == 2) wake_one();
    }

private:
    static constexpr int spins = 64;

    // Not inlined: these would be most of each section's code.
    [[gnu::cold, gnu::noinline]] void lock_later() noexcept {
        for (int spin = 1; spin < spins; ++spin) {
            if (try_lock()) return;
        }
        // 2 means "a thread sleeps": the holder must wake one. Taking the lock as 2 keeps that true
        // for other threads that still sleep. Source: U. Drepper, "Futexes Are Tricky" (2011).
        while (state_.exchange(2, std::memory_order_acquire) != 0) {
            wait_while(state_, static_cast<unsigned char>(2), std::memory_order_relaxed);
        }
    }
    [[gnu::cold, gnu::noinline]] void wake_one() noexcept { state_.notify_one(); }

    std::atomic<unsigned char> state_{0};
};

/// Holds a SpinMutex for a scope.
class [[nodiscard]] SpinLock {
public:
    explicit SpinLock(SpinMutex& mutex) noexcept : mutex_{mutex} { mutex_.lock(); }
    ~SpinLock() { mutex_.unlock(); }
    SpinLock(const SpinLock&) = delete;
    SpinLock& operator=(const SpinLock&) = delete;

private:
    SpinMutex& mutex_;
};

/// The state of a shared object whose changes affect several numbers at once. In a constant
/// expression, which has one thread, it takes no lock. Timelines can therefore be checked with
/// static_assert.
///
/// Thread safety: any thread.   Blocks: for a few instructions of another caller.
template <class State>
class Guarded {
public:
    constexpr explicit Guarded(State state) noexcept : state_{state} {}

    /// Returns `use(state)`, called under the lock.   Pre: `use` calls no user code.
    template <class F>
    constexpr auto with(F use) noexcept {
        // Not a conditional expression: see RatioBudget::reserve.
        if (std::is_constant_evaluated()) return use(state_);
        return locked(use, state_);
    }
    template <class F>
    constexpr auto with(F use) const noexcept {
        if (std::is_constant_evaluated()) return use(state_);
        return locked(use, state_);
    }

private:
    template <class F, class S>
    auto locked(F& use, S& state) const noexcept {
        const detail::SpinLock lock{mutex_};
        return use(state);
    }

    State state_;
    mutable detail::SpinMutex mutex_;
};

}}}  // namespace belay::detail
