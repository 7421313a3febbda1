// SPDX-License-Identifier: MIT
/// \file belay/queue/detail/ring_waiters.hpp
/// RingWaiters: threads that sleep until a ring has changed.
#pragma once

#include <atomic>   // std::atomic
#include <cstdint>  // std::uint32_t

#include <belay/queue/detail/ring_slots.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Tells the processor that this thread is only looking.
inline void pause_briefly() noexcept {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("isb");
#endif
}

/// An event count: who waits announces itself, looks once more, and sleeps; who changed something
/// wakes all that have announced themselves.
///
/// Invariant: a change is seen by the look of a waiter, or its `wake` sees that waiter. Both change
/// `waiting_`, so one of them is first. If it is the wake, the waiter's increment (acquire) reads
/// what the wake wrote (release), or a later link of its release sequence, so that the change
/// happens before the look. If it is the waiter, the wake counts it, and needs to know no more of
/// it; it moves `changes_` (release): then either the waiter reads the new number (acquire) before
/// it looks, so that the change is visible, or its sleep on the old number does not begin or ends.
///
/// All are woken, not one: with many producers a value may hide those behind it, so one wake may
/// have to serve several waiters.
///
/// Source: eventcounts: D. Reed, R. Kanodia, "Synchronization with Eventcounts and Sequencers"
///         (1979); atomic read-modify-write instead of fences, which thread sanitizers cannot see.
template <template <class> class Atomic>
class RingWaiters {
public:
    /// Calls `look()` until it answers true; sleeps in between, after `spins` looks.
    template <class Look>
    void wait(unsigned spins, Look&& look) noexcept {
        if (look()) return;
        for (unsigned i = 0; i < spins; ++i) {
            pause_briefly();
            if (look()) return;
        }
        waiting_.fetch_add(1, std::memory_order_acquire);
        for (;;) {
            const std::uint32_t seen = changes_.load(std::memory_order_acquire);
            if (look()) break;
            // Relaxed: the load above, or that of the next round, makes the change visible.
            changes_.wait(seen, std::memory_order_relaxed);
        }
        // Relaxed: a wake that counts a thread that has left does no harm.
        waiting_.fetch_sub(1, std::memory_order_relaxed);
    }

    /// Wakes all that wait.   Pre: the change was made.
    void wake() noexcept {
        // Adds nothing; it is an exchange for its place in the order of all changes of `waiting_`.
        if (waiting_.fetch_add(0, std::memory_order_release) == 0) return;
        changes_.fetch_add(1, std::memory_order_release);
        changes_.notify_all();
    }

private:
    Atomic<std::uint32_t> waiting_{0};
    Atomic<std::uint32_t> changes_{0};
};

}}}  // namespace belay::detail
