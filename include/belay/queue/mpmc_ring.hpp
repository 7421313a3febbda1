// SPDX-License-Identifier: MIT
/// \file belay/queue/mpmc_ring.hpp
/// MpmcRing: a bounded queue between any number of threads.
#pragma once

#include <atomic>       // std::memory_order_relaxed
#include <cstddef>      // std::size_t
#include <optional>     // std::optional
#include <span>         // std::span
#include <type_traits>  // std::is_nothrow_move_assignable_v
#include <utility>      // std::move

#include <belay/queue/detail/numbered_slots.hpp>
#include <belay/queue/storage_like.hpp>

namespace belay { inline namespace BELAY_ABI {

/// A bounded first-in, first-out queue between any number of threads.
///
/// The ring allocates nothing after construction. A value comes after all values whose push had
/// returned before its own push began. The values of a batch stay together. If a thread is
/// suspended in the middle of a push, its value and all values after it are hidden until it
/// continues. Meanwhile try_pop returns std::nullopt. A thread that is suspended in the middle of a
/// pop keeps its slot.
///
/// Models:        StorageLike. It has no front(): another thread could take the value that front()
///                returned. A ring that was moved from may only be destroyed or assigned to.
/// Thread safety: any thread calls anything. No other thread may use the ring while it is
///                constructed, moved or destroyed.
/// Progress:      no locks and no waiting: a call repeats only because another call succeeded.
/// Complexity:    O(1) each, without contention; batches O(values).
/// Source:        detail/numbered_slots.hpp.
template <class T>
class MpmcRing {
    static_assert(detail::RingValue<T>,
                  "MpmcRing: T must be movable and destructible without throwing");

public:
    using value_type = T;

    /// Allocates the slots.   Pre: 0 < capacity <= 2^48.   Throws: std::bad_alloc.
    explicit MpmcRing(std::size_t capacity) : slots_{capacity} {}
    /// Afterwards `other` may only be destroyed or assigned to.
    MpmcRing(MpmcRing&& other) noexcept : slots_{std::move(other.slots_)} { take_turns(other); }
    MpmcRing& operator=(MpmcRing&& other) noexcept {
        if (this == &other) return *this;
        clear();
        slots_ = std::move(other.slots_);
        take_turns(other);
        return *this;
    }
    ~MpmcRing() { clear(); }

    /// Adds a value at the back. If the ring is full, returns false and does not change `value`.
    [[nodiscard]] bool try_push(T&& value) noexcept {
        std::size_t turn = 0;
        if (slots_.claim(tail_, 1, turn) == 0) return false;
        slots_.fill(turn, std::move(value));
        return true;
    }
    /// Adds a copy of a value, which is made first.   Throws: what copying throws; then nothing was
    /// added.
    [[nodiscard]] bool try_push(const T& value) noexcept(std::is_nothrow_copy_constructible_v<T>)
        requires std::is_copy_constructible_v<T>
    {
        return try_push(T{value});
    }
    /// Adds as many of `values` as fit, from the first on, and returns how many. The others do not
    /// change.
    [[nodiscard]] std::size_t push_some(std::span<T> values) noexcept {
        std::size_t turn = 0;
        const std::size_t count = slots_.claim(tail_, values.size(), turn);
        slots_.fill_some(turn, values.first(count));
        return count;
    }

    /// Takes the oldest value; returns std::nullopt if there is none.
    [[nodiscard]] std::optional<T> try_pop() noexcept {
        std::size_t turn = 0;
        if (slots_.claim(head_, 1, turn) == 0) return std::nullopt;
        return slots_.take(turn);
    }
    /// Takes the oldest values, as many as fit into `into`, and returns how many.
    [[nodiscard]] std::size_t pop_some(std::span<T> into) noexcept
        requires std::is_nothrow_move_assignable_v<T>
    {
        std::size_t turn = 0;
        const std::size_t count = slots_.claim(head_, into.size(), turn);
        slots_.take_some(turn, into.first(count));
        return count;
    }

    /// Returns how many values are in the ring. While other threads push and pop, it is an estimate
    /// within the capacity.
    [[nodiscard]] std::size_t size() const noexcept {
        // Relaxed: callers may only use the result as an approximate number.
        const std::size_t head = head_.load(std::memory_order_relaxed);
        return slots_.held(head, tail_.load(std::memory_order_relaxed));
    }
    /// Returns the capacity given to the constructor.
    [[nodiscard]] std::size_t capacity() const noexcept { return slots_.capacity(); }

private:
    // It ends the pushes, and waits until their values were taken.
    template <class Ring>
    friend class BlockingRing;

    using Slots = detail::NumberedSlots<T>;

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

    // Relaxed, in both: no other thread uses the ring now. Handing it over orders the stores.
    void take_turns(MpmcRing& other) noexcept {
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

    alignas(detail::side_bytes) Slots slots_;
    // The turns of the next push and of the next pop.
    alignas(detail::side_bytes) detail::RingAtomic<T, std::size_t> tail_{Slots::first_push};
    alignas(detail::side_bytes) detail::RingAtomic<T, std::size_t> head_{Slots::first_pop};
};

}}  // namespace belay
