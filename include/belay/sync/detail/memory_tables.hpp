// SPDX-License-Identifier: MIT
/// \file belay/sync/detail/memory_tables.hpp
/// ElementTable, AppliedIds, ChangeLog, OverwrittenVersions: the tables of a MemoryStore.
/// TagIndex: the index of the first two.
#pragma once

#include <algorithm>    // std::min, std::upper_bound
#include <cstddef>      // std::size_t, std::byte
#include <cstdint>      // std::uint32_t, std::uint64_t
#include <limits>       // std::numeric_limits
#include <map>          // std::map
#include <optional>     // std::optional
#include <string>       // std::string
#include <string_view>  // std::string_view
#include <utility>      // std::exchange, std::move
#include <vector>       // std::vector

#include <belay/core/assert.hpp>
#include <belay/core/bytes.hpp>
#include <belay/core/detail/heap.hpp>
#include <belay/core/random.hpp>
#include <belay/journal/id.hpp>
#include <belay/sync/changes.hpp>
#include <belay/sync/conflict.hpp>
#include <belay/sync/operation_like.hpp>
#include <belay/sync/store_like.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Numbers from 1, found by 32 bits of a hash. It uses open addressing with eight bytes for each
/// place, and at least half of the places are empty. Most look-ups of a missing object end without
/// reading any of the numbered objects.
class TagIndex {
public:
    struct Place {
        std::uint32_t tag = 0;  // its lowest bits are its home, for every size
        std::uint32_t at = 0;   // the number; 0: empty
    };

    /// Reserves capacity for one more than `count`, so that insert() cannot fail.
    /// Throws: bad_alloc.
    void prepare(std::size_t count) {
        if (2 * (count + 1) > places_.size()) grow();
    }
    /// Returns the number that has this tag, and for which `is_it(number)` returns true; 0 if there
    /// is none.
    template <class IsIt>
    [[nodiscard]] std::uint32_t find(std::uint32_t tag, IsIt is_it) const noexcept {
        return places_.empty() ? 0 : places_[place_of(tag, is_it)].at;
    }
    /// Pre: prepare() was called; the number is not here.
    void insert(const Place& entry) noexcept {
        static_cast<void>(insert_new(entry, [](std::uint32_t) { return false; }));
    }
    /// Inserts an entry, unless there is one with its tag for which `is_it(number)` returns true.
    ///
    /// Pre:     prepare() was called.
    /// Returns: whether it was inserted.
    template <class IsIt>
    [[nodiscard]] bool insert_new(const Place& entry, IsIt is_it) noexcept {
        Place& place = places_[place_of(entry.tag, is_it)];
        if (place.at != 0) return false;
        place = entry;
        return true;
    }
    /// Pre: the number is here, with this tag.
    void erase(const Place& entry) noexcept {
        std::size_t hole = entry.tag & mask();
        while (places_[hole].at != entry.at || places_[hole].tag != entry.tag) hole = next(hole);
        // Moves the following entries back, unless an entry would be in front of its home.
        for (std::size_t i = next(hole); places_[i].at != 0; i = next(i)) {
            const std::size_t home = places_[i].tag & mask();
            if (((i - home) & mask()) >= ((i - hole) & mask())) {
                places_[hole] = places_[i];
                hole = i;
            }
        }
        places_[hole] = {};
    }
    /// Prefetches the line that find() will read, because an index is larger than the caches.
    void fetch(std::uint32_t tag) const noexcept {
        if (!places_.empty()) prefetch_for_write(&places_[tag & mask()]);
    }

private:
    [[nodiscard]] std::size_t mask() const noexcept { return places_.size() - 1; }
    [[nodiscard]] std::size_t next(std::size_t place) const noexcept {
        return (place + 1) & mask();
    }
    /// Returns the place of such a number; the first empty one after its home if there is none.
    template <class IsIt>
    [[nodiscard]] std::size_t place_of(std::uint32_t tag, IsIt is_it) const noexcept {
        std::size_t place = tag & mask();
        while (places_[place].at != 0 && (places_[place].tag != tag || !is_it(places_[place].at))) {
            place = next(place);
        }
        return place;
    }
    void grow() {
        std::vector<Place> larger(places_.empty() ? 64 : 2 * places_.size());
        places_.swap(larger);
        for (const Place& one : larger) {
            if (one.at != 0) insert(one);
        }
    }

    std::vector<Place> places_;
};

/// Returns whether two names are equal. Most are short, and a call of memcmp would take longer than
/// the comparison.
[[nodiscard]] inline bool names_equal(std::string_view a, std::string_view b) noexcept {
    const std::size_t size = a.size();
    if (size != b.size()) return false;
    if (size > 16) return a == b;
    if (size >= 8) {
        const auto word = [](std::string_view name, std::size_t at) {
            return load_le<std::uint64_t>(as_bytes(name).data() + at);
        };
        // The second word overlaps the first.
        return word(a, 0) == word(b, 0) && word(a, size - 8) == word(b, size - 8);
    }
    for (std::size_t i = 0; i < size; ++i) {
        if (a[i] != b[i]) return false;
    }
    return true;
}

/// Rows by name. A row never moves in memory.
///
/// Unlike the standard's unordered map, a look-up reads one line of the index and one row, and not
/// the row before it, too. A row is not a separate allocation.
template <class Row>
class ElementTable {
    static constexpr std::uint32_t in_use = 0xFFFF'FFFFU;

public:
    struct Node {
        std::string name{};
        std::uint32_t at = 0;         // its number
        std::uint32_t next = in_use;  // of the free list
        Row row{};
    };
    /// The most rows.
    static constexpr std::size_t most = 0xFFFF'FFFEU;

