// SPDX-License-Identifier: MIT
/// \file belay/room/detail/journal_rooms_log.hpp
/// JournalRoomsLog: the changes of all rooms in one durable log.
#pragma once

#include <algorithm>     // std::max
#include <cstddef>       // std::size_t
#include <cstdint>       // std::uint32_t, std::uint64_t, std::uint8_t
#include <deque>         // std::deque
#include <functional>    // std::less
#include <map>           // std::map
#include <optional>      // std::optional
#include <set>           // std::set
#include <string>        // std::string
#include <string_view>   // std::string_view
#include <system_error>  // std::error_code
#include <utility>       // std::move
#include <vector>        // std::vector

#include <belay/journal/log_like.hpp>
#include <belay/room/detail/journal_rooms_files.hpp>

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

/// A log of rooms, and an index of what is durable in it.
///
/// A change is written as a record at once. It is in the index only when the record is durable, so
/// that all of the index survives a crash. The log releases a record that no room needs only after
/// the record that makes it needless is durable.
template <class Log>
class JournalRoomsLog {
public:
    JournalRoomsLog(Log log, std::uint64_t bytes_max)
        : log_{std::move(log)}, bytes_max_{bytes_max}, index_{log_.journal_id()} {}

    /// Reads all that the log holds, but damaged records.   Returns: how many are damaged.
    /// Errors: log_misplaced; other_version; as reading, except corrupt.
    /// Complexity: of the log's bytes; keeps 16 bytes for each update, and none of its bytes.
    [[nodiscard]] Result<std::uint64_t, PersistenceError> replay() {
        using Error = PersistenceError;
        if (record_bytes_max() < record_bytes_min) {
            return Error{make_error_code(QueueErrc::bad_options), "the log",
                         "its record_bytes_max must be at least 256"};
        }
        Replay replay;
        for (std::uint64_t number = log_.base(); number <= log_.last(); ++number) {
            const Result<BytesView> body = log_.read(number);
            const auto where = [&] { return "operation " + std::to_string(number); };
            if (body.error() == QueueErrc::corrupt) {
                ++replay.damaged_records;
                replay.joining.reset();
                if (replay.first != 0) replay.damaged.insert(++sequence_);
                continue;
            }
            if (!body) return Error{body.error(), "the log", where()};
            const Result<JournalRoomRecord> record = decode_room_record(*body);
            if (record.error() == QueueErrc::other_version) {
                return Error{
                    record.error(), "the log",
                    where() + ": " +
                        version_text(static_cast<int>((*body)[1]), int{room_record_version})};
            }
            if (!record)
                return Error{record.error(), "the log", where() + " is not a record of rooms"};
            bytes_.add({number, logged_bytes(body->size())});
            replay.take(*this, *record, number);
        }
        if (!replay.damaged.empty()) index_.note_damage(*replay.damaged.rbegin());
        return replay.damaged_records;
    }

    // ---- changes --------------------------------------------------------------------------------

