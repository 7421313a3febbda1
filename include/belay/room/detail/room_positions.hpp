// SPDX-License-Identifier: MIT
/// \file belay/room/detail/room_positions.hpp
/// RoomPositions: which position of a persistence a number stands for that was given before.
#pragma once

#include <algorithm>      // std::upper_bound
#include <cstdint>        // std::uint64_t
#include <iterator>       // std::prev
#include <optional>       // std::optional
#include <string>         // std::string
#include <unordered_map>  // std::unordered_map
#include <utility>        // std::pair
#include <vector>         // std::vector

#include <belay/core/assert.hpp>  // BELAY_ABI

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Numbers grow, and the positions that they stand for do not fall, in each room.
///
/// Complexity: of each call logarithmic in the pairs of a room, but of `saved`, which forgets some.
class RoomPositions {
public:
    struct Pair {
        std::uint64_t number;
        std::uint64_t position;
    };

    /// A change of the room, which was given `number`, has this position.
    void add(const std::string& id, const Pair& change) { rooms_[id].push_back(change); }
    /// A load, which was given a number, found the room at this position; the number for it.
    [[nodiscard]] std::uint64_t loaded(const std::string& id, const Pair& load) {
        Pairs& pairs = rooms_[id];
        // The stored room may be older than the last changes, if these are not stored.
        const auto at = std::upper_bound(
            pairs.begin(), pairs.end(), load.position,
            [](std::uint64_t wanted, const Pair& pair) { return wanted < pair.position; });
        if (at != pairs.begin() && std::prev(at)->position == load.position)
            return std::prev(at)->number;
        if (at == pairs.end()) {
            pairs.push_back(load);
            return load.number;
        }
        // The change of another server: what is known to be before it.
        if (at != pairs.begin()) return std::prev(at)->number;
        pairs.insert(pairs.begin(), {0, load.position});
        return 0;
    }
    /// The position for a number, 0 for one from before all that is known of the room; nothing for
    /// a number that the room was not given.
    [[nodiscard]] std::optional<std::uint64_t> of(const std::string& id,
                                                  std::uint64_t number) const {
        const auto room = rooms_.find(id);
        if (room == rooms_.end()) return 0;
        const Pairs& pairs = room->second;
        if (number > pairs.back().number) return std::nullopt;
        const auto at =
            std::upper_bound(pairs.begin(), pairs.end(), number,
                             [](std::uint64_t n, const Pair& pair) { return n < pair.number; });
        return at == pairs.begin() ? 0 : std::prev(at)->position;
    }
    /// Numbers before this one are not asked for again.
    void saved(const std::string& id, std::uint64_t number) {
        const auto room = rooms_.find(id);
        if (room == rooms_.end()) return;
        Pairs& pairs = room->second;
        const auto at =
            std::upper_bound(pairs.begin(), pairs.end(), number,
                             [](std::uint64_t n, const Pair& pair) { return n < pair.number; });
        if (at != pairs.begin()) pairs.erase(pairs.begin(), std::prev(at));
    }
    /// The room was erased; until that is stored, loads find what was before.
    void erased(const std::string& id, std::uint64_t number) {
        if (rooms_.contains(id)) erased_.emplace_back(id, number);
    }
    /// All changes are stored.
    void flushed() {
        for (const auto& [id, number] : erased_) {
            const auto room = rooms_.find(id);
            // It may have been begun again since.
            const bool over = room != rooms_.end() && room->second.back().number < number;
            if (over) rooms_.erase(room);
        }
        erased_.clear();
    }

private:
    using Pairs = std::vector<Pair>;

    std::unordered_map<std::string, Pairs> rooms_;
    std::vector<std::pair<std::string, std::uint64_t>> erased_;
};

}}}  // namespace belay::detail
