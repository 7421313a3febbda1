// SPDX-License-Identifier: MIT
/// \file belay/queue/detail/basic_blocking_ring.hpp
/// BasicBlockingRing: a BlockingRing over any atomics.
#pragma once

#include <atomic>       // std::memory_order_acquire
#include <cstddef>      // std::size_t
#include <optional>     // std::optional
#include <span>         // std::span
#include <type_traits>  // std::is_copy_constructible_v
#include <utility>      // std::move

#include <belay/queue/detail/ring_waiters.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// A BlockingRing; with another `Atomic` than std::atomic every order of its accesses can be tried.
template <class Ring, template <class> class Atomic>
class BasicBlockingRing {
public:
    using value_type = typename Ring::value_type;

    /// Pre: 0 < capacity <= 2^48.   Throws: std::bad_alloc.
    BasicBlockingRing(std::size_t capacity, unsigned spins) : ring_{capacity}, spins_{spins} {}
    BasicBlockingRing(const BasicBlockingRing&) = delete;
    BasicBlockingRing& operator=(const BasicBlockingRing&) = delete;
    ~BasicBlockingRing() = default;

    /// Adds a value at the back, once there is space; answers false, and leaves it as it was, if
    /// the ring was closed.   Blocks: until there is space, or close().
    [[nodiscard]] bool push_wait(value_type&& value) noexcept {
        bool taken = false;
        space_.wait(spins_, [&] { return closed() || (taken = ring_.try_push(std::move(value))); });
        if (taken) values_.wake();
        return taken;
    }
    /// Takes the oldest value, once there is one; nothing if the ring was closed and is empty.
    /// Blocks: until there is a value, or close().
    [[nodiscard]] std::optional<value_type> pop_wait() noexcept {
        std::optional<value_type> value;
        values_.wait(spins_, [&] {
            // Asked first: what was pushed before the close is then there to be seen.
            const bool last_look = closed();
            // Not assigned: a value need not be assignable.
            if (auto taken = ring_.try_pop()) value.emplace(std::move(*taken));
            return value.has_value() || last_look;
        });
        if (value) space_.wake();
        return value;
    }
    /// Takes the oldest values, at least one, once there is one; 0 if the ring was closed and is
    /// empty.   Pre: !into.empty().   Blocks: until there is a value, or close().
    [[nodiscard]] std::size_t pop_some_wait(std::span<value_type> into) noexcept {
        BELAY_PRECONDITION(!into.empty(), "BlockingRing::pop_some_wait: needs room for a value");
        std::size_t count = 0;
        values_.wait(spins_, [&] {
            const bool last_look = closed();
            count = ring_.pop_some(into);
            return count != 0 || last_look;
        });
        if (count != 0) space_.wake();
        return count;
    }

    /// The ring's own operations, which wake who waits; a closed ring takes nothing more.
    [[nodiscard]] bool try_push(value_type&& value) noexcept {
        const bool taken = !closed() && ring_.try_push(std::move(value));
        if (taken) values_.wake();
        return taken;
    }
    /// As many of `values`, from the first on, as there is space for; answers how many.
    [[nodiscard]] std::size_t push_some(std::span<value_type> values) noexcept {
        const std::size_t count = closed() ? 0 : ring_.push_some(values);
        if (count != 0) values_.wake();
        return count;
    }
    [[nodiscard]] std::optional<value_type> try_pop() noexcept {
        std::optional<value_type> value = ring_.try_pop();
        if (value) space_.wake();
        return value;
    }
    [[nodiscard]] std::size_t pop_some(std::span<value_type> into) noexcept {
        const std::size_t count = ring_.pop_some(into);
        if (count != 0) space_.wake();
        return count;
    }

    /// Ends all waits, now and from now on: pushes answer false, pops what is left and then
    /// nothing. A push that is going on meanwhile may still be taken, after the last wait ended:
    /// whoever must have everything closes after the last push, or calls try_pop at the end.
    void close() noexcept {
        // Release, with the acquire of closed(): what this thread pushed before is seen by whoever
        // sees the close.
        closed_.store(true, std::memory_order_release);
        values_.wake();
        space_.wake();
    }
    [[nodiscard]] bool closed() const noexcept { return closed_.load(std::memory_order_acquire); }

    [[nodiscard]] std::size_t size() const noexcept { return ring_.size(); }
    [[nodiscard]] std::size_t capacity() const noexcept { return ring_.capacity(); }

private:
    Ring ring_;
    alignas(side_bytes) RingWaiters<Atomic> values_;  // wait for values
    alignas(side_bytes) RingWaiters<Atomic> space_;   // wait for space
    alignas(side_bytes) Atomic<bool> closed_{false};
    unsigned spins_;
};

}}}  // namespace belay::detail