    /// Errors: unknown_room; as appending. Then some records of an update in several records may be
    /// in the log, and are ignored.
    [[nodiscard]] std::error_code append(std::string_view id, BytesView update) {
        const Chain chain = chain_of(id);
        if (!chain.live) return RoomErrc::unknown_room;
        const std::size_t head = room_record_head_bytes + id.size();
        const std::size_t whole = record_bytes_max() - head;
        if (update.size() <= whole) {
            const auto number =
                write(chain, {.kind = RoomChange::update, .id = id, .update = update});
            if (number) stage({RoomChange::update, std::string{id}, *number, 1, {chain.epoch}});
            return number.error();
        }
        const std::size_t piece = whole - room_part_bytes;
        const std::size_t parts = (update.size() + piece - 1) / piece;
        if (parts > ~std::uint32_t{0}) return QueueErrc::too_large;
        std::uint64_t position = 0;
        for (std::size_t part = 0; part < parts; ++part) {
            const BytesView bytes = update.subspan(part * piece);
            const Result<std::uint64_t> number =
                write(chain, {.kind = RoomChange::part,
                              .id = id,
                              .part = static_cast<std::uint32_t>(part),
                              .parts = static_cast<std::uint32_t>(parts),
                              .update = bytes.first(std::min(piece, bytes.size()))});
            if (!number) return number.error();
            position = *number;
        }
        stage({RoomChange::update, std::string{id}, position, parts, {chain.epoch}});
        return {};
    }
    [[nodiscard]] std::error_code reset(std::string_view id, const Id& epoch) {
        Chain chain = chain_of(id);
        chain.epoch = epoch;
        const auto number = write(chain, {.kind = RoomChange::reset, .id = id});
        if (number) stage({RoomChange::reset, std::string{id}, *number, 1, {epoch}});
        return number.error();
    }
    [[nodiscard]] std::error_code erase(std::string_view id) {
        const Chain chain = chain_of(id);
        if (!chain.live) return {};
        const auto number = write(chain, {.kind = RoomChange::erase, .id = id});
        if (number) stage({RoomChange::erase, std::string{id}, *number, 1, {}});
        return number.error();
    }
    /// A snapshot with this state is stored.   Pre: the room is live, and no staged change begins
    /// or ends its history.
    [[nodiscard]] std::error_code append_state(std::string_view id, const HistoryState& state) {
        Chain chain = chain_of(id);
        chain.epoch = state.epoch;
        const auto number = write(chain, {.kind = RoomChange::state, .id = id, .state = state});
        if (number) stage({RoomChange::state, std::string{id}, *number, 1, state});
        return number.error();
    }

    /// Makes all of it durable, and takes it into the index. Sets the positions, if requested, of
    /// the rooms that it has changed and not erased.
    [[nodiscard]] std::error_code commit(
        std::vector<std::pair<std::string, std::uint64_t>>* positions = nullptr) {
        if (const std::error_code error = log_.commit()) return error;
        std::map<std::string, std::uint64_t> last;
        for (; !staged_.empty(); staged_.pop_front()) {
            const Change& change = staged_.front();
            if (change.kind == RoomChange::erase) last.erase(change.id);
            if (change.kind == RoomChange::update || change.kind == RoomChange::reset)
                last[change.id] = change.number;
            apply(change);
        }
        if (positions != nullptr) positions->assign(last.begin(), last.end());
        histories_.clear();
        return {};
    }

    // ---- what is durable ------------------------------------------------------------------------

    [[nodiscard]] JournalRoomsIndex& index() noexcept { return index_; }
    [[nodiscard]] const JournalRoomsIndex& index() const noexcept { return index_; }
    [[nodiscard]] const Id& id() const noexcept { return log_.journal_id(); }
    [[nodiscard]] std::uint64_t last() const noexcept { return log_.last(); }
    [[nodiscard]] std::uint64_t records() const noexcept { return log_.last() + 1 - log_.base(); }
    [[nodiscard]] std::uint64_t bytes() const noexcept { return bytes_.sum(); }
    /// Whether a change that is not durable yet begins or ends the history of a room.
    [[nodiscard]] bool has_staged_history_change(std::string_view id) const {
        return histories_.contains(id);
    }

    /// Adds the updates of a room behind a position.   Errors: as reading; corrupt.
    [[nodiscard]] std::error_code read(const LoggedRoom& room, std::uint64_t behind,
                                       std::vector<Bytes>& to) {
        for (const LoggedUpdate& update : room.updates) {
            if (update.position <= behind) continue;
            Bytes& whole = to.emplace_back();
            for (std::uint64_t n = update.first(); n <= update.position; ++n) {
                const Result<BytesView> body = log_.read(n);
                if (!body) return body.error();
                const Result<JournalRoomRecord> record = decode_room_record(*body);
                if (!record) return make_error_code(QueueErrc::corrupt);
                whole.insert(whole.end(), record->update.begin(), record->update.end());
            }
        }
        return {};
    }

    // ---- space in the log -----------------------------------------------------------------------

