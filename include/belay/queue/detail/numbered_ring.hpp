// SPDX-License-Identifier: MIT
/// \file belay/queue/detail/numbered_ring.hpp
/// NumberedRing: the slots, and the producers' side, of MpscRing and MpmcRing.
#pragma once

#include <atomic>   // std::memory_order_relaxed
#include <cstddef>  // std::size_t
#include <span>     // std::span
#include <utility>  // std::move

#include <belay/queue/detail/numbered_slots.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The base of a ring to which any number of threads push. The derived class takes values, and
/// moves `head_`.
template <class T>
class NumberedRing {
protected:
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

    [[nodiscard]] bool push(T&& value) noexcept {
        std::size_t position = 0;
        if (slots_.claim(tail_, Slots::Phase::push, 1, position) == 0) return false;
        slots_.fill(position, std::move(value));
        return true;
    }
    [[nodiscard]] std::size_t push_batch(std::span<T> values) noexcept {
        std::size_t position = 0;
        const std::size_t count = slots_.claim(tail_, Slots::Phase::push, values.size(), position);
        slots_.fill_some(position, values.first(count));
        return count;
    }

    [[nodiscard]] std::size_t held() const noexcept {
        // Relaxed: callers may only use the result as an approximate number.
        const std::size_t head = head_.load(std::memory_order_relaxed);
        return slots_.held(head, tail_.load(std::memory_order_relaxed));
    }

    using Slots = NumberedSlots<T>;

    alignas(side_bytes) Slots slots_;
    alignas(side_bytes) RingAtomic<T, std::size_t> tail_{0};
    alignas(side_bytes) RingAtomic<T, std::size_t> head_{0};

private:
    // Relaxed, in both: no other thread uses the ring now. Handing it over orders the stores.
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