    /// Returns the tag by which the index finds a name: 32 bits of a hash, which nothing stores.
    [[nodiscard]] static std::uint32_t tag_of(std::string_view name) noexcept {
        const BytesView bytes = as_bytes(name);
        std::uint64_t hash = bytes.size();
        std::uint64_t last = 0;
        if (bytes.size() < 8) {
            for (const std::byte one : bytes) last = last << 8U | std::to_integer<unsigned>(one);
        } else {
            const std::size_t end = bytes.size() - 8;
            for (std::size_t i = 0; i < end; i += 8) {
                hash = mix_word(hash, load_le<std::uint64_t>(bytes.data() + i));
            }
            // It overlaps the word before it, which is faster than a part of a word.
            last = load_le<std::uint64_t>(bytes.data() + end);
        }
        hash = mix_word(hash, last);
        return static_cast<std::uint32_t>(hash ^ hash >> 32U);
    }
    [[nodiscard]] Node* find(std::string_view name) noexcept {
        const std::uint32_t at = index_.find(tag_of(name), [&](std::uint32_t number) {
            return names_equal(node(number).name, name);
        });
        return at != 0 ? &node(at) : nullptr;
    }
    /// Prefetches the entry of the index that find() will read.
    void fetch(std::string_view name) const noexcept { index_.fetch(tag_of(name)); }
    /// Adds a row for a name that has none.   Throws: std::bad_alloc; nothing has changed then.
    [[nodiscard]] Node& insert(std::string_view name) {
        BELAY_PRECONDITION(count_ < most, "ElementTable::insert: the table must have a free slot");
        std::string kept{name};
        index_.prepare(count_);
        if (free_ == 0) add_node();
        Node& made = node(free_);
        free_ = std::exchange(made.next, in_use);
        made.name = std::move(kept);
        index_.insert({tag_of(name), made.at});
        ++count_;
        return made;
    }
    void erase(Node& gone) noexcept {
        index_.erase({tag_of(gone.name), gone.at});
        gone.name = {};
        gone.row = Row{};
        gone.next = free_;
        free_ = gone.at;
        --count_;
    }
    [[nodiscard]] bool empty() const noexcept { return count_ == 0; }
    [[nodiscard]] std::size_t size() const noexcept { return count_; }
    /// Returns the row with a number that insert() has given out; it may be free again.
    [[nodiscard]] const Node& numbered(std::uint32_t at) const noexcept {
        return chunks_[(at - 1) / in_chunk][(at - 1) % in_chunk];
    }
    /// Calls `visit(node)` for each row.
    template <class Visit>
    void for_each(Visit visit) const {
        for (const std::vector<Node>& chunk : chunks_) {
            for (const Node& one : chunk) {
                if (one.next == in_use) visit(one);
            }
        }
    }

private:
    static constexpr std::size_t in_chunk = 256;

    [[nodiscard]] Node& node(std::uint32_t at) noexcept {
        return chunks_[(at - 1) / in_chunk][(at - 1) % in_chunk];
    }
    void add_node() {
        if (chunks_.empty() || chunks_.back().size() == in_chunk) {
            std::vector<Node> chunk;
            chunk.reserve(in_chunk);
            chunks_.push_back(std::move(chunk));
        }
        Node& made = chunks_.back().emplace_back();
        made.next = 0;
        made.at =
            static_cast<std::uint32_t>((chunks_.size() - 1) * in_chunk + chunks_.back().size());
        free_ = made.at;
    }

    TagIndex index_;
    // All full except the last; the nodes of a chunk do not move.
    std::vector<std::vector<Node>> chunks_;
    std::uint32_t free_ = 0;
    std::size_t count_ = 0;
};

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

/// The versions of at most `most` operations, by their ids. A new one replaces the oldest.
template <class Value>
class OverwrittenVersions {
    using Versions = std::map<Id, part::ReplacedVersion<Value>>;

public:
    /// A version that is not added yet.
    using Prepared = typename Versions::node_type;

    explicit OverwrittenVersions(std::size_t most) noexcept : most_{most} {}

    /// Copies a version, so that add() cannot fail.   Throws: std::bad_alloc, and what a copy of
    ///                                                        the value throws.
    [[nodiscard]] Prepared prepare(const Id& operation, const Stamp& stamp,
                                   const std::optional<Value>& value) {
        if (most_ == 0) return {};
        if (order_.size() == order_.capacity() && order_.size() < most_) {
            order_.reserve(std::min(2 * order_.size() + 16, most_));
        }
        Versions one;
        one.emplace(operation, part::ReplacedVersion<Value>{stamp, value});
        return one.extract(one.begin());
    }
    /// Adds what prepare() has made last.
    void add(Prepared&& prepared) noexcept {
        if (!prepared) return;
        const Id id = prepared.key();
        auto added = versions_.insert(std::move(prepared));
        if (!added.inserted) {
            // The operation had been forgotten, and was applied a second time.
            added.position->second = std::move(added.node.mapped());
            return;
        }
        if (order_.size() < most_) {
            order_.push_back(id);
            return;
        }
        versions_.erase(order_[oldest_]);
        order_[oldest_] = id;
        oldest_ = oldest_ + 1 == most_ ? 0 : oldest_ + 1;
    }
    [[nodiscard]] std::optional<part::ReplacedVersion<Value>> find(const Id& operation) const {
        const auto at = versions_.find(operation);
        return at != versions_.end() ? std::optional{at->second} : std::nullopt;
    }

private:
    std::size_t most_;
    std::size_t oldest_ = 0;
    std::vector<Id> order_{};
    Versions versions_{};
};

}}}  // namespace belay::detail