    /// Releases the records that no room needs. If the log is too long, repeats some of the oldest
    /// states that keep it from being released.
    /// Call it after a commit.   Errors: those of the release, which the next call tries again.
    [[nodiscard]] std::error_code release_unneeded() {
        const std::uint64_t needed = index_.oldest().value_or(log_.last() + 1);
        std::error_code error;
        if (needed > log_.base()) error = log_.ack(needed - 1);
        bytes_.release(needed - 1);
        if (!is_long()) return error;
        std::vector<std::pair<std::string, HistoryState>> again;
        index_.by_age([&](const std::string& id, const LoggedRoom& room) {
            if (room.life != LoggedRoom::Life::live || !room.pinned_by_state()) return false;
            again.emplace_back(id, room.state);
            return again.size() < states_in_a_call;
        });
        for (const auto& [id, state] : again) {
            if (const std::error_code full = append_state(id, state)) return full;
        }
        return error;
    }
    /// The rooms whose updates hold up the log, if it is too long, the oldest first.
    [[nodiscard]] std::vector<std::string> rooms_to_save() const {
        std::vector<std::string> found;
        if (!is_long()) return found;
        std::size_t looked_at = 0;
        index_.by_age([&](const std::string& id, const LoggedRoom& room) {
            const bool waits =
                !room.pinned_by_state() && room.saved < room.updates.front().position;
            if (room.life == LoggedRoom::Life::live && waits) found.push_back(id);
            return found.size() < rooms_to_save_max && ++looked_at < states_in_a_call;
        });
        return found;
    }

private:
    struct Change {
        RoomChange kind;
        std::string id;
        std::uint64_t number;
        std::uint64_t parts;
        HistoryState state;
        std::uint64_t sequence = 0;
    };
    /// The room's former records, which a record continues.
    struct Chain {
        std::uint64_t* newest;  // null: it is the first record of an unknown room
        Id epoch;
        bool live;
    };
    /// A room whose history a change that is not durable yet begins or ends.
    struct Staged {
        bool live;
        Id epoch;
        std::uint64_t newest;
    };
    /// The opening of a log, record by record.
    struct Replay {
        /// An update of which some records were read.
        struct Joining {
            std::string id;
            std::uint32_t parts = 0;
            std::uint32_t next = 0;
            std::uint64_t newest = 0;
        };

        std::optional<Joining> joining{};
        std::uint64_t first = 0;            // the sequence of the oldest record; 0: none was read
        std::set<std::uint64_t> damaged{};  // the sequences of damaged records of unknown rooms
        std::uint64_t damaged_records = 0;

        void take(JournalRoomsLog& log, const JournalRoomRecord& record, std::uint64_t number) {
            if (first == 0) begin_at(record.sequence);
            log.sequence_ = std::max(log.sequence_, record.sequence);
            const bool lost = shows_loss(log.index_.known(record.id), record);
            join(log, record, number);
            LoggedRoom* const room = log.index_.known(record.id);
            if (room == nullptr) return;
            room->newest = std::max(room->newest, record.sequence);
            const bool begins_or_ends =
                record.kind == RoomChange::reset || record.kind == RoomChange::erase;
            const std::uint64_t behind = record.sequence - record.previous;
            const std::uint64_t lost_at = number - std::min(number, behind);
            if (!lost || begins_or_ends || room->covered >= lost_at) return;
            room->loss = LoggedRoom::Loss::certain;
            room->lost_at = lost_at;
            room->last = std::max(room->last, lost_at);
        }
        /// The damaged records before the first one that was read have the sequences before its.
        void begin_at(std::uint64_t sequence) {
            first = sequence - std::min(sequence - 1, damaged_records);
            for (std::uint64_t lost = first; lost < sequence; ++lost) damaged.insert(lost);
        }
        /// Whether a record shows that the one before it, of the same room, is damaged.
        [[nodiscard]] bool shows_loss(const LoggedRoom* room, const JournalRoomRecord& record) {
            std::uint64_t seen = room != nullptr ? room->newest : 0;
            if (joining && joining->id == record.id) seen = std::max(seen, joining->newest);
            const bool lost = record.previous > seen && record.previous >= first;
            if (lost) damaged.erase(record.previous);
            return lost;
        }
        /// Applies a record, or the update that it completes.
        void join(JournalRoomsLog& log, const JournalRoomRecord& record, std::uint64_t number) {
            std::uint64_t parts = 1;
            if (record.kind == RoomChange::part) {
                if (record.part == 0) joining = Joining{std::string{record.id}, record.parts};
                const bool fits = joining && joining->id == record.id &&
                                  joining->parts == record.parts && joining->next == record.part;
                if (!fits) return joining.reset();
                joining->newest = record.sequence;
                if (++joining->next < record.parts) return;
                parts = record.parts;
            }
            joining.reset();
            log.apply({record.kind, std::string{record.id}, number, parts, record.state,
                       record.sequence});
        }
    };

