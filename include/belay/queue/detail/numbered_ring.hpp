// SPDX-License-Identifier: MIT
/// \file belay/queue/detail/numbered_ring.hpp
/// NumberedRing: the slots, and the producers' side, of MpscRing and MpmcRing.
#pragma once

#include <atomic>   // std::memory_order_relaxed
#include <cstddef>  // std::size_t
#include <span>     // std::span
#include <utility>  // std::move

#include <belay/queue/detail/numbered_slots.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The base of a ring to which any number of threads push. The derived class takes values, and
/// moves `head_`.
template <class T>
class NumberedRing {
protected:
    /// Pre: 0 < capacity <= 2^48.   Throws: std::bad_alloc.
    explicit NumberedRing(std::size_t capacity) : slots_{capacity} {}
    /// Afterwards `other` may only be destroyed or assigned to.
    NumberedRing(NumberedRing&& other) noexcept : slots_{std::move(other.slots_)} {
        take_turns(other);
    }
    NumberedRing& operator=(NumberedRing&& other) noexcept {
        if (this == &other) return *this;
        clear();
        slots_ = std::move(other.slots_);
        take_turns(other);
        return *this;
    }
    ~NumberedRing() { clear(); }

    [[nodiscard]] bool push(T&& value) noexcept {
        std::size_t turn = 0;
        if (slots_.claim(tail_, 1, turn) == 0) return false;
        slots_.fill(turn, std::move(value));
        return true;
    }
    [[nodiscard]] std::size_t push_batch(std::span<T> values) noexcept {
        std::size_t turn = 0;
        const std::size_t count = slots_.claim(tail_, values.size(), turn);
        slots_.fill_some(turn, values.first(count));
        return count;
    }

    // ---- for BlockingRing -----------------------------------------------------------------------

    static constexpr bool publishes_by_exchange = false;
    /// Ends the pushes: each has claimed its turn before, or is rejected.
    ///
    /// The turn of the next push becomes odd, and no slot has it before that push is made.
    void close_pushes() noexcept {
        // Release: a thread that sees the close also sees what this thread pushed before.
        tail_.fetch_or(1, std::memory_order_release);
    }
    [[nodiscard]] bool pushes_closed(std::memory_order order) const noexcept {
        return tail_.load(order) % 2 != 0;
    }
    /// Returns whether the pushes have ended, and all their values were claimed by pops.
    [[nodiscard]] bool drained() const noexcept {
        // Relaxed, both: a turn that was read too early differs, and the wake after the change ends
        // the sleep of a thread that depends on it. After the close, the turn of the next push is
        // odd and stays as it is. The turns of pops are odd, too, and those of open pushes even.
        return head_.load(std::memory_order_relaxed) == tail_.load(std::memory_order_relaxed);
    }

    [[nodiscard]] std::size_t held() const noexcept {
        // Relaxed: callers may only use the result as an approximate number.
        const std::size_t head = head_.load(std::memory_order_relaxed);
        return slots_.held(head, tail_.load(std::memory_order_relaxed));
    }

    using Slots = NumberedSlots<T>;

    alignas(side_bytes) Slots slots_;
    // The turns of the next push and of the next pop.
    alignas(side_bytes) RingAtomic<T, std::size_t> tail_{Slots::first_push};
    alignas(side_bytes) RingAtomic<T, std::size_t> head_{Slots::first_pop};

private:
    // Relaxed, in both: no other thread uses the ring now. Handing it over orders the stores.
    void take_turns(NumberedRing& other) noexcept {
        tail_.store(other.tail_.load(std::memory_order_relaxed), std::memory_order_relaxed);
        head_.store(other.head_.load(std::memory_order_relaxed), std::memory_order_relaxed);
        other.tail_.store(Slots::first_push, std::memory_order_relaxed);
        other.head_.store(Slots::first_pop, std::memory_order_relaxed);
    }
    void clear() noexcept {
        const std::size_t end = tail_.load(std::memory_order_relaxed) | 1;
        std::size_t head = head_.load(std::memory_order_relaxed);
        for (; head != end; head = slots_.after(head)) slots_.empty(head);
    }
};

}}}  // namespace belay::detail
