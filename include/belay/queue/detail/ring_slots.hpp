// SPDX-License-Identifier: MIT
/// \file belay/queue/detail/ring_slots.hpp
/// RingSlots: space for the values of a ring, in itself or in memory of its own.
#pragma once

#include <bit>          // std::bit_ceil
#include <cstddef>      // std::size_t
#include <cstdint>      // std::uint64_t
#include <new>          // std::align_val_t
#include <type_traits>  // std::is_nothrow_move_constructible_v
#include <utility>      // std::exchange, std::swap

#include <belay/core/assert.hpp>

namespace belay { inline namespace BELAY_ABI {

/// The capacity of a Ring that is chosen when it is made.
inline constexpr std::size_t dynamic_capacity = 0;

namespace detail {

/// What every ring asks of its values: whoever cannot promise it stores a std::unique_ptr.
template <class T>
concept RingValue = std::is_nothrow_move_constructible_v<T> && std::is_nothrow_destructible_v<T>;

/// The sides of a ring that threads share lie this far apart: two cache lines, since processors
/// fetch them in pairs.
inline constexpr std::size_t side_bytes = 128;

[[nodiscard]] inline std::size_t checked_capacity(std::size_t capacity) noexcept {
    BELAY_PRECONDITION(capacity > 0 && std::uint64_t{capacity} <= (std::uint64_t{1} << 48),
                       "Ring::Ring: the capacity must be from 1 to 2^48");
    return capacity;
}

/// Where values begin and end, by counters.
struct RingEnds {
    std::size_t head;
    std::size_t tail;
};

/// How many values lie between two counters of which one or both were read while they moved on.
[[nodiscard]] constexpr std::size_t held_between(RingEnds ends, std::size_t capacity) noexcept {
    const std::size_t held = ends.tail - ends.head;
    if (held <= capacity) return held;
    return held > ~std::size_t{0} / 2 ? 0 : capacity;
}

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
    /// Pre: 0 < capacity <= 2^48.   Throws: std::bad_alloc.
    explicit RingSlots(std::size_t capacity)
        : slots_{allocate(std::bit_ceil(checked_capacity(capacity)))},
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
    ~RingSlots() { ::operator delete(slots_, alignment); }

    [[nodiscard]] std::size_t capacity() const noexcept { return capacity_; }
    /// The slots, a power of two, less one.
    [[nodiscard]] std::size_t mask() const noexcept { return mask_; }
    [[nodiscard]] T* at(std::size_t i) noexcept { return slots_ + (i & mask_); }

private:
    // Whole cache lines: a value of 64 bytes lies in one, not in two that the sides of a ring fight
    // over, and none is shared with what lies beside the slots.
    static constexpr std::align_val_t alignment{alignof(T) < 64 ? 64 : alignof(T)};

    [[nodiscard]] static T* allocate(std::size_t slots) {
        // The largest size there is, which nobody has, where the product would overflow.
        constexpr std::size_t most = ~std::size_t{0} / 2;
        const std::size_t bytes = slots <= most / sizeof(T) ? slots * sizeof(T) : most;
        return static_cast<T*>(::operator new(bytes, alignment));
    }

    T* slots_;
    std::size_t capacity_;
    std::size_t mask_;
};

}  // namespace detail
}}  // namespace belay
