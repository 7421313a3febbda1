// SPDX-License-Identifier: MIT
/// \file belay/queue/detail/numbered_ring.hpp
/// NumberedRing: the common part of MpscRing and MpmcRing.
#pragma once

#include <atomic>       // std::memory_order_relaxed
#include <cstddef>      // std::size_t
#include <span>         // std::span
#include <type_traits>  // std::is_nothrow_copy_constructible_v
#include <utility>      // std::move

#include <belay/queue/detail/numbered_slots.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// A ring that any number of threads push to. The derived class defines how values are popped, and
/// moves `head_`.
template <class T, template <class> class Atomic>
class NumberedRing {
public:
    using value_type = T;

    /// Pre: 0 < capacity <= 2^48.   Throws: std::bad_alloc.
    explicit NumberedRing(std::size_t capacity) : slots_{capacity} {}
    /// Afterwards `other` may only be destroyed or assigned to.
    NumberedRing(NumberedRing&& other) noexcept : slots_{std::move(other.slots_)} {
        take_positions(other);
    }
    NumberedRing& operator=(NumberedRing&& other) noexcept {
        if (this == &other) return *this;
        clear();
        slots_ = std::move(other.slots_);
        take_positions(other);
        return *this;
    }
    ~NumberedRing() { clear(); }

    /// Adds a value at the back. Returns false, and leaves the value unchanged, if the ring is
    /// full.
    [[nodiscard]] bool try_push(T&& value) noexcept {
        std::size_t position = 0;
        if (slots_.claim(tail_, Slots::Phase::push, 1, position) == 0) return false;
        slots_.fill(position, std::move(value));
        return true;
    }
    /// Like the other overload, with a copy that is made first.   Throws: what copying throws;
    /// nothing was added then.
    [[nodiscard]] bool try_push(const T& value) noexcept(std::is_nothrow_copy_constructible_v<T>)
        requires std::is_copy_constructible_v<T>
    {
        return try_push(T{value});
    }
    /// Adds as many of `values` as fit, from the first on. Returns how many. The others are
    /// unchanged.
    [[nodiscard]] std::size_t push_some(std::span<T> values) noexcept {
        std::size_t position = 0;
        const std::size_t count = slots_.claim(tail_, Slots::Phase::push, values.size(), position);
        slots_.fill_some(position, values.first(count));
        return count;
    }

    /// Returns the number of values. While other threads push and pop, it is an estimate within the
    /// capacity.
    [[nodiscard]] std::size_t size() const noexcept {
        // Relaxed: callers may only use the result as an approximate number.
        const std::size_t head = head_.load(std::memory_order_relaxed);
        return slots_.held(head, tail_.load(std::memory_order_relaxed));
    }
    [[nodiscard]] std::size_t capacity() const noexcept { return slots_.capacity(); }

protected:
    using Slots = NumberedSlots<T, Atomic>;

    alignas(side_bytes) Slots slots_;
    alignas(side_bytes) Atomic<std::size_t> tail_{0};
    alignas(side_bytes) Atomic<std::size_t> head_{0};

private:
    // Relaxed, in both functions, as in every part that runs alone. Publishing the object to other
    // threads orders these accesses.
    void take_positions(NumberedRing& other) noexcept {
        tail_.store(other.tail_.load(std::memory_order_relaxed), std::memory_order_relaxed);
        head_.store(other.head_.load(std::memory_order_relaxed), std::memory_order_relaxed);
        other.tail_.store(0, std::memory_order_relaxed);
        other.head_.store(0, std::memory_order_relaxed);
    }
    void clear() noexcept {
        const std::size_t tail = tail_.load(std::memory_order_relaxed);
        std::size_t head = head_.load(std::memory_order_relaxed);
        for (; head != tail; head = slots_.after(head)) slots_.empty(head);
    }
};

}}}  // namespace belay::detail
