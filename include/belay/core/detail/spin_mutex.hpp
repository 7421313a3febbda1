// SPDX-License-Identifier: MIT
/// \file belay/core/detail/spin_mutex.hpp
/// SpinMutex: a one-byte lock for short critical sections. It spins for a while, then sleeps.
#pragma once

#include <atomic>  // std::atomic

#include <belay/core/assert.hpp>
#include <belay/core/detail/wait_while.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

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

}}}  // namespace belay::detail
