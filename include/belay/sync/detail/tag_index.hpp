// SPDX-License-Identifier: MIT
/// \file belay/sync/detail/tag_index.hpp
/// TagIndex: finds the number of an object by a hash of it.
#pragma once

#include <cstddef>  // std::size_t
#include <cstdint>  // std::uint32_t
#include <vector>   // std::vector

#include <belay/core/detail/heap.hpp>

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

}}}  // namespace belay::detail
