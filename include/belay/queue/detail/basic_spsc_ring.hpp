// SPDX-License-Identifier: MIT
/// \file belay/queue/detail/basic_spsc_ring.hpp
/// BasicSpscRing: a SpscRing over any atomics.
#pragma once

#include <atomic>       // std::memory_order_acquire
#include <cstddef>      // std::size_t
#include <memory>       // std::construct_at, std::destroy_at
#include <optional>     // std::optional
#include <span>         // std::span
#include <type_traits>  // std::is_nothrow_copy_constructible_v
#include <utility>      // std::forward, std::move

#include <belay/queue/detail/ring_slots.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// A SpscRing; with another `Atomic` than std::atomic every order of its accesses can be tried.
///
/// Each side works on indices of its own and reads the other's only when those say full or empty.
template <class T, template <class> class Atomic>
class BasicSpscRing {
public:
    using value_type = T;

    /// Pre: 0 < capacity <= 2^48.   Throws: std::bad_alloc.
    explicit BasicSpscRing(std::size_t capacity) : slots_{capacity} {}
    /// `other` is empty afterwards, and has no space.
    BasicSpscRing(BasicSpscRing&& other) noexcept : slots_{std::move(other.slots_)} {
        take_indices(other);
    }
    BasicSpscRing& operator=(BasicSpscRing&& other) noexcept {
        if (this == &other) return *this;
        clear();
        slots_ = std::move(other.slots_);
        take_indices(other);
        return *this;
    }
    ~BasicSpscRing() { clear(); }

    /// Adds a value at the back; answers false, and leaves it as it was, if the ring is full.
    [[nodiscard]] bool try_push(T&& value) noexcept { return push(std::move(value)); }
    /// The same with a copy.   Throws: what copying throws, and then nothing was added.
    [[nodiscard]] bool try_push(const T& value) noexcept(std::is_nothrow_copy_constructible_v<T>)
        requires std::is_copy_constructible_v<T>
    {
        return push(value);
    }
    /// Adds as many of `values`, from the first on, as there is space for; answers how many. The
    /// others are left as they were.
    [[nodiscard]] std::size_t push_some(std::span<T> values) noexcept {
        const std::size_t tail = producer_.mine;
        const std::size_t count = smaller(space(values.size()), values.size());
        for (std::size_t i = 0; i < count; ++i) {
            std::construct_at(slots_.at(tail + i), std::move(values[i]));
        }
        if (count != 0) publish_tail(tail + count);
        return count;
    }

    /// Takes the oldest value; nothing if there is none.
    [[nodiscard]] std::optional<T> try_pop() noexcept {
        const std::size_t head = consumer_.mine;
        if (held(1) == 0) return std::nullopt;
        T* const slot = slots_.at(head);
        std::optional<T> value{std::move(*slot)};
        std::destroy_at(slot);
        publish_head(head + 1);
        return value;
    }
    /// Takes the oldest values, as many as are there and fit into `into`; answers how many.
    [[nodiscard]] std::size_t pop_some(std::span<T> into) noexcept
        requires std::is_nothrow_move_assignable_v<T>
    {
        const std::size_t head = consumer_.mine;
        const std::size_t count = smaller(held(into.size()), into.size());
        for (std::size_t i = 0; i < count; ++i) {
            T* const slot = slots_.at(head + i);
            into[i] = std::move(*slot);
            std::destroy_at(slot);
        }
        if (count != 0) publish_head(head + count);
        return count;
    }

    /// The oldest value; null if there is none. It stays where it is until it is taken.
    [[nodiscard]] T* front() noexcept {
        const std::size_t head = consumer_.mine;
        return held(1) == 0 ? nullptr : slots_.at(head);
    }
    /// Removes the oldest value.   Pre: front() gave one.
    void ack() noexcept {
        const std::size_t head = consumer_.mine;
        BELAY_PRECONDITION(head != consumer_.theirs, "SpscRing::ack: there must be a value");
        std::destroy_at(slots_.at(head));
        publish_head(head + 1);
    }
    /// Nothing: the oldest value is first until it is removed.
    void nack() noexcept {}

    /// How many values wait; to others than the two sides at rest, a guess within the capacity.
    [[nodiscard]] std::size_t size() const noexcept {
        // Relaxed: nobody may conclude more from it than how many there are about now.
        const std::size_t head = head_.load(std::memory_order_relaxed);
        return held_between({head, tail_.load(std::memory_order_relaxed)}, capacity());
    }
    [[nodiscard]] std::size_t capacity() const noexcept { return slots_.capacity(); }

private:
    // What one side knows: its own index, and what it last saw of the other's. Indices only grow;
    // the slot is their remainder, so that full and empty differ.
    struct Side {
        std::size_t mine = 0;
        std::size_t theirs = 0;
    };

    static std::size_t smaller(std::size_t a, std::size_t b) noexcept { return a < b ? a : b; }

    template <class V>
    bool push(V&& value) noexcept(std::is_nothrow_constructible_v<T, V>) {
        // A copy: as far as the compiler knows, the value may lie over the index.
        const std::size_t tail = producer_.mine;
        if (space(1) == 0) return false;
        std::construct_at(slots_.at(tail), std::forward<V>(value));
        publish_tail(tail + 1);
        return true;
    }

    /// How many free slots the producer knows of; it looks again if they are fewer than `wanted`.
    [[nodiscard]] std::size_t space(std::size_t wanted) noexcept {
        const std::size_t tail = producer_.mine;
        const std::size_t known = slots_.capacity() - (tail - producer_.theirs);
        if (known >= wanted) return known;
        // Acquire, with the release of publish_head: the consumer has left the slots below, so the
        // producer may construct in them.
        producer_.theirs = head_.load(std::memory_order_acquire);
        return slots_.capacity() - (tail - producer_.theirs);
    }
    /// How many values the consumer knows of; it looks again if they are fewer than `wanted`.
    [[nodiscard]] std::size_t held(std::size_t wanted) noexcept {
        const std::size_t head = consumer_.mine;
        const std::size_t known = consumer_.theirs - head;
        if (known >= wanted) return known;
        // Acquire, with the release of publish_tail: the values below are constructed.
        consumer_.theirs = tail_.load(std::memory_order_acquire);
        return consumer_.theirs - head;
    }
    void publish_tail(std::size_t tail) noexcept {
        producer_.mine = tail;
        // Release: whoever sees the index sees the values below it.
        tail_.store(tail, std::memory_order_release);
    }
    void publish_head(std::size_t head) noexcept {
        consumer_.mine = head;
        // Release: whoever sees the index may reuse the slots below it, after their last use.
        head_.store(head, std::memory_order_release);
    }

    void take_indices(BasicSpscRing& other) noexcept {
        // Relaxed, as in every part that runs alone: making it known to others orders it.
        producer_ = std::exchange(other.producer_, Side{});
        consumer_ = std::exchange(other.consumer_, Side{});
        tail_.store(producer_.mine, std::memory_order_relaxed);
        head_.store(consumer_.mine, std::memory_order_relaxed);
        other.tail_.store(0, std::memory_order_relaxed);
        other.head_.store(0, std::memory_order_relaxed);
    }
    void clear() noexcept {
        while (front() != nullptr) ack();
    }

    alignas(side_bytes) RingSlots<T, dynamic_capacity> slots_;
    alignas(side_bytes) Side producer_;
    alignas(side_bytes) Atomic<std::size_t> tail_{0};
    alignas(side_bytes) Side consumer_;
    alignas(side_bytes) Atomic<std::size_t> head_{0};
};

}}}  // namespace belay::detail
