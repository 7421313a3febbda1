// SPDX-License-Identifier: MIT
/// \file belay/queue/detail/basic_mpsc_ring.hpp
/// BasicMpscRing: a MpscRing over any atomics.
#pragma once

#include <atomic>       // std::memory_order_relaxed
#include <cstddef>      // std::size_t
#include <optional>     // std::optional
#include <span>         // std::span
#include <type_traits>  // std::is_nothrow_move_assignable_v

#include <belay/queue/detail/numbered_ring.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// A MpscRing; with another `Atomic` than std::atomic every order of its accesses can be tried.
template <class T, template <class> class Atomic>
class BasicMpscRing : public NumberedRing<T, Atomic> {
    using Base = NumberedRing<T, Atomic>;
    using Phase = typename Base::Slots::Phase;
    using Base::head_;
    using Base::slots_;

public:
    using Base::Base;

    /// Takes the oldest value; nothing if there is none.
    [[nodiscard]] std::optional<T> try_pop() noexcept {
        const std::size_t head = own_head();
        if (slots_.ready(head, Phase::pop, 1) == 0) return std::nullopt;
        std::optional<T> value = slots_.take(head);
        publish_head(slots_.after(head));
        return value;
    }
    /// Takes the oldest values, as many as are there and fit into `into`; answers how many.
    [[nodiscard]] std::size_t pop_some(std::span<T> into) noexcept
        requires std::is_nothrow_move_assignable_v<T>
    {
        const std::size_t head = own_head();
        const std::size_t count = slots_.ready(head, Phase::pop, into.size());
        slots_.take_some(head, into.first(count));
        publish_head(slots_.after(head, count));
        return count;
    }

    /// The oldest value; null if there is none. It stays where it is until it is taken.
    [[nodiscard]] T* front() noexcept {
        const std::size_t head = own_head();
        return slots_.ready(head, Phase::pop, 1) == 0 ? nullptr : &slots_.value(head);
    }
    /// Removes the oldest value.   Pre: front() gave one.
    void ack() noexcept {
        const std::size_t head = own_head();
        BELAY_PRECONDITION(slots_.ready(head, Phase::pop, 1) != 0,
                           "MpscRing::ack: there must be a value");
        slots_.empty(head);
        publish_head(slots_.after(head));
    }
    /// Nothing: the oldest value is first until it is removed.
    void nack() noexcept {}

private:
    // Relaxed, both: only the consumer writes it, and the turns of the slots tell the producers
    // what is free. Others read it for size() alone.
    [[nodiscard]] std::size_t own_head() const noexcept {
        return head_.load(std::memory_order_relaxed);
    }
    void publish_head(std::size_t head) noexcept { head_.store(head, std::memory_order_relaxed); }
};

}}}  // namespace belay::detail
