// SPDX-License-Identifier: MIT
/// \file belay/core/order.hpp
/// smaller, larger, first_after: the three orderings that belay needs.
///
/// They replace <algorithm>, whose parse time every translation unit of every user would pay.
#pragma once

#include <cstddef>  // std::size_t

#include <belay/core/assert.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Returns the smaller of two values; the first of equals. By value, so that no reference dangles.
template <class T>
[[nodiscard]] constexpr T smaller(T a, T b) noexcept {
    return b < a ? b : a;
}

/// Returns the larger of two values; the first of equals.
template <class T>
[[nodiscard]] constexpr T larger(T a, T b) noexcept {
    return a < b ? b : a;
}

/// Returns the position of the first element for which `before` is false; the size if there is
/// none.
///
/// Pre: the elements for which `before` is true come first.   Complexity: O(log n).
template <class Sequence, class Before>
[[nodiscard]] constexpr std::size_t first_after(const Sequence& sequence, Before before) noexcept {
    std::size_t low = 0;
    std::size_t high = sequence.size();
    while (low < high) {
        const std::size_t middle = low + (high - low) / 2;
        if (before(sequence[middle])) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

}}}  // namespace belay::detail
