// SPDX-License-Identifier: MIT
/// \file belay/queue/ring.hpp
/// Ring: a bounded queue in one block of memory, for one thread.
#pragma once

#include <cstddef>      // std::size_t
#include <new>          // placement new
#include <optional>     // std::optional
#include <type_traits>  // std::is_nothrow_copy_constructible_v
#include <utility>      // std::exchange, std::move

#include <belay/queue/detail/ring_slots.hpp>
#include <belay/queue/storage_like.hpp>

namespace belay { inline namespace BELAY_ABI {

/// A first-in, first-out queue of at most `N` values, or of the capacity given to its constructor.
///
/// The ring allocates nothing after construction, and values never move while they are in it. It
/// holds slots for the next power of two; those beyond the capacity stay unused.
///
/// Models:        LeasableLike.
/// Thread safety: distinct objects safe; it has no atomics.
/// Complexity:    O(1) each; moving a Ring that holds its values itself moves each of them.
template <class T, std::size_t N = dynamic_capacity>
class Ring {
    static_assert(detail::RingValue<T>,
                  "Ring: T must be movable and destructible without throwing");

public:
    using value_type = T;

    /// Holds its values in the object itself.
    Ring() noexcept
        requires(N != dynamic_capacity)
    = default;
    /// Allocates the slots.   Pre: 0 < capacity <= 2^48.   Throws: std::bad_alloc.
    explicit Ring(std::size_t capacity)
        requires(N == dynamic_capacity)
        : slots_{capacity} {}
    Ring(Ring&& other) noexcept
        requires(N != dynamic_capacity)
    {
        take(other);
    }
    Ring(Ring&& other) noexcept
        requires(N == dynamic_capacity)
        : head_{std::exchange(other.head_, 0)},
          tail_{std::exchange(other.tail_, 0)},
          slots_{std::move(other.slots_)} {}
    Ring& operator=(Ring&& other) noexcept {
        if (this == &other) return *this;
        clear();
        if constexpr (N == dynamic_capacity) {
            slots_ = std::move(other.slots_);
            head_ = std::exchange(other.head_, 0);
            tail_ = std::exchange(other.tail_, 0);
        } else {
            take(other);
        }
        return *this;
    }
    ~Ring() { clear(); }

    /// Adds a value at the back. If the ring is full, returns false and does not change `value`.
    [[nodiscard]] bool try_push(T&& value) noexcept {
        // A copy: as far as the compiler knows, the value may lie over tail_.
        const std::size_t tail = tail_;
        if (tail - head_ == slots_.capacity()) return false;
        // The index first, here and in try_pop: it then needs no second register, which saves a
        // tenth of the time. Nothing throws in between.
        tail_ = tail + 1;
        ::new (static_cast<void*>(slots_.at(tail))) T(std::move(value));
        return true;
    }
    /// Adds a copy of a value.   Throws: what copying throws; then nothing was added.
    [[nodiscard]] bool try_push(const T& value) noexcept(std::is_nothrow_copy_constructible_v<T>)
        requires std::is_copy_constructible_v<T>
    {
        const std::size_t tail = tail_;
        if (tail - head_ == slots_.capacity()) return false;
        ::new (static_cast<void*>(slots_.at(tail))) T(value);
        tail_ = tail + 1;
        return true;
    }

    /// Takes the oldest value; returns std::nullopt if the ring is empty.
    [[nodiscard]] std::optional<T> try_pop() noexcept {
        const std::size_t head = head_;
        if (head == tail_) return std::nullopt;
        head_ = head + 1;
        T* const slot = slots_.at(head);
        std::optional<T> value{std::move(*slot)};
        slot->~T();
        return value;
    }

    /// Returns the oldest value, or null if the ring is empty. The value does not move until it is
    /// taken.
    [[nodiscard]] T* front() noexcept { return head_ == tail_ ? nullptr : slots_.at(head_); }
    /// Removes the oldest value.   Pre: there is one.
    void ack() noexcept {
        BELAY_PRECONDITION(head_ != tail_, "Ring::ack: the ring must not be empty");
        slots_.at(head_)->~T();
        ++head_;
    }
    /// Does nothing: the oldest value stays first until it is removed.
    void nack() noexcept {}

    /// Returns how many values are in the ring.
    [[nodiscard]] std::size_t size() const noexcept { return tail_ - head_; }
    /// Returns the largest number of values.
    [[nodiscard]] std::size_t capacity() const noexcept { return slots_.capacity(); }

private:
    void take(Ring& other) noexcept {
        // A count instead of a test for empty: otherwise GCC 12 warns of reads of empty slots.
        for (std::size_t left = other.size(); left != 0; --left) {
            static_cast<void>(try_push(std::move(*other.slots_.at(other.head_))));
            other.ack();
        }
    }
    void clear() noexcept {
        while (head_ != tail_) ack();
    }

    // Both only grow. The slot is the remainder, so that full and empty differ.
    std::size_t head_ = 0;
    std::size_t tail_ = 0;
    detail::RingSlots<T, N> slots_;
};

}}  // namespace belay
