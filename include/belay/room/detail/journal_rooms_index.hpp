// SPDX-License-Identifier: MIT
/// \file belay/room/detail/journal_rooms_index.hpp
/// JournalRoomsIndex: what a log of rooms has of each, and up to where it is not needed any more.
#pragma once

#include <algorithm>    // std::max
#include <cstddef>      // std::size_t
#include <cstdint>      // std::uint8_t, std::uint32_t, std::uint64_t
#include <deque>        // std::deque
#include <functional>   // std::less
#include <map>          // std::map
#include <optional>     // std::optional
#include <string>       // std::string
#include <string_view>  // std::string_view
#include <vector>       // std::vector

#include <belay/room/detail/journal_room_record.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// How many bytes a log holds from its first needed record on, to some KiB.
class LogBytes {
public:
    struct Piece {
        std::uint64_t first;
        std::uint64_t bytes;
    };

    /// A record, or some.
    void add(const Piece& piece) {
        sum_ += piece.bytes;
        if (!pieces_.empty() && pieces_.back().bytes < piece_bytes) {
            pieces_.back().bytes += piece.bytes;
        } else {
            pieces_.push_back(piece);
        }
    }
    void release(std::uint64_t up_to) {
        while (pieces_.size() > 1 && pieces_[1].first <= up_to + 1) {
            sum_ -= pieces_.front().bytes;
            pieces_.pop_front();
        }
    }
    [[nodiscard]] std::uint64_t sum() const noexcept { return sum_; }

private:
    static constexpr std::uint64_t piece_bytes = 4096;
    std::deque<Piece> pieces_;
    std::uint64_t sum_ = 0;
};

/// An update in the log: its last record, and how many it has.
struct LoggedUpdate {
    std::uint64_t position;
    std::uint64_t parts;
    [[nodiscard]] std::uint64_t first() const noexcept { return position - parts + 1; }
};

/// The place of a room in the log.
struct LoggedRoom {
    enum class Life : std::uint8_t {
        live,
        erased  // its snapshot may still be there
    };
    /// Whether a damaged record was one of the room's.
    enum class Loss : std::uint8_t { none, possible, certain };

    HistoryState state{};
    /// The log up to here is not needed: it is in the snapshot, or before the history.
    std::uint64_t covered = 0;
    /// The position that the newest snapshot file since the opening of the log covers; 0: none.
    std::uint64_t saved = 0;
    /// The record that has its state.
    std::uint64_t record = 0;
    std::uint64_t last = 0;
    /// The sequence of its newest record.
    std::uint64_t newest = 0;
    /// The last record that is certainly lost.
    std::uint64_t lost_at = 0;
    std::vector<LoggedUpdate> updates{};
    Life life = Life::live;
    Loss loss = Loss::none;
    /// The beginning of the history was not in the log. It may be further on, or be damaged.
    bool begins_unseen = false;

    [[nodiscard]] std::uint64_t pin() const noexcept {
        if (updates.empty()) return record;
        const std::uint64_t update = updates.front().first();
        return record != 0 && record < update ? record : update;
    }
    [[nodiscard]] bool pinned_by_state() const noexcept { return pin() == record; }
};

/// All rooms of a log, and which of them needs its oldest record.
///
/// Complexity: of a change logarithmic in the rooms; of a state linear in the room's updates.
class JournalRoomsIndex {
    using Rooms = std::map<std::string, LoggedRoom, std::less<>>;

public:
    using Entry = Rooms::value_type;

    explicit JournalRoomsIndex(const Id& journal) noexcept : journal_{journal} {}

    // ---- changes, in the order of the log -------------------------------------------------------

