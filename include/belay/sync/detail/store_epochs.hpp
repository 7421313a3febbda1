// SPDX-License-Identifier: MIT
/// \file belay/sync/detail/store_epochs.hpp
/// StoreEpochs: finds cursors of changes that a restored store has lost.
#pragma once

#include <algorithm>  // std::max, std::upper_bound
#include <cstddef>    // std::size_t
#include <cstdint>    // std::uint32_t, std::uint64_t
#include <vector>     // std::vector

#include <belay/sync/changes.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The epochs of a store's changes.
///
/// Each opening of a store that makes a change begins an epoch, with a random number. A backup that
/// is restored is opened again, so the changes that it makes have another epoch than the lost ones
/// of the same numbers. The method is that of Kafka's leader epochs (KIP-101).
class StoreEpochs {
public:
    struct Epoch {
        std::uint64_t first = 0;   ///< the number of its first change
        std::uint32_t number = 0;  ///< above 0
    };
    /// The most epochs that a store remembers: daily openings of 27 years.
    static constexpr std::size_t most = 10'000;

    /// Pre: epoch.first is above those of all others.   Throws: std::bad_alloc.
    void add(const Epoch& epoch) { epochs_.push_back(epoch); }
    /// Undoes the last add().
    void remove_last() noexcept { epochs_.pop_back(); }

    /// Returns the epoch of a change; 0: unknown.
    [[nodiscard]] std::uint32_t of(std::uint64_t change) const noexcept {
        const auto after = std::upper_bound(
            epochs_.begin(), epochs_.end(), change,
            [](std::uint64_t number, const Epoch& epoch) { return number < epoch.first; });
        return after == epochs_.begin() ? 0 : (after - 1)->number;
    }
    /// Returns whether the history of a store with this last change includes that of a cursor.
    [[nodiscard]] bool include(const part::StoreCursor& cursor, std::uint64_t last) const noexcept {
        return std::max(cursor.changes, cursor.seen) <= last &&
               (cursor.epoch == 0 || cursor.seen == 0 || of(cursor.seen) == cursor.epoch);
    }
    [[nodiscard]] std::size_t size() const noexcept { return epochs_.size(); }

private:
    std::vector<Epoch> epochs_;
};

}}}  // namespace belay::detail
