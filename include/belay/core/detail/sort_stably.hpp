// SPDX-License-Identifier: MIT
/// \file belay/core/detail/sort_stably.hpp
/// sort_stably: sorts values, and keeps the order of equal ones.
#pragma once

#include <algorithm>  // std::is_sorted, std::merge, std::min
#include <cstddef>    // std::size_t
#include <vector>     // std::vector

#include <belay/core/assert.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Sorts `values`, and keeps the order of equal ones.   Complexity: O(n log n).
///
/// Not std::stable_sort, nor std::stable_partition: in libstdc++ 12 they call a deprecated
/// function, of which Clang 19 warns.
template <class T, class Before>
void sort_stably(std::vector<T>& values, Before before) {
    if (std::is_sorted(values.begin(), values.end(), before)) return;
    const std::size_t count = values.size();
    std::vector<T> merged(count);
    for (std::size_t run = 1; run < count; run *= 2) {
        for (std::size_t at = 0; at < count; at += 2 * run) {
            const T* const first = values.data() + at;
            const T* const middle = first + std::min(run, count - at);
            const T* const last = first + std::min(2 * run, count - at);
            std::merge(first, middle, middle, last, merged.data() + at, before);
        }
        values.swap(merged);
    }
}

}}}  // namespace belay::detail
