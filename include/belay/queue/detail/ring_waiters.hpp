// SPDX-License-Identifier: MIT
/// \file belay/queue/detail/ring_waiters.hpp
/// RingWaiters: threads that sleep until a ring has changed.
#pragma once

#include <atomic>   // std::memory_order_acquire
#include <cstdint>  // std::uint32_t

#include <belay/core/detail/wait_while.hpp>
#include <belay/queue/detail/ring_atomics.hpp>
#include <belay/queue/detail/ring_slots.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Informs the processor that this thread is in a spin loop.
inline void pause_briefly() noexcept {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("isb");
#endif
}

/// An event count. A waiter registers itself, checks once more, and sleeps. A thread that has made
/// a change wakes all registered waiters.
///
/// Invariant: the check of a waiter sees a change, or the `wake` after that change sees the waiter.
/// Both change `waiting_`, so one of them is first.
/// - If the wake is first, the waiter's increment (acquire) reads the value that the wake wrote
///   (release), or a later one of its release sequence. So the change happens before the check.
/// - If the waiter is first, the wake counts it, and needs no more information about it. The wake
///   then increments `changes_` (release). Either the waiter reads the new number (acquire) before
///   it checks, so that the change is visible. Or its sleep on the old number ends, or does not
///   begin.
///
/// It wakes all waiters, not one. With many producers a value may hide the values after it, so one
/// wake may have to serve several waiters.
///
/// T is the type of the ring's values.
///
/// Source: eventcounts: D. Reed, R. Kanodia, "Synchronization with Eventcounts and Sequencers"
///         (1979); atomic read-modify-write instead of fences, which thread sanitizers cannot see.
template <class T>
class RingWaiters {
public:
    /// Calls `look()` until it returns true. It sleeps between two calls, after `spins` calls.
    ///
    /// It calls `announce()` after it has registered: see `wake_announced`.
    template <class Look, class Announce>
    void wait(unsigned spins, Look&& look, Announce&& announce) noexcept {
        if (look()) return;
        for (unsigned i = 0; i < spins; ++i) {
            pause_briefly();
            if (look()) return;
        }
        waiting_.fetch_add(1, std::memory_order_acquire);
        announce();
        for (;;) {
            const std::uint32_t seen = changes_.load(std::memory_order_acquire);
            if (look()) break;
            // Relaxed: the load above, or that of the next iteration, makes the change visible.
            wait_while(changes_, seen, std::memory_order_relaxed);
        }
        // Relaxed: a wake that counts a thread that has left is harmless.
        waiting_.fetch_sub(1, std::memory_order_relaxed);
    }

    /// Wakes all waiters.   Pre: the change was made.
    void wake() noexcept {
        // Adds nothing. The read-modify-write puts it into the order of all changes of `waiting_`.
        if (waiting_.fetch_add(0, std::memory_order_release) != 0) wake_all();
    }
    /// The same, for a change that is an atomic read-modify-write (acquire, release) of a variable
    /// that `announce()` also changes (release). So that variable has the order of the two, and the
    /// wake needs no exchange of its own.
    void wake_announced() noexcept {
        // Relaxed: the change has read what a waiter announced, or the waiter sees the change.
        if (waiting_.load(std::memory_order_relaxed) != 0) wake_all();
    }

private:
    void wake_all() noexcept {
        changes_.fetch_add(1, std::memory_order_release);
        changes_.notify_all();
    }

    RingAtomic<T, std::uint32_t> waiting_{0};
    RingAtomic<T, std::uint32_t> changes_{0};
};

}}}  // namespace belay::detail
