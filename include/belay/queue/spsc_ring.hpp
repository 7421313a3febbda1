// SPDX-License-Identifier: MIT
/// \file belay/queue/spsc_ring.hpp
/// SpscRing: a bounded queue from one thread to another.
#pragma once

#include <atomic>       // std::memory_order_acquire
#include <cstddef>      // std::size_t
#include <new>          // placement new
#include <optional>     // std::optional
#include <span>         // std::span
#include <type_traits>  // std::is_nothrow_copy_constructible_v
#include <utility>      // std::exchange, std::forward, std::move

#include <belay/queue/detail/ring_atomics.hpp>
#include <belay/queue/detail/ring_slots.hpp>
#include <belay/queue/leasable_like.hpp>

namespace belay { inline namespace BELAY_ABI {

/// A bounded first-in, first-out queue from one thread, the producer, to another, the consumer.
///
/// The ring allocates nothing after construction, and values never move while they are in it. Each
/// side works on its own index. It reads the other side's index only when the ring seems full or
/// empty.
///
/// Models:        LeasableLike.
/// Thread safety: one producer calls try_push and push_some; one consumer calls try_pop, pop_some,
///                front, ack and nack. Any thread calls size and capacity. No other thread may use
///                the ring while it is constructed, moved or destroyed.
/// Progress:      wait-free: no call waits for the other side, or repeats because of it.
/// Complexity:    O(1) each; batches O(values).
/// Source:        L. Lamport, "Proving the Correctness of Multiprocess Programs" (1977); cached
///                indices: J. Giacomoni et al., "FastForward" (2008), P. Lee et al.,
///                "MCRingBuffer" (2010).
template <class T>
class SpscRing {
    static_assert(detail::RingValue<T>,
                  "SpscRing: T must be movable and destructible without throwing");

public:
    using value_type = T;

    /// Allocates the slots.   Pre: 0 < capacity <= 2^48.   Throws: std::bad_alloc.
    explicit SpscRing(std::size_t capacity) : slots_{capacity} {}
    /// Takes the values of `other`, which is empty and has the capacity 0 afterwards.
    SpscRing(SpscRing&& other) noexcept : slots_{std::move(other.slots_)} { take_indices(other); }
    SpscRing& operator=(SpscRing&& other) noexcept {
        if (this == &other) return *this;
        clear();
        slots_ = std::move(other.slots_);
        take_indices(other);
        return *this;
    }
    ~SpscRing() { clear(); }

    /// Adds a value at the back. If the ring is full, returns false and does not change `value`.
    [[nodiscard]] bool try_push(T&& value) noexcept { return push(std::move(value)); }
    /// Adds a copy of a value.   Throws: what copying throws; then nothing was added.
    [[nodiscard]] bool try_push(const T& value) noexcept(std::is_nothrow_copy_constructible_v<T>)
        requires std::is_copy_constructible_v<T>
    {
        return push(value);
    }
    /// Adds as many of `values` as fit, from the first on, and returns how many. The others do not
    /// change.
    [[nodiscard]] std::size_t push_some(std::span<T> values) noexcept {
        const std::size_t tail = producer_.mine;
        const std::size_t count = smaller(space(values.size()), values.size());
        for (std::size_t i = 0; i < count; ++i) {
            ::new (static_cast<void*>(slots_.at(tail + i))) T(std::move(values[i]));
        }
        if (count != 0) publish_tail(tail + count);
        return count;
    }

    /// Takes the oldest value; returns std::nullopt if the ring is empty.
    [[nodiscard]] std::optional<T> try_pop() noexcept {
        const std::size_t head = consumer_.mine;
        if (held(1) == 0) return std::nullopt;
        T* const slot = slots_.at(head);
        std::optional<T> value{std::move(*slot)};
        slot->~T();
        publish_head(head + 1);
        return value;
    }
    /// Takes the oldest values, as many as fit into `into`, and returns how many.
    [[nodiscard]] std::size_t pop_some(std::span<T> into) noexcept
        requires std::is_nothrow_move_assignable_v<T>
    {
        const std::size_t head = consumer_.mine;
        const std::size_t count = smaller(held(into.size()), into.size());
        for (std::size_t i = 0; i < count; ++i) {
            T* const slot = slots_.at(head + i);
            into[i] = std::move(*slot);
            slot->~T();
        }
        if (count != 0) publish_head(head + count);
        return count;
    }

    /// Returns the oldest value, or null if the ring is empty. The value does not move until it is
    /// taken.
    [[nodiscard]] T* front() noexcept {
        const std::size_t head = consumer_.mine;
        return held(1) == 0 ? nullptr : slots_.at(head);
    }
    /// Removes the oldest value.   Pre: front() has returned one.
    void ack() noexcept {
        const std::size_t head = consumer_.mine;
        BELAY_PRECONDITION(head != consumer_.theirs, "SpscRing::ack: the ring must not be empty");
        slots_.at(head)->~T();
        publish_head(head + 1);
    }
    /// Does nothing: the oldest value stays first until it is removed.
    void nack() noexcept {}

    /// Returns how many values are in the ring: exact while neither side works, or else an estimate
    /// within the capacity.
    [[nodiscard]] std::size_t size() const noexcept {
        // Relaxed: a caller may conclude no more from it than the approximate number.
        const std::size_t head = 2 * head_.load(std::memory_order_relaxed);
        return detail::held_between({head, tail_.load(std::memory_order_relaxed)}, 2 * capacity()) /
               2;
    }
    /// Returns the capacity given to the constructor; 0 after a move from this ring.
    [[nodiscard]] std::size_t capacity() const noexcept { return slots_.capacity(); }

private:
    // It ends the pushes, and waits until their values were taken.
    template <class Ring>
    friend class BlockingRing;

