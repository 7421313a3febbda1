// SPDX-License-Identifier: MIT
/// \file belay/queue/blocking_ring.hpp
/// BlockingRing: a ring between threads whose sides can wait for each other.
#pragma once

#include <atomic>    // std::memory_order_acquire
#include <cstddef>   // std::size_t
#include <optional>  // std::optional
#include <span>      // std::span
#include <utility>   // std::move

#include <belay/queue/detail/ring_waiters.hpp>
#include <belay/queue/storage_like.hpp>

namespace belay { inline namespace BELAY_ABI {

/// How a BlockingRing waits.
struct BlockingRingOptions {
    /// How often a thread checks again before it sleeps. The default is low: on a machine of two
    /// cores, the thread that it waits for may need this very core.
    unsigned spins = 64;
};

/// A SpscRing, MpscRing or MpmcRing on which a thread can wait for space and for values.
///
/// Each change costs one atomic operation more than on the ring alone, and a system call if a
/// thread sleeps. It wakes all threads that sleep on the other side. For an orderly shutdown,
/// `close` ends all waits. Values that were pushed before can still be taken.
///
/// Thread safety: that of the ring; any thread calls close and closed.
/// Progress:      that of the ring, except functions whose name ends in `wait`, which block.
/// Complexity:    that of the ring.
template <class Ring>
class BlockingRing {
public:
    using value_type = typename Ring::value_type;

    /// Allocates the slots.   Pre: 0 < capacity <= 2^48.   Throws: std::bad_alloc.
    explicit BlockingRing(std::size_t capacity, BlockingRingOptions options = {})
        : ring_{capacity}, spins_{options.spins} {}
    BlockingRing(const BlockingRing&) = delete;
    BlockingRing& operator=(const BlockingRing&) = delete;
    ~BlockingRing() = default;

    /// Waits for space, and adds a value at the back. If the ring is closed, returns false and does
    /// not change `value`.   Blocks: until there is space, or close().
    [[nodiscard]] bool push_wait(value_type&& value) noexcept {
        bool taken = false;
        space_.wait(spins_, [&] { return closed() || (taken = ring_.try_push(std::move(value))); });
        if (taken) values_.wake();
        return taken;
    }
    /// Waits for a value, and takes the oldest. Returns std::nullopt if the ring is closed and
    /// empty.   Blocks: until there is a value, or close().
    [[nodiscard]] std::optional<value_type> pop_wait() noexcept {
        std::optional<value_type> value;
        values_.wait(spins_, [&] {
            // Read before the ring: then this look sees all values that were pushed before close().
            const bool last_look = closed();
            // Not assigned: a value need not be assignable.
            if (auto taken = ring_.try_pop()) value.emplace(std::move(*taken));
            return value.has_value() || last_look;
        });
        if (value) space_.wake();
        return value;
    }
    /// Waits for a value, takes the oldest values that fit into `into`, and returns how many: 0 if
    /// the ring is closed and empty.
    /// Pre: !into.empty().   Blocks: until there is a value, or close().
    [[nodiscard]] std::size_t pop_some_wait(std::span<value_type> into) noexcept {
        BELAY_PRECONDITION(!into.empty(),
                           "BlockingRing::pop_some_wait: the span must not be empty");
        std::size_t count = 0;
        values_.wait(spins_, [&] {
            const bool last_look = closed();
            count = ring_.pop_some(into);
            return count != 0 || last_look;
        });
        if (count != 0) space_.wake();
        return count;
    }

    /// Adds a value without waiting, and wakes the waiting consumers. Returns false if the ring is
    /// full or closed.
    [[nodiscard]] bool try_push(value_type&& value) noexcept {
        const bool taken = !closed() && ring_.try_push(std::move(value));
        if (taken) values_.wake();
        return taken;
    }
    /// Adds as many of `values` as fit, from the first on, and returns how many: 0 if the ring is
    /// closed. Wakes the waiting consumers.
    [[nodiscard]] std::size_t push_some(std::span<value_type> values) noexcept {
        const std::size_t count = closed() ? 0 : ring_.push_some(values);
        if (count != 0) values_.wake();
        return count;
    }
    /// Takes the oldest value without waiting, and wakes the waiting producers.
    [[nodiscard]] std::optional<value_type> try_pop() noexcept {
        std::optional<value_type> value = ring_.try_pop();
        if (value) space_.wake();
        return value;
    }
    /// Takes the oldest values without waiting, as many as fit into `into`, and returns how many.
    /// Wakes the waiting producers.
    [[nodiscard]] std::size_t pop_some(std::span<value_type> into) noexcept {
        const std::size_t count = ring_.pop_some(into);
        if (count != 0) space_.wake();
        return count;
    }

    /// Ends all waits, now and later. A push then returns false. A pop returns the values that are
    /// left, and after them std::nullopt.
    ///
    /// A push that runs at the same time may still succeed after the last wait has ended. If no
    /// value may be missed, call close() after the last push, or call try_pop() at the end.
    void close() noexcept {
        // Release, with the acquire of closed(): a thread that sees the close also sees the values
        // that this thread pushed before it.
        closed_.store(true, std::memory_order_release);
        values_.wake();
        space_.wake();
    }
    /// Returns whether close() was called.
    [[nodiscard]] bool closed() const noexcept { return closed_.load(std::memory_order_acquire); }

    /// Returns how many values are in the ring, as the ring's own size().
    [[nodiscard]] std::size_t size() const noexcept { return ring_.size(); }
    /// Returns the capacity given to the constructor.
    [[nodiscard]] std::size_t capacity() const noexcept { return ring_.capacity(); }

private:
    Ring ring_;
    alignas(detail::side_bytes) detail::RingWaiters<value_type> values_;  // consumers wait
    alignas(detail::side_bytes) detail::RingWaiters<value_type> space_;   // producers wait
    alignas(detail::side_bytes) detail::RingAtomic<value_type, bool> closed_{false};
    unsigned spins_;
};

}}  // namespace belay
