// SPDX-License-Identifier: MIT
/// \file belay/queue/mpsc_ring.hpp
/// MpscRing: a bounded queue from any number of threads to one.
#pragma once

#include <atomic>       // std::memory_order_relaxed
#include <cstddef>      // std::size_t
#include <optional>     // std::optional
#include <span>         // std::span
#include <type_traits>  // std::is_nothrow_move_assignable_v
#include <utility>      // std::move

#include <belay/queue/detail/numbered_ring.hpp>
#include <belay/queue/leasable_like.hpp>

namespace belay { inline namespace BELAY_ABI {

/// A bounded first-in, first-out queue from any number of threads, the producers, to one, the
/// consumer.
///
/// The ring allocates nothing after construction, and values never move while they are in it. A
/// value comes after all values whose push had returned before its own push began. The values of a
/// batch stay together. If a producer is suspended in the middle of a push, its value and all
/// values after it are hidden until it continues. Meanwhile try_pop returns std::nullopt.
///
/// Models:        LeasableLike. A ring that was moved from may only be destroyed or assigned to.
/// Thread safety: any thread calls try_push, push_some, size and capacity; one consumer calls
///                try_pop, pop_some, front, ack and nack. No other thread may use the ring while it
///                is constructed, moved or destroyed.
/// Progress:      the consumer is wait-free; a push repeats only because another push succeeded.
/// Complexity:    O(1) each, without contention; batches O(values).
/// Source:        detail/numbered_slots.hpp.
template <class T>
class MpscRing : detail::NumberedRing<T> {
    static_assert(detail::RingValue<T>,
                  "MpscRing: T must be movable and destructible without throwing");

public:
    using value_type = T;

    /// Allocates the slots.   Pre: 0 < capacity <= 2^48.   Throws: std::bad_alloc.
    explicit MpscRing(std::size_t capacity) : Base{capacity} {}

    /// Adds a value at the back. If the ring is full, returns false and does not change `value`.
    [[nodiscard]] bool try_push(T&& value) noexcept { return Base::push(std::move(value)); }
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
        return Base::push_batch(values);
    }

    /// Takes the oldest value; returns std::nullopt if there is none.
    [[nodiscard]] std::optional<T> try_pop() noexcept {
        const std::size_t head = own_head();
        if (slots_.ready(head, 1) == 0) return std::nullopt;
        std::optional<T> value = slots_.take(head);
        publish_head(slots_.after(head));
        return value;
    }
    /// Takes the oldest values, as many as fit into `into`, and returns how many.
    [[nodiscard]] std::size_t pop_some(std::span<T> into) noexcept
        requires std::is_nothrow_move_assignable_v<T>
    {
        const std::size_t head = own_head();
        const std::size_t count = slots_.ready(head, into.size());
        slots_.take_some(head, into.first(count));
        publish_head(slots_.after(head, count));
        return count;
    }

    /// Returns the oldest value, or null if there is none. The value does not move until it is
    /// taken.
    [[nodiscard]] T* front() noexcept {
        const std::size_t head = own_head();
        return slots_.ready(head, 1) == 0 ? nullptr : &slots_.value(head);
    }
    /// Removes the oldest value.   Pre: front() has returned one.
    void ack() noexcept {
        const std::size_t head = own_head();
        BELAY_PRECONDITION(slots_.ready(head, 1) != 0, "MpscRing::ack: the ring must not be empty");
        slots_.empty(head);
        publish_head(slots_.after(head));
    }
    /// Does nothing: the oldest value stays first until it is removed.
    void nack() noexcept {}

    /// Returns how many values are in the ring. While other threads push and pop, it is an estimate
    /// within the capacity.
    [[nodiscard]] std::size_t size() const noexcept { return Base::held(); }
    /// Returns the capacity given to the constructor.
    [[nodiscard]] std::size_t capacity() const noexcept { return slots_.capacity(); }

private:
    // It ends the pushes, and waits until their values were taken.
    template <class Ring>
    friend class BlockingRing;

    using Base = detail::NumberedRing<T>;
    using Base::head_;
    using Base::slots_;

    // Relaxed, both: only the consumer writes it. The turns of the slots show the producers which
    // slots are free; other threads read it only for size().
    [[nodiscard]] std::size_t own_head() const noexcept {
        return head_.load(std::memory_order_relaxed);
    }
    void publish_head(std::size_t head) noexcept { head_.store(head, std::memory_order_relaxed); }
};

}}  // namespace belay
