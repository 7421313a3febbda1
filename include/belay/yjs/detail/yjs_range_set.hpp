// SPDX-License-Identifier: MIT
/// \file belay/yjs/detail/yjs_range_set.hpp
/// RangeSet: ranges of clocks, to which more are added one by one.
#pragma once

#include <algorithm>  // std::inplace_merge, std::lower_bound, std::max, std::min
#include <cstddef>    // std::ptrdiff_t, std::size_t
#include <cstdint>    // std::uint64_t
#include <vector>     // std::vector

#include <belay/yjs/detail/yjs_write.hpp>

namespace belay { inline namespace BELAY_ABI { namespace yjs::detail {

/// Returns the first range of a client that ends after the wanted one begins, or what follows.
template <class Ranges>
[[nodiscard]] auto first_from(Ranges& ranges, const DeleteRange& wanted) noexcept {
    return std::lower_bound(
        ranges.begin(), ranges.end(), wanted, [](const DeleteRange& a, const DeleteRange& b) {
            return a.client != b.client ? a.client > b.client : a.clock_end() <= b.clock;
        });
}

/// Calls `f(range, len)` for each range that has `len` > 0 of the wanted units.
/// Pre: sorted, without overlaps.   Complexity: O(log n) and the ranges that it meets.
template <class Range, class F>
void for_each_inside(const std::vector<Range>& ranges, const DeleteRange& wanted, F&& f) {
    for (auto at = first_from(ranges, wanted); at != ranges.end(); ++at) {
        const std::uint64_t begin = std::max(at->clock, wanted.clock);
        const std::uint64_t end = std::min(at->clock_end(), wanted.clock_end());
        if (at->client != wanted.client || begin >= end) return;
        f(*at, end - begin);
    }
}

/// Calls `f(part)` for each part of the wanted units that no range has.
/// Pre: united.   Complexity: O(log n) and the ranges that it meets.
template <class F>
void for_each_outside(const std::vector<DeleteRange>& ranges, const DeleteRange& wanted, F&& f) {
    std::uint64_t clock = wanted.clock;
    for (auto at = first_from(ranges, wanted); at != ranges.end(); ++at) {
        if (at->client != wanted.client || at->clock >= wanted.clock_end()) break;
        if (at->clock > clock) f(DeleteRange{wanted.client, clock, at->clock - clock});
        clock = at->clock_end();
    }
    if (clock < wanted.clock_end())
        f(DeleteRange{wanted.client, clock, wanted.clock_end() - clock});
}

/// Ranges of clocks, to which more are added one by one.
///
/// A vector of all ranges would move half of them for each one that is added. The last few are
/// therefore in a vector of their own.
class RangeSet {
public:
    /// Adds a range. Calls `f(part)` for each part of it that was not there yet.
    ///
    /// Complexity: amortised O(log n + n / recent_max). A range that is there costs O(log n).
    template <class F>
    void add(const DeleteRange& range, F&& f) {
        if (range.len == 0) return;
        for_each_outside(recent_, range,
                         [&](const DeleteRange& part) { for_each_outside(ranges_, part, f); });
        insert(range);
        if (recent_.size() < recent_max) return;
        const auto middle = static_cast<std::ptrdiff_t>(ranges_.size());
        ranges_.insert(ranges_.end(), recent_.begin(), recent_.end());
        std::inplace_merge(ranges_.begin(), ranges_.begin() + middle, ranges_.end(),
                           is_range_before);
        join_ranges(ranges_);
        recent_.clear();
    }

private:
    static constexpr std::size_t recent_max = 1024;

    /// Joins a range with those of the last few that it overlaps.
    void insert(DeleteRange range) {
        const auto first = first_from(recent_, range);
        auto last = first;
        const std::uint64_t end = range.clock_end();
        for (; last != recent_.end() && last->client == range.client && last->clock < end; ++last) {
            const std::uint64_t begin = std::min(range.clock, last->clock);
            range.len = std::max(range.clock_end(), last->clock_end()) - begin;
            range.clock = begin;
        }
        if (first == last) {
            recent_.insert(first, range);
            return;
        }
        *first = range;
        recent_.erase(first + 1, last);
    }

    std::vector<DeleteRange> ranges_;
    std::vector<DeleteRange> recent_;
};

}}}  // namespace belay::yjs::detail
