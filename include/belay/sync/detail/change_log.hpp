// SPDX-License-Identifier: MIT
/// \file belay/sync/detail/change_log.hpp
/// ChangeLog: the elements of a session in the order of their last changes.
#pragma once

#include <algorithm>  // std::min, std::upper_bound
#include <cstdint>    // std::uint32_t, std::uint64_t
#include <limits>     // std::numeric_limits
#include <vector>     // std::vector

#include <belay/sync/changes.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The number of the changed element for each change, in order: four bytes each.
///
/// An entry is stale if its element has changed again. An element knows the number of its last
/// change. Numbers rise from entry to entry, so a walk from the end recognises a stale entry: its
/// element has a number that is not below those of the entries behind. The number of every 256th
/// entry is stored, so that a walk is short. A full log drops stale entries before it grows.
class ChangeLog {
public:
    /// Reserves capacity for one more, so that add() cannot fail.   Throws: std::bad_alloc.
    template <class Elements>
    void prepare(const Elements& elements) {
        if (entries_.size() < entries_.capacity()) return;
        if (entries_.size() >= 2 * elements.size() + 16) return compact(elements);
        const std::size_t more = entries_.size() + entries_.size() / 8 + 16;
        marks_.reserve(more / in_chunk + 1);
        entries_.reserve(more);
    }
    /// Pre: prepare() was called; `change` is above all others.
    void add(std::uint64_t change, std::uint32_t at) noexcept {
        if (entries_.size() % in_chunk == 0) marks_.push_back(change);
        entries_.push_back(at);
    }

    /// Appends the changes after the page's cursor, at most `most`, and moves the cursor.
    ///
    /// Returns: whether there are more.
    template <class Elements, class Value>
    [[nodiscard]] bool read(const Elements& elements, part::ChangesPage<Value>& page,
                            std::size_t most) const {
        const auto mark = std::upper_bound(marks_.begin(), marks_.end(), page.next.changes);
        auto chunk = static_cast<std::size_t>(mark - marks_.begin());
        if (chunk != 0) --chunk;
        std::uint32_t valid[in_chunk];
        for (; chunk < marks_.size(); ++chunk) {
            const std::size_t first = chunk * in_chunk;
            const std::size_t last = std::min(first + in_chunk, entries_.size());
            std::uint64_t bound = chunk + 1 < marks_.size() ? marks_[chunk + 1] : no_bound;
            std::size_t count = 0;
            for (std::size_t i = last; i > first; --i) {
                if (is_valid(elements, entries_[i - 1], bound)) valid[count++] = entries_[i - 1];
            }
            while (count != 0) {
                const auto& node = elements.numbered(valid[--count]);
                const std::uint64_t change = node.row.change;
                if (change <= page.next.changes) continue;
                // A reader that had nothing before the copy needs no removals from before it.
                if (!node.row.value && change <= page.next.copied_at) continue;
                if (page.changes.size() == most) return true;
                page.changes.push_back({node.name, node.row.stamp, node.row.value});
                page.next.changes = change;
            }
        }
        return false;
    }

private:
    static constexpr std::size_t in_chunk = 256;
    static constexpr std::uint64_t no_bound = std::numeric_limits<std::uint64_t>::max();

    /// Returns whether an entry is the last one of its element. `bound` is the number of the entry
    /// behind, or of the next valid one.
    template <class Elements>
    [[nodiscard]] static bool is_valid(const Elements& elements, std::uint32_t at,
                                       std::uint64_t& bound) noexcept {
        const std::uint64_t change = elements.numbered(at).row.change;
        if (change == 0 || change >= bound) return false;
        bound = change;
        return true;
    }
    template <class Elements>
    void compact(const Elements& elements) noexcept {
        std::uint64_t bound = no_bound;
        std::size_t kept = entries_.size();
        for (std::size_t i = entries_.size(); i > 0; --i) {
            if (i > 8) __builtin_prefetch(&elements.numbered(entries_[i - 9]).row);
            if (is_valid(elements, entries_[i - 1], bound)) entries_[--kept] = entries_[i - 1];
        }
        entries_.erase(entries_.begin(), entries_.begin() + static_cast<std::ptrdiff_t>(kept));
        marks_.clear();
        for (std::size_t i = 0; i < entries_.size(); i += in_chunk) {
            marks_.push_back(elements.numbered(entries_[i]).row.change);
        }
    }

    std::vector<std::uint32_t> entries_;
    std::vector<std::uint64_t> marks_;  // the number of every 256th entry
};

}}}  // namespace belay::detail
