// SPDX-License-Identifier: MIT
/// \file belay/queue/detail/basic_mpmc_ring.hpp
/// BasicMpmcRing: a MpmcRing over any atomics.
#pragma once

#include <atomic>       // std::memory_order_relaxed
#include <cstddef>      // std::size_t
#include <optional>     // std::optional
#include <span>         // std::span
#include <type_traits>  // std::is_copy_constructible_v
#include <utility>      // std::move

#include <belay/queue/detail/numbered_slots.hpp>

namespace belay::inline BELAY_ABI::detail {

/// A MpmcRing; with another `Atomic` than std::atomic every order of its accesses can be tried.
template <class T, template <class> class Atomic>
class BasicMpmcRing {
    using Slots = NumberedSlots<T, Atomic>;

public:
    using value_type = T;

    /// Pre: 0 < capacity <= 2^48.   Throws: std::bad_alloc.
    explicit BasicMpmcRing(std::size_t capacity) : slots_{capacity} {}
    /// `other` may only be destroyed or assigned to afterwards.
    BasicMpmcRing(BasicMpmcRing&& other) noexcept : slots_{std::move(other.slots_)} {
        take_indices(other);
    }
    BasicMpmcRing& operator=(BasicMpmcRing&& other) noexcept {
        if (this == &other) return *this;
        clear();
        slots_ = std::move(other.slots_);
        take_indices(other);
        return *this;
    }
    ~BasicMpmcRing() { clear(); }

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
        std::size_t position = 0;
        if (slots_.claim(head_, Slots::Phase::pop, 1, position) == 0) return std::nullopt;
        return slots_.take(position);
    }
    /// Takes the oldest values, as many as are there and fit into `into`; answers how many.
    [[nodiscard]] std::size_t pop_some(std::span<T> into) noexcept
        requires std::is_nothrow_move_assignable_v<T>
    {
        std::size_t position = 0;
        const std::size_t count = slots_.claim(head_, Slots::Phase::pop, into.size(), position);
        slots_.take_some(position, into.first(count));
        return count;
    }

    /// How many values wait; while others push and pop, a guess within the capacity.
    [[nodiscard]] std::size_t size() const noexcept {
        // Relaxed: nobody may conclude more from it than how many there are about now.
        const std::size_t head = head_.load(std::memory_order_relaxed);
        return slots_.held(head, tail_.load(std::memory_order_relaxed));
    }
    [[nodiscard]] std::size_t capacity() const noexcept { return slots_.capacity(); }

private:
    void take_indices(BasicMpmcRing& other) noexcept {
        // Relaxed, as in every part that runs alone: making it known to others orders it.
        tail_.store(other.tail_.load(std::memory_order_relaxed), std::memory_order_relaxed);
        head_.store(other.head_.load(std::memory_order_relaxed), std::memory_order_relaxed);
        other.tail_.store(0, std::memory_order_relaxed);
        other.head_.store(0, std::memory_order_relaxed);
    }
    void clear() noexcept {
        while (size() != 0) static_cast<void>(try_pop());
    }

    alignas(side_bytes) Slots slots_;
    alignas(side_bytes) Atomic<std::size_t> tail_{0};
    alignas(side_bytes) Atomic<std::size_t> head_{0};
};

}  // namespace belay::inline BELAY_ABI::detail
