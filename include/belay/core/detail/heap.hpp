// SPDX-License-Identifier: MIT
/// \file belay/core/detail/heap.hpp
/// The two steps of a binary heap whose items know their places.
#pragma once

#include <cstddef>  // std::size_t

#include <belay/core/assert.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Moves the item at a place towards the front, past those that it is before.
///
/// `items[i]` is the item at a place, cheap to copy; `put(i, item)` writes it there, and tells the
/// item; `before(a, b)` is a strict order, of which the least is in front.   Complexity: O(log n).
/// Source: J. Williams, Algorithm 232, 1964.
template <class Items, class Before, class Put>
constexpr void rise_in_heap(const Items& items, std::size_t place, const Before& before,
                            const Put& put) noexcept {
    const auto item = items[place];
    while (place != 0) {
        const std::size_t parent = (place - 1) / 2;
        if (!before(item, items[parent])) break;
        put(place, items[parent]);
        place = parent;
    }
    put(place, item);
}

/// The same towards the back of a heap of the first `size` items, past those that are before it.
template <class Items, class Before, class Put>
constexpr void sink_in_heap(const Items& items, std::size_t place, const Before& before,
                            const Put& put, std::size_t size) noexcept {
    const auto item = items[place];
    for (std::size_t child = 2 * place + 1; child < size; child = 2 * place + 1) {
        if (child + 1 < size && before(items[child + 1], items[child])) ++child;
        if (!before(items[child], item)) break;
        put(place, items[child]);
        place = child;
    }
    put(place, item);
}

}}}  // namespace belay::detail
