// SPDX-License-Identifier: MIT
/// \file belay/room/detail/persistence_model.hpp
/// ModelRoom: what a persistence must have of a room, for PersistenceChecker.
#pragma once

#include <algorithm>  // std::find
#include <cstddef>    // std::size_t
#include <cstdint>    // std::uint64_t
#include <optional>   // std::optional
#include <string>     // std::string
#include <utility>    // std::move
#include <vector>     // std::vector

#include <belay/room/persistence_like.hpp>
#include <belay/room/persistence_rule.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// A room after some change. Positions are 0 where they are not known.
struct ModelState {
    struct Update {
        Bytes bytes{};
        std::uint64_t position = 0;
    };

    bool exists = false;
    bool erased = false;
    Id epoch{};
    std::vector<Id> epochs_before{};
    std::vector<Update> history{};  // all since it began
    std::size_t covered = 0;        // so many of them are in the snapshot
    std::vector<Bytes> snapshot{};
    std::uint64_t began = 0;
    std::uint64_t covers = 0;
    std::uint64_t last = 0;

    /// The extent of a snapshot: a position, and so many updates.
    struct Cover {
        std::uint64_t position;
        std::size_t count;
    };
    void save(const std::vector<Bytes>& parts, const Cover& cover) {
        snapshot = parts;
        covers = cover.position;
        covered = cover.count;
    }
    void forget_positions() noexcept {
        for (Update& update : history) update.position = 0;
        began = covers = last = 0;
    }

    /// Which rule a load breaks that answers this; nothing if it is right.
    [[nodiscard]] std::optional<check::PersistenceRule> broken_by(
        const std::optional<StoredRoom>& found) const {
        using Rule = check::PersistenceRule;
        if (!exists && !found) return std::nullopt;
        if (!exists) {
            return erased ? Rule::erase_ends_the_room : Rule::load_shows_only_what_is_stored;
        }
        if (!found) return Rule::load_finds_what_was_flushed;
        if (found->epoch != epoch) {
            const bool old = std::find(epochs_before.begin(), epochs_before.end(), found->epoch) !=
                             epochs_before.end();
            return old ? Rule::reset_begins_anew : Rule::load_returns_the_epoch;
        }
        if (found->snapshot != snapshot) return Rule::load_finds_the_snapshot;
        const std::size_t count = found->updates.size();
        if (count > history.size()) return Rule::load_shows_only_what_is_stored;
        const std::size_t skipped = history.size() - count;
        if (skipped > covered) {
            return covers != 0 ? Rule::save_keeps_later_updates : Rule::load_finds_what_was_flushed;
        }
        for (std::size_t i = 0; i < count; ++i) {
            if (found->updates[i] != history[skipped + i].bytes) {
                return Rule::load_finds_what_was_flushed;
            }
        }
        return std::nullopt;
    }
};

/// A room as it was flushed, and after each change since.
struct ModelRoom {
    std::string id{};
    std::vector<ModelState> states = std::vector<ModelState>(1);
    std::size_t shown = 0;           // the last of them that a load has answered
    std::uint64_t given = 0;         // the last position
    std::uint64_t old_position = 0;  // of the history before
    bool turns = false;              // one of the changes begins or ends a history

    /// All before and after this state is over.
    void settle(std::size_t state) {
        ModelState kept = std::move(states[state]);
        states.clear();
        states.push_back(std::move(kept));
        shown = 0;
        turns = false;
    }
    /// Which of the states a load answers, of equal ones a later one than was shown before.
    [[nodiscard]] std::optional<std::size_t> which(const std::optional<StoredRoom>& found) const {
        for (std::size_t i = shown; i < states.size(); ++i) {
            if (!states[i].broken_by(found)) return i;
        }
        for (std::size_t i = 0; i < shown; ++i) {
            if (!states[i].broken_by(found)) return i;
        }
        return std::nullopt;
    }
    /// Returns the rule that an answer breaks if it is none of them.
    [[nodiscard]] check::PersistenceRule blame(const std::optional<StoredRoom>& found) const {
        const ModelState& stored = states[shown];
        return stored.broken_by(found).value_or(
            check::PersistenceRule::load_finds_what_was_flushed);
    }
};

[[nodiscard]] inline std::vector<ModelRoom> model_rooms() {
    std::vector<ModelRoom> rooms;
    for (const std::string& id :
         {std::string{"a"}, std::string{"A"}, std::string{"a\0b", 3}, std::string{"../\xff%' "},
          std::string(part::room_id_bytes_max, 'x')}) {
        rooms.emplace_back().id = id;
    }
    return rooms;
}

}}}  // namespace belay::detail