    static constexpr std::size_t record_bytes_min = 256;
    // So that a commit is not held up for long where there are many rooms.
    static constexpr std::size_t states_in_a_call = 256;
    static constexpr std::size_t rooms_to_save_max = 64;

    [[nodiscard]] std::size_t record_bytes_max() const noexcept {
        if constexpr (HasRecordLimit<Log>) {
            return log_.record_bytes_max();
        } else {
            return ~std::size_t{0};
        }
    }
    // The log contains the states of all rooms, also above its limit, and twice while they are
    // repeated.
    [[nodiscard]] bool is_long() const noexcept {
        const std::uint64_t held = bytes_.sum();
        return held > bytes_max_ && held - bytes_max_ > 2 * index_.states_bytes();
    }
    [[nodiscard]] Chain chain_of(std::string_view id) {
        if (const auto at = histories_.find(id); at != histories_.end())
            return {&at->second.newest, at->second.epoch, at->second.live};
        LoggedRoom* const room = index_.known(id);
        if (room == nullptr) return {nullptr, no_id, false};
        return {&room->newest, room->state.epoch, room->life == LoggedRoom::Life::live};
    }

    [[nodiscard]] Result<std::uint64_t> write(const Chain& chain, JournalRoomRecord record) {
        record.sequence = sequence_ + 1;
        record.previous = chain.newest != nullptr ? *chain.newest : 0;
        record.state.epoch = chain.epoch;
        encode(record, scratch_);
        const Result<std::uint64_t> number = log_.append(scratch_);
        if (number) {
            ++sequence_;
            if (chain.newest != nullptr) *chain.newest = sequence_;
            bytes_.add({*number, logged_bytes(scratch_.size())});
        }
        if (scratch_.capacity() > scratch_bytes_max) scratch_ = Bytes{};
        return number;
    }
    void stage(Change change) {
        change.sequence = sequence_;
        const bool begins = change.kind == RoomChange::reset;
        if (begins || change.kind == RoomChange::erase) {
            histories_.insert_or_assign(change.id, Staged{begins, change.state.epoch, sequence_});
        }
        staged_.push_back(std::move(change));
    }
    void apply(const Change& change) {
        switch (change.kind) {
            case RoomChange::update:
            case RoomChange::part:
                index_.add_update(change.id, change.state.epoch, {change.number, change.parts});
                break;
            case RoomChange::reset:
                index_.reset(change.id, change.number, change.state.epoch);
                break;
            case RoomChange::erase:
                index_.erase(change.id, change.number);
                break;
            case RoomChange::state:
                index_.set_state(change.id, change.number, change.state);
                break;
        }
        std::uint64_t& newest = index_.known(change.id)->newest;
        newest = std::max(newest, change.sequence);
    }

    static constexpr std::size_t scratch_bytes_max = std::size_t{64} << 10;

    Log log_;
    std::uint64_t bytes_max_;
    JournalRoomsIndex index_;
    LogBytes bytes_{};
    std::deque<Change> staged_{};
    // The rooms whose history staged_ begins or ends, after it.
    std::map<std::string, Staged, std::less<>> histories_{};
    std::uint64_t sequence_ = 0;  // of the newest record
    Bytes scratch_{};
};

}}}  // namespace belay::detail