    void reset(std::string_view id, std::uint64_t number, const Id& epoch) {
        Entry& entry = unpinned(id);
        LoggedRoom& room = entry.second;
        room = LoggedRoom{};
        room.state = {epoch, no_id, number};
        room.covered = room.record = room.last = number;
        room.life = LoggedRoom::Life::live;
        pin(entry);
    }
    void erase(std::string_view id, std::uint64_t number) {
        Entry& entry = unpinned(id);
        entry.second = LoggedRoom{};
        entry.second.record = number;
        entry.second.life = LoggedRoom::Life::erased;
        erased_.push_back(entry.first);
        pin(entry);
    }
    void add_update(std::string_view id, const Id& epoch, const LoggedUpdate& update) {
        if (LoggedRoom* const live = find(id); live != nullptr && live->state.epoch == epoch) {
            // Its state is older: the pin stays where it is.
            live->updates.push_back(update);
            live->last = update.position;
            return;
        }
        Entry& entry = unpinned(id);
        LoggedRoom& room = entry.second;
        room = LoggedRoom{};
        room.state.epoch = epoch;
        room.begins_unseen = true;
        room.updates.push_back(update);
        room.last = update.position;
        pin(entry);
    }
    void set_state(std::string_view id, std::uint64_t number, const HistoryState& state) {
        Entry& entry = unpinned(id);
        LoggedRoom& room = entry.second;
        room.state = state;
        room.record = number;
        room.life = LoggedRoom::Life::live;
        room.covered = covered_by(state);
        room.last = std::max(room.last, room.covered);
        room.begins_unseen = false;
        if (room.covered >= room.lost_at) room.loss = LoggedRoom::Loss::none;
        std::erase_if(room.updates,
                      [&](const LoggedUpdate& u) { return u.position <= room.covered; });
        pin(entry);
    }
    /// A snapshot file was written. The log keeps what it covers until a state record names it.
    void note_saved(LoggedRoom& room, std::uint64_t covers) noexcept {
        room.saved = covers;
        room.begins_unseen = false;
        room.loss = LoggedRoom::Loss::none;
    }
    /// Nothing is left of a room that was erased, but its record.
    void forget(std::string_view id) {
        const auto at = rooms_.find(id);
        if (at == rooms_.end() || at->second.life != LoggedRoom::Life::erased) return;
        pins_.erase(at->second.pin());
        states_bytes_ -= bytes_of(at->first);
        rooms_.erase(at);
    }

    // ---- what there is --------------------------------------------------------------------------

    /// A live room, or null.
    [[nodiscard]] LoggedRoom* find(std::string_view id) {
        const auto at = rooms_.find(id);
        const bool live = at != rooms_.end() && at->second.life == LoggedRoom::Life::live;
        return live ? &at->second : nullptr;
    }
    /// A room, live or erased, of which a snapshot may be there; or null.
    [[nodiscard]] LoggedRoom* known(std::string_view id) {
        const auto at = rooms_.find(id);
        return at == rooms_.end() ? nullptr : &at->second;
    }
    /// A record before this sequence was damaged, and may have been of any room.
    void note_damage(std::uint64_t sequence) noexcept {
        for (auto& [id, room] : rooms_) {
            if (room.newest < sequence && room.loss == LoggedRoom::Loss::none)
                room.loss = LoggedRoom::Loss::possible;
        }
    }
    [[nodiscard]] std::vector<std::string> list(std::string_view after, std::size_t count) const {
        std::vector<std::string> ids;
        for (auto at = rooms_.upper_bound(after); at != rooms_.end() && ids.size() < count; ++at) {
            if (at->second.life == LoggedRoom::Life::live) ids.push_back(at->first);
        }
        return ids;
    }
    [[nodiscard]] std::size_t size() const noexcept { return rooms_.size(); }
    /// Rooms that were erased, and whose snapshots may be there: to be forgotten.
    [[nodiscard]] std::vector<std::string>& erased() noexcept { return erased_; }

    // ---- what is needed -------------------------------------------------------------------------

    /// The first record that is needed; nothing if none is.
    [[nodiscard]] std::optional<std::uint64_t> oldest() const noexcept {
        if (pins_.empty()) return std::nullopt;
        return pins_.begin()->first;
    }
    /// Calls `f(id, room)` by the age of what they need, until it answers false.
    template <class F>
    void by_age(F&& f) const {
        for (const auto& [number, entry] : pins_) {
            if (!f(entry->first, entry->second)) return;
        }
    }
    /// The bytes of records with the states of all rooms.
    [[nodiscard]] std::uint64_t states_bytes() const noexcept { return states_bytes_; }

private:
    [[nodiscard]] std::uint64_t covered_by(const HistoryState& state) const noexcept {
        return state.journal == journal_ || state.journal == no_id ? state.covers : 0;
    }
    [[nodiscard]] static std::uint64_t bytes_of(const std::string& id) noexcept {
        return logged_bytes(room_record_head_bytes + id.size() + room_place_bytes);
    }

    /// The room, made if need be, without its pin: to be changed.
    [[nodiscard]] Entry& unpinned(std::string_view id) {
        auto at = rooms_.find(id);
        if (at == rooms_.end()) {
            at = rooms_.try_emplace(std::string{id}).first;
            states_bytes_ += bytes_of(at->first);
        } else {
            pins_.erase(at->second.pin());
        }
        return *at;
    }
    void pin(Entry& entry) { pins_.emplace(entry.second.pin(), &entry); }

    Id journal_;
    Rooms rooms_;
    std::map<std::uint64_t, Entry*> pins_;  // by the oldest record that a room needs
    std::vector<std::string> erased_;
    std::uint64_t states_bytes_ = 0;
};

}}}  // namespace belay::detail
