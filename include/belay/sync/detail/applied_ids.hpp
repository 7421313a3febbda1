// SPDX-License-Identifier: MIT
/// \file belay/sync/detail/applied_ids.hpp
/// AppliedIds: the ids of the last operations, with the hash of what each contained.
#pragma once

#include <algorithm>  // std::min
#include <cstdint>    // std::uint32_t, std::uint64_t
#include <optional>   // std::optional
#include <vector>     // std::vector

#include <belay/core/assert.hpp>
#include <belay/core/bytes.hpp>
#include <belay/core/random.hpp>
#include <belay/journal/id.hpp>

namespace belay::inline BELAY_ABI::detail {

/// So many ids, the oldest goes first: a ring, and an index of open addressing over it.
///
/// 24 bytes for each id, and 16 to 32 of the index; grows to its bound, and stays there. The index
/// has a part of each id's hash, so that what is not here is found out without looking elsewhere.
class AppliedIds {
public:
    explicit AppliedIds(std::size_t most) noexcept : most_{most} {
        BELAY_PRECONDITION(most < (std::size_t{1} << 31U), "AppliedIds: must be below 2^31");
    }

    /// Makes room for one more, so that insert() cannot fail.   Throws: std::bad_alloc.
    void prepare() {
        if (ring_.size() == most_) return;
        if (2 * (ring_.size() + 1) > index_.size()) grow();
        if (ring_.size() == ring_.capacity()) {
            ring_.reserve(std::min(2 * ring_.size() + 16, most_));
        }
    }
    /// Keeps what it had of an id that is here.   Pre: prepare() was called.
    void insert(const Id& id, std::uint64_t hash) noexcept {
        if (most_ == 0) return;
        const std::uint32_t tag = tag_of(id);
        std::size_t place = place_of(id, tag);
        if (index_[place].at != 0) return;
        std::size_t at = ring_.size();
        if (at < most_) {
            ring_.push_back({id, hash});
        } else {
            at = oldest_;
            erase(at);
            ring_[at] = {id, hash};
            oldest_ = oldest_ + 1 == most_ ? 0 : oldest_ + 1;
            // The index is larger than caches are, and which place is next to go is known.
            __builtin_prefetch(&index_[tag_of(ring_[oldest_].id) & mask()], 1);
            place = place_of(id, tag);
        }
        index_[place] = {tag, static_cast<std::uint32_t>(at + 1)};
    }
    [[nodiscard]] std::optional<std::uint64_t> find(const Id& id) const noexcept {
        if (index_.empty()) return std::nullopt;
        const std::uint32_t at = index_[place_of(id, tag_of(id))].at;
        if (at == 0) return std::nullopt;
        return ring_[at - 1].hash;
    }
    [[nodiscard]] std::size_t size() const noexcept { return ring_.size(); }

private:
    struct Slot {
        Id id;
        std::uint64_t hash;
    };

    struct Entry {
        std::uint32_t tag = 0;
        std::uint32_t at = 0;  // in the ring, from 1; 0: none
    };

    /// 32 bits of the id's hash: its home is the lowest of them, whatever the size of the index.
    [[nodiscard]] static std::uint32_t tag_of(const Id& id) noexcept {
        const std::uint64_t low = load_le<std::uint64_t>(id.data());
        const std::uint64_t high = load_le<std::uint64_t>(id.data() + 8);
        return static_cast<std::uint32_t>(mix64(low ^ (high * 0x9E3779B97F4A7C15U)));
    }
    [[nodiscard]] std::size_t mask() const noexcept { return index_.size() - 1; }
    /// Where the id is, or would be.
    [[nodiscard]] std::size_t place_of(const Id& id, std::uint32_t tag) const noexcept {
        std::size_t place = tag & mask();
        while (index_[place].at != 0 &&
               (index_[place].tag != tag || ring_[index_[place].at - 1].id != id)) {
            place = (place + 1) & mask();
        }
        return place;
    }
    void erase(std::size_t at) noexcept {
        std::size_t hole = tag_of(ring_[at].id) & mask();
        while (index_[hole].at != at + 1) hole = (hole + 1) & mask();
        // What follows moves back, unless that would be in front of its home.
        for (std::size_t next = (hole + 1) & mask(); index_[next].at != 0;
             next = (next + 1) & mask()) {
            const std::size_t home = index_[next].tag & mask();
            if (((next - home) & mask()) >= ((next - hole) & mask())) {
                index_[hole] = index_[next];
                hole = next;
            }
        }
        index_[hole] = {};
    }
    void grow() {
        std::vector<Entry> larger(index_.empty() ? 64 : 2 * index_.size());
        index_.swap(larger);
        for (const Entry& entry : larger) {
            if (entry.at != 0) index_[place_of(ring_[entry.at - 1].id, entry.tag)] = entry;
        }
    }

    std::size_t most_;
    std::size_t oldest_ = 0;
    std::vector<Slot> ring_;
    std::vector<Entry> index_;
};

}  // namespace belay::inline BELAY_ABI::detail
