// SPDX-License-Identifier: MIT
/// \file belay/queue/mpsc_ring.hpp
/// MpscRing: a bounded queue from any number of threads to one.
#pragma once

#include <atomic>       // std::atomic
#include <cstddef>      // std::size_t
#include <optional>     // std::optional
#include <span>         // std::span
#include <type_traits>  // std::is_copy_constructible_v
#include <utility>      // std::move

#include <belay/queue/detail/numbered_slots.hpp>
#include <belay/queue/leasable_like.hpp>

namespace belay::inline BELAY_ABI {

/// A first-in, first-out queue of at most `capacity` values, which any number of threads push
/// (producers) and one takes (the consumer).
///
/// It allocates nothing after construction, and values never move while they are in it. A value is
/// behind those whose push was over before its own began; a batch lies in one piece. A producer
/// that is stopped in the middle of a push hides its value and those behind it until it goes on
/// (try_pop answers nothing then).
///
/// `Atomic` is for belay's own tests, which try every order of the accesses.
///
/// Models:        LeasableLike.
/// Thread safety: any thread calls try_push, push_some, size and capacity; one consumer try_pop,
///                pop_some, front, ack and nack. Nobody else uses it while it is made, moved or
///                destroyed.
/// Progress:      the consumer is wait-free; a push repeats only because another push went through.
/// Complexity:    O(1) each, without contention; batches O(values).
/// Source:        detail/numbered_slots.hpp.
template <class T, template <class> class Atomic = std::atomic>
class MpscRing {
    static_assert(detail::RingValue<T>,
                  "MpscRing: T must be movable and destructible without throwing");
    using Slots = detail::NumberedSlots<T, Atomic>;

public:
    using value_type = T;

    /// Pre: 0 < capacity <= 2^48.   Throws: std::bad_alloc.
    explicit MpscRing(std::size_t capacity) : slots_{capacity} {}
    /// `other` may only be destroyed or assigned to afterwards.
    MpscRing(MpscRing&& other) noexcept : slots_{std::move(other.slots_)} { take_indices(other); }
    MpscRing& operator=(MpscRing&& other) noexcept {
        if (this == &other) return *this;
        clear();
        slots_ = std::move(other.slots_);
        take_indices(other);
        return *this;
    }
    ~MpscRing() { clear(); }

    /// Adds a value at the back; answers false, and leaves it as it was, if the ring is full.
    [[nodiscard]] bool try_push(T&& value) noexcept { return slots_.push(tail_, std::move(value)); }
    /// The same with a copy, which is made first.   Throws: what copying throws, and then nothing
    /// was added.
    [[nodiscard]] bool try_push(const T& value) noexcept(std::is_nothrow_copy_constructible_v<T>)
        requires std::is_copy_constructible_v<T>
    {
        return try_push(T{value});
    }
    /// Adds as many of `values`, from the first on, as there is room for; answers how many. The
    /// others are left as they were.
    [[nodiscard]] std::size_t push_some(std::span<T> values) noexcept {
        return slots_.push_some(tail_, values);
    }

    /// Takes the oldest value; nothing if there is none.
    [[nodiscard]] std::optional<T> try_pop() noexcept {
        const std::size_t head = own_head();
        if (slots_.ready(head, Slots::Phase::pop, 1) == 0) return std::nullopt;
        std::optional<T> value = slots_.take(head);
        publish_head(slots_.after(head));
        return value;
    }
    /// Takes the oldest values, as many as are there and fit into `into`; answers how many.
    [[nodiscard]] std::size_t pop_some(std::span<T> into) noexcept
        requires std::is_nothrow_move_assignable_v<T>
    {
        const std::size_t head = own_head();
        const std::size_t count = slots_.ready(head, Slots::Phase::pop, into.size());
        slots_.take_some(head, into.first(count));
        publish_head(slots_.after(head, count));
        return count;
    }

    /// The oldest value; null if there is none. It stays where it is until it is taken.
    [[nodiscard]] T* front() noexcept {
        const std::size_t head = own_head();
        return slots_.ready(head, Slots::Phase::pop, 1) == 0 ? nullptr : &slots_.value(head);
    }
    /// Removes the oldest value.   Pre: front() gave one.
    void ack() noexcept {
        const std::size_t head = own_head();
        BELAY_PRECONDITION(slots_.ready(head, Slots::Phase::pop, 1) != 0,
                           "MpscRing::ack: there must be a value");
        slots_.empty(head);
        publish_head(slots_.after(head));
    }
    /// Nothing: the oldest value is first until it is removed.
    void nack() noexcept {}

    /// How many values wait; while others push and pop, a guess within the capacity.
    [[nodiscard]] std::size_t size() const noexcept {
        // Relaxed: nobody may conclude more from it than how many there are about now.
        const std::size_t head = head_.load(std::memory_order_relaxed);
        return slots_.held(head, tail_.load(std::memory_order_relaxed));
    }
    [[nodiscard]] std::size_t capacity() const noexcept { return slots_.capacity(); }

private:
    // Relaxed, both: only the consumer writes it, and the turns of the slots tell the producers
    // what is free. Others read it for size() alone.
    [[nodiscard]] std::size_t own_head() const noexcept {
        return head_.load(std::memory_order_relaxed);
    }
    void publish_head(std::size_t head) noexcept { head_.store(head, std::memory_order_relaxed); }

    void take_indices(MpscRing& other) noexcept {
        // Relaxed, as in every part that runs alone: making it known to others orders it.
        tail_.store(other.tail_.load(std::memory_order_relaxed), std::memory_order_relaxed);
        head_.store(other.head_.load(std::memory_order_relaxed), std::memory_order_relaxed);
        other.tail_.store(0, std::memory_order_relaxed);
        other.head_.store(0, std::memory_order_relaxed);
    }
    void clear() noexcept {
        while (size() != 0) ack();
    }

    alignas(detail::side_bytes) Slots slots_;
    alignas(detail::side_bytes) Atomic<std::size_t> tail_{0};
    alignas(detail::side_bytes) Atomic<std::size_t> head_{0};
};

}  // namespace belay::inline BELAY_ABI
