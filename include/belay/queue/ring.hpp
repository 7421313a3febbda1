// SPDX-License-Identifier: MIT
/// \file belay/queue/ring.hpp
/// Ring: a bounded queue in one block of memory, for one thread.
#pragma once

#include <bit>          // std::bit_ceil
#include <cstddef>      // std::size_t
#include <memory>       // std::allocator, std::construct_at, std::destroy_at
#include <optional>     // std::optional
#include <type_traits>  // std::is_nothrow_move_constructible_v
#include <utility>      // std::exchange, std::swap

#include <belay/queue/leasable_like.hpp>

namespace belay::inline BELAY_ABI {

/// The capacity of a Ring that is chosen when it is made.
inline constexpr std::size_t dynamic_capacity = 0;

namespace detail {

/// Room for values in the object itself.
template <class T, std::size_t N>
class RingSlots {
public:
    [[nodiscard]] static constexpr std::size_t capacity() noexcept { return N; }
    [[nodiscard]] T* at(std::size_t i) noexcept {
        return reinterpret_cast<T*>(bytes_) + (i & (std::bit_ceil(N) - 1));
    }

private:
    // Initialised for GCC 12, which else takes moves of slots that are empty for uses of them.
    alignas(T) std::byte bytes_[sizeof(T) * std::bit_ceil(N)]{};
};

/// Room for values in memory of its own.
template <class T>
class RingSlots<T, dynamic_capacity> {
public:
    explicit RingSlots(std::size_t capacity)
        : slots_{std::allocator<T>{}.allocate(std::bit_ceil(capacity))},
          capacity_{capacity},
          mask_{std::bit_ceil(capacity) - 1} {}
    RingSlots(RingSlots&& other) noexcept
        : slots_{std::exchange(other.slots_, nullptr)},
          capacity_{std::exchange(other.capacity_, 0)},
          mask_{other.mask_} {}
    RingSlots& operator=(RingSlots&& other) noexcept {
        std::swap(slots_, other.slots_);
        std::swap(capacity_, other.capacity_);
        std::swap(mask_, other.mask_);
        return *this;
    }
    ~RingSlots() {
        if (slots_ != nullptr) std::allocator<T>{}.deallocate(slots_, mask_ + 1);
    }

    [[nodiscard]] std::size_t capacity() const noexcept { return capacity_; }
    [[nodiscard]] T* at(std::size_t i) noexcept { return slots_ + (i & mask_); }

private:
    T* slots_;
    std::size_t capacity_;
    std::size_t mask_;
};

}  // namespace detail

/// A first-in, first-out queue of at most `N` values, or of as many as its constructor is told.
///
/// It allocates nothing after construction, and values never move while they are in it. Where the
/// capacity is no power of two, there is room for the next one, which stays unused.
///
/// Models:        LeasableLike.
/// Thread safety: distinct objects safe; it has no atomics.
/// Complexity:    O(1) each; moving a Ring that holds its values itself moves each of them.
template <class T, std::size_t N = dynamic_capacity>
class Ring {
    static_assert(std::is_nothrow_move_constructible_v<T> && std::is_nothrow_destructible_v<T>,
                  "Ring: T must be movable and destructible without throwing");

public:
    using value_type = T;

    Ring() noexcept
        requires(N != dynamic_capacity)
    = default;
    /// Pre: 0 < capacity <= 2^48.   Throws: std::bad_alloc.
    explicit Ring(std::size_t capacity)
        requires(N == dynamic_capacity)
        : slots_{checked(capacity)} {}
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

    /// Adds a value at the back; answers false, and leaves it as it was, if the ring is full.
    [[nodiscard]] bool try_push(T&& value) noexcept {
        // A copy: as far as the compiler knows, the value may lie over tail_.
        const std::size_t tail = tail_;
        if (tail - head_ == slots_.capacity()) return false;
        std::construct_at(slots_.at(tail), std::move(value));
        tail_ = tail + 1;
        return true;
    }
    /// The same with a copy.   Throws: what copying throws, and then nothing was added.
    [[nodiscard]] bool try_push(const T& value) noexcept(std::is_nothrow_copy_constructible_v<T>)
        requires std::is_copy_constructible_v<T>
    {
        const std::size_t tail = tail_;
        if (tail - head_ == slots_.capacity()) return false;
        std::construct_at(slots_.at(tail), value);
        tail_ = tail + 1;
        return true;
    }

    /// Takes the oldest value; nothing if there is none.
    [[nodiscard]] std::optional<T> try_pop() noexcept {
        const std::size_t head = head_;
        if (head == tail_) return std::nullopt;
        T* const slot = slots_.at(head);
        std::optional<T> value{std::move(*slot)};
        std::destroy_at(slot);
        head_ = head + 1;
        return value;
    }

    /// The oldest value; null if there is none. It stays where it is until it is taken.
    [[nodiscard]] T* front() noexcept { return head_ == tail_ ? nullptr : slots_.at(head_); }
    /// Removes the oldest value.   Pre: there is one.
    void ack() noexcept {
        BELAY_PRECONDITION(head_ != tail_, "Ring::ack: there must be a value");
        std::destroy_at(slots_.at(head_));
        ++head_;
    }
    /// Nothing: the oldest value is first until it is removed.
    void nack() noexcept {}

    [[nodiscard]] std::size_t size() const noexcept { return tail_ - head_; }
    [[nodiscard]] std::size_t capacity() const noexcept { return slots_.capacity(); }

private:
    static std::size_t checked(std::size_t capacity) noexcept {
        BELAY_PRECONDITION(capacity > 0 && capacity <= (std::size_t{1} << 48),
                           "Ring::Ring: the capacity must be from 1 to 2^48");
        return capacity;
    }
    void take(Ring& other) noexcept {
        while (other.front() != nullptr) {
            static_cast<void>(try_push(std::move(*other.front())));
            other.ack();
        }
    }
    void clear() noexcept {
        while (head_ != tail_) ack();
    }

    // They only grow; the slot is their remainder, so that full and empty differ.
    std::size_t head_ = 0;
    std::size_t tail_ = 0;
    detail::RingSlots<T, N> slots_;
};

}  // namespace belay::inline BELAY_ABI
