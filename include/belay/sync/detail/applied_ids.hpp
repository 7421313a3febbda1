// SPDX-License-Identifier: MIT
/// \file belay/sync/detail/applied_ids.hpp
/// AppliedIds: the ids of the last operations, with the hash of the content of each.
#pragma once

#include <algorithm>  // std::min
#include <cstdint>    // std::uint32_t, std::uint64_t
#include <optional>   // std::optional
#include <vector>     // std::vector

#include <belay/core/assert.hpp>
#include <belay/core/bytes.hpp>
#include <belay/core/random.hpp>
#include <belay/journal/id.hpp>
#include <belay/sync/detail/tag_index.hpp>
#include <belay/sync/store_like.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The last `most` ids, in a ring with an index over it. A new id replaces the oldest.
///
/// Each id takes 25 bytes, and 16 to 32 bytes of the index. The memory grows to its bound, and is
/// kept.
class AppliedIds {
public:
    explicit AppliedIds(std::size_t most) noexcept : most_{most} {
        BELAY_OPTION(most < (std::size_t{1} << 31U), "AppliedIds: the limit must be below 2^31");
    }

    /// Reserves capacity for one more, so that insert() cannot fail.   Throws: std::bad_alloc.
    void prepare() {
        if (ring_.size() == most_) return;
        index_.prepare(ring_.size());
        if (ring_.size() == ring_.capacity()) {
            const std::size_t more = std::min(2 * ring_.size() + 16, most_);
            decisions_.reserve(more);
            ring_.reserve(more);
        }
    }
    /// Adds an id. If the id is already present, its old mark is kept.   Pre: prepare() was called.
    void insert(const Id& id, const part::AppliedMark& mark) noexcept {
        if (most_ == 0) return;
        const bool is_full = ring_.size() == most_;
        const std::size_t at = is_full ? oldest_ : ring_.size();
        const TagIndex::Place place{tag_of(id), static_cast<std::uint32_t>(at + 1)};
        if (!index_.insert_new(place, Is{*this, id})) return;
        if (!is_full) {
            ring_.push_back({id, mark.hash});
            decisions_.push_back(mark.decision);
            return;
        }
        // After the new one, so that one search finds the place of that. Both have one number.
        index_.erase({tag_of(ring_[at].id), place.at});
        ring_[at] = {id, mark.hash};
        decisions_[at] = mark.decision;
        oldest_ = oldest_ + 1 == most_ ? 0 : oldest_ + 1;
        // Prefetches the entry of an id that is removed soon.
        index_.fetch(tag_of(ring_[oldest_ + ahead < most_ ? oldest_ + ahead : 0].id));
    }
    [[nodiscard]] std::optional<part::AppliedMark> find(const Id& id) const noexcept {
        const std::uint32_t at = index_.find(tag_of(id), Is{*this, id});
        if (at == 0) return std::nullopt;
        return part::AppliedMark{ring_[at - 1].hash, decisions_[at - 1]};
    }
    /// Prefetches the entry that find() and insert() will read.
    void fetch(const Id& id) const noexcept { index_.fetch(tag_of(id)); }
    [[nodiscard]] std::size_t size() const noexcept { return ring_.size(); }

private:
    struct Slot {
        Id id;
        std::uint64_t hash;
    };
    /// Returns whether a number is that of an id.
    struct Is {
        const AppliedIds& ids;
        const Id& id;
        [[nodiscard]] bool operator()(std::uint32_t at) const noexcept {
            return ids.ring_[at - 1].id == id;
        }
    };
    // The time of some operations covers one access to memory.
    static constexpr std::size_t ahead = 4;

    [[nodiscard]] static std::uint32_t tag_of(const Id& id) noexcept {
        const std::uint64_t low = load_le<std::uint64_t>(id.data());
        const std::uint64_t high = load_le<std::uint64_t>(id.data() + 8);
        return static_cast<std::uint32_t>(mix64(low ^ (high * 0x9E3779B97F4A7C15U)));
    }

    std::size_t most_;
    std::size_t oldest_ = 0;
    std::vector<Slot> ring_;
    std::vector<part::Decision> decisions_;  // of the ring's slots, apart because of their size
    TagIndex index_;
};

}}}  // namespace belay::detail
