// SPDX-License-Identifier: MIT
/// \file belay/core/detail/heap.hpp
/// The two steps of a binary heap whose items store their own positions.
#pragma once

#include <cstddef>  // std::size_t

#include <belay/core/assert.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Moves the item at `place` towards the front, past the items that it precedes.
///
/// `items[i]` is the item at position `i`, and is cheap to copy. `put(i, item)` writes the item
/// there and updates the position that the item stores.
/// `before(a, b)` is a strict order. The least item is at the front.
/// Complexity: O(log n).   Source: J. Williams, Algorithm 232, 1964.
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

/// Moves the item at `place` towards the back of a heap of `size` items, past those that precede
/// it.
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
