// SPDX-License-Identifier: MIT
/// \file belay/queue/detail/basic_mpmc_ring.hpp
/// BasicMpmcRing: a MpmcRing over any atomics.
#pragma once

#include <cstddef>      // std::size_t
#include <optional>     // std::optional
#include <span>         // std::span
#include <type_traits>  // std::is_nothrow_move_assignable_v

#include <belay/queue/detail/numbered_ring.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// A MpmcRing; with another `Atomic` than std::atomic every order of its accesses can be tried.
template <class T, template <class> class Atomic>
class BasicMpmcRing : public NumberedRing<T, Atomic> {
    using Base = NumberedRing<T, Atomic>;
    using Phase = typename Base::Slots::Phase;
    using Base::head_;
    using Base::slots_;

public:
    using Base::Base;

    /// Takes the oldest value; nothing if there is none.
    [[nodiscard]] std::optional<T> try_pop() noexcept {
        std::size_t position = 0;
        if (slots_.claim(head_, Phase::pop, 1, position) == 0) return std::nullopt;
        return slots_.take(position);
    }
    /// Takes the oldest values, as many as are there and fit into `into`; answers how many.
    [[nodiscard]] std::size_t pop_some(std::span<T> into) noexcept
        requires std::is_nothrow_move_assignable_v<T>
    {
        std::size_t position = 0;
        const std::size_t count = slots_.claim(head_, Phase::pop, into.size(), position);
        slots_.take_some(position, into.first(count));
        return count;
    }
};

}}}  // namespace belay::detail
