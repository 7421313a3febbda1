// SPDX-License-Identifier: MIT
/// \file belay/queue/detail/ring_slots.hpp
/// RingSlots: the memory for the values of a ring, in the object or allocated.
#pragma once

#include <bit>          // std::bit_ceil
#include <cstddef>      // std::size_t
#include <cstdint>      // std::uint64_t
#include <new>          // std::align_val_t
#include <type_traits>  // std::is_nothrow_move_constructible_v
#include <utility>      // std::exchange, std::swap

#include <belay/core/assert.hpp>

namespace belay { inline namespace BELAY_ABI {

/// The value of a Ring's template argument for a capacity that the constructor takes.
inline constexpr std::size_t dynamic_capacity = 0;

namespace detail {

/// The requirements of every ring on its values. For a type that does not meet them, store a
/// std::unique_ptr.
template <class T>
concept RingValue = std::is_nothrow_move_constructible_v<T> && std::is_nothrow_destructible_v<T>;

/// The distance of the sides of a ring that threads share: two cache lines, because processors
/// fetch them in pairs.
inline constexpr std::size_t side_bytes = 128;

[[nodiscard]] inline std::size_t checked_capacity(std::size_t capacity) noexcept {
    BELAY_OPTION(capacity > 0 && std::uint64_t{capacity} <= (std::uint64_t{1} << 48),
                 "Ring::Ring: the capacity must be from 1 to 2^48");
    return capacity;
}

/// The begin and the end of the values, as counters.
struct RingEnds {
    std::size_t head;
    std::size_t tail;
};

/// Returns how many values are between two counters, at least one of which may have been read while
/// they moved on.
[[nodiscard]] constexpr std::size_t held_between(RingEnds ends, std::size_t capacity) noexcept {
    const std::size_t held = ends.tail - ends.head;
    if (held <= capacity) return held;
    return held > ~std::size_t{0} / 2 ? 0 : capacity;
}

/// Memory for values in the object itself.
template <class T, std::size_t N>
class RingSlots {
public:
    [[nodiscard]] static constexpr std::size_t capacity() noexcept { return N; }
    [[nodiscard]] T* at(std::size_t i) noexcept {
        return reinterpret_cast<T*>(bytes_) + (i & (std::bit_ceil(N) - 1));
    }

private:
    // Initialised for GCC 12, which otherwise treats moves of empty slots as uses of them.
    alignas(T) std::byte bytes_[sizeof(T) * std::bit_ceil(N)]{};
};

/// Allocated memory for values.
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
    /// Returns the number of slots, a power of two, minus one.
    [[nodiscard]] std::size_t mask() const noexcept { return mask_; }
    [[nodiscard]] T* at(std::size_t i) noexcept { return slots_ + (i & mask_); }

private:
    // Whole cache lines. A value of 64 bytes is in one line, so the sides of a ring do not share
    // it. No line is shared with memory next to the slots.
    static constexpr std::align_val_t alignment{alignof(T) < 64 ? 64 : alignof(T)};

    [[nodiscard]] static T* allocate(std::size_t slots) {
        // If the product would overflow, asks for the largest size, which no system can allocate.
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