    // The own index of one side, and the other side's index as last read. Indices only grow. The
    // slot is the remainder of the index, so that full and empty differ.
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
        ::new (static_cast<void*>(slots_.at(tail))) T(std::forward<V>(value));
        publish_tail(tail + 1);
        return true;
    }

    /// Returns how many free slots the producer knows. If there are fewer than `wanted`, it reads
    /// the consumer's index again.
    [[nodiscard]] std::size_t space(std::size_t wanted) noexcept {
        const std::size_t tail = producer_.mine;
        const std::size_t known = slots_.capacity() - (tail - producer_.theirs);
        if (known >= wanted) return known;
        // Acquire, with the release of publish_head: the consumer has left the slots below, so the
        // producer may construct in them.
        producer_.theirs = head_.load(std::memory_order_acquire);
        return slots_.capacity() - (tail - producer_.theirs);
    }
    /// Returns how many values the consumer knows. If there are fewer than `wanted`, it reads the
    /// producer's index again.
    [[nodiscard]] std::size_t held(std::size_t wanted) noexcept {
        const std::size_t head = consumer_.mine;
        const std::size_t known = consumer_.theirs - head;
        if (known >= wanted) return known;
        // Acquire, with the release of publish_tail: the values below are constructed.
        const std::size_t count = (tail_.load(std::memory_order_acquire) - 2 * head) / 2;
        consumer_.theirs = head + count;
        return count;
    }
    void publish_tail(std::size_t tail) noexcept {
        producer_.mine = tail;
        // Release: a thread that reads the index sees the values below it.
        tail_.store(2 * tail, std::memory_order_release);
    }
    void publish_head(std::size_t head) noexcept {
        consumer_.mine = head;
        // Release: a thread that reads the index may reuse the slots below it.
        head_.store(head, std::memory_order_release);
    }

    // ---- for BlockingRing -----------------------------------------------------------------------

    static constexpr bool publishes_by_exchange = true;
    /// Adds the values that fit, in one exchange, unless the pushes have ended. Those that it does
    /// not add are as they were.
    [[nodiscard]] std::size_t push_unless_closed(std::span<T> values) noexcept {
        // Relaxed: the exchange finds a close that this does not see yet.
        if (pushes_closed(std::memory_order_relaxed)) return 0;
        const std::size_t tail = producer_.mine;
        const std::size_t count = smaller(space(values.size()), values.size());
        if (count == 0) return 0;
        for (std::size_t i = 0; i < count; ++i) {
            ::new (static_cast<void*>(slots_.at(tail + i))) T(std::move(values[i]));
        }
        // Release, as in publish_tail. Acquire, with announce_wait: see BlockingRing.
        std::size_t expected = 2 * tail;
        if (tail_.compare_exchange_strong(expected, 2 * (tail + count), std::memory_order_acq_rel,
                                          std::memory_order_relaxed)) {
            producer_.mine = tail + count;
            return count;
        }
        for (std::size_t i = 0; i < count; ++i) give_back(slots_.at(tail + i), values.data() + i);
        return 0;
    }
    /// Moves a value that was not added back to its owner.
    static void give_back(T* slot, T* owner) noexcept {
        if constexpr (std::is_nothrow_move_assignable_v<T>) {
            *owner = std::move(*slot);
        } else {
            owner->~T();
            ::new (static_cast<void*>(owner)) T(std::move(*slot));
        }
        slot->~T();
    }
    /// Ends the pushes: each was published before, or is rejected.
    void close_pushes() noexcept {
        // Release: a thread that sees the close also sees what this thread did before.
        tail_.fetch_or(1, std::memory_order_release);
    }
    [[nodiscard]] bool pushes_closed(std::memory_order order) const noexcept {
        return tail_.load(order) % 2 != 0;
    }
    /// The consumer's: returns whether the pushes have ended, and all their values were taken.
    [[nodiscard]] bool drained() const noexcept {
        // Relaxed: equal only after the close, and then the consumer has taken all values itself.
        return tail_.load(std::memory_order_relaxed) == 2 * consumer_.mine + 1;
    }
    /// The consumer's. Either the producer sees the consumer's earlier writes after its next
    /// exchange, or it has made that exchange, and the consumer sees it.
    void announce_wait() noexcept {
        // Release, with the acquire of push_unless_closed.
        tail_.fetch_add(0, std::memory_order_release);
    }

    void take_indices(SpscRing& other) noexcept {
        // Relaxed: no other thread uses the ring now. Handing it over orders the stores.
        producer_ = std::exchange(other.producer_, Side{});
        consumer_ = std::exchange(other.consumer_, Side{});
        tail_.store(2 * producer_.mine, std::memory_order_relaxed);
        head_.store(consumer_.mine, std::memory_order_relaxed);
        other.tail_.store(0, std::memory_order_relaxed);
        other.head_.store(0, std::memory_order_relaxed);
    }
    void clear() noexcept {
        while (front() != nullptr) ack();
    }

    alignas(detail::side_bytes) detail::RingSlots<T, dynamic_capacity> slots_;
    alignas(detail::side_bytes) Side producer_;
    // Twice the producer's index; 1 more after close_pushes().
    alignas(detail::side_bytes) detail::RingAtomic<T, std::size_t> tail_{0};
    alignas(detail::side_bytes) Side consumer_;
    alignas(detail::side_bytes) detail::RingAtomic<T, std::size_t> head_{0};
};

}}  // namespace belay
