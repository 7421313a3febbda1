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

/// A SpscRing or MpmcRing on which a thread can wait for space and for values.
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
        // The first look is here, so that callers inline only what a ring with space needs.
        if (try_push(std::move(value))) return true;
        bool taken = false;
        // Relaxed: the wake of the close makes it visible.
        const auto look = [&] {
            return (taken = push(value)) || ring_.pushes_closed(std::memory_order_relaxed);
        };
        space_.wait(spins_, look, [] {});
        if (taken) wake_consumers();
        return taken;
    }
    /// Waits for a value, and takes the oldest. Returns std::nullopt if the ring is closed and
    /// empty.   Blocks: until there is a value, or close().
    [[nodiscard]] std::optional<value_type> pop_wait() noexcept {
        std::optional<value_type> value = ring_.try_pop();
        if (!value) {
            wait_for_values([&] {
                // Not assigned: a value need not be assignable.
                if (auto taken = ring_.try_pop()) value.emplace(std::move(*taken));
                return value.has_value();
            });
        }
        if (value) space_.wake();
        return value;
    }
    /// Waits for a value, takes the oldest values that fit into `into`, and returns how many: 0 if
    /// the ring is closed and empty. If `into` is empty, returns 0 at once.
    /// Blocks: until there is a value, or close().
    [[nodiscard]] std::size_t pop_some_wait(std::span<value_type> into) noexcept {
        // No value would ever end the wait.
        if (into.empty()) return 0;
        std::size_t count = 0;
        wait_for_values([&] { return (count = ring_.pop_some(into)) != 0; });
        if (count != 0) space_.wake();
        return count;
    }

    /// Adds a value without waiting, and wakes the waiting consumers. Returns false if the ring is
    /// full or closed.
    [[nodiscard]] bool try_push(value_type&& value) noexcept {
        const bool taken = push(value);
        if (taken) wake_consumers();
        return taken;
    }
    /// Adds as many of `values` as fit, from the first on, and returns how many: 0 if the ring is
    /// closed. Wakes the waiting consumers.
    [[nodiscard]] std::size_t push_some(std::span<value_type> values) noexcept {
        const std::size_t count = push_batch(values);
        if (count != 0) wake_consumers();
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
    /// A push that runs at the same time is either before the close or rejected. The waits of the
    /// consumers end after they have taken the values of all pushes before the close. They wait for
    /// a thread that is in the middle of such a push.
    void close() noexcept {
        ring_.close_pushes();
        values_.wake();
        space_.wake();
    }
    /// Returns whether close() was called.
    [[nodiscard]] bool closed() const noexcept {
        return ring_.pushes_closed(std::memory_order_acquire);
    }

    /// Returns how many values are in the ring, as the ring's own size().
    [[nodiscard]] std::size_t size() const noexcept { return ring_.size(); }
    /// Returns the capacity given to the constructor.
    [[nodiscard]] std::size_t capacity() const noexcept { return ring_.capacity(); }

private:
    // The producer of an SpscRing publishes by an exchange. A consumer that goes to sleep changes
    // the same variable, so a push needs no second exchange to see it. A producer of an
    // MpmcRing publishes by a store into the slot, and then exchanges.
    static constexpr bool announced = Ring::publishes_by_exchange;

    /// Adds a value, unless the ring is full or closed.
    [[nodiscard]] bool push(value_type& value) noexcept {
        if constexpr (announced) return ring_.push_unless_closed({&value, 1}) != 0;
        return ring_.try_push(std::move(value));
    }
    [[nodiscard]] std::size_t push_batch(std::span<value_type> values) noexcept {
        if constexpr (announced) return ring_.push_unless_closed(values);
        return ring_.push_some(values);
    }
    void wake_consumers() noexcept {
        if constexpr (announced) return values_.wake_announced();
        values_.wake();
    }
    /// Waits until `pop()` returns true, or the ring is closed and empty.
    template <class Pop>
    void wait_for_values(Pop pop) noexcept {
        const auto look = [&] { return pop() || ring_.drained(); };
        if constexpr (announced) return values_.wait(spins_, look, [&] { ring_.announce_wait(); });
        values_.wait(spins_, look, [] {});
    }

    Ring ring_;
    alignas(detail::side_bytes) detail::RingWaiters<value_type> values_;  // consumers wait
    alignas(detail::side_bytes) detail::RingWaiters<value_type> space_;   // producers wait
    alignas(detail::side_bytes) unsigned spins_;
};

}}  // namespace belay
