// SPDX-License-Identifier: MIT
/// \file belay/sqlite/rooms.hpp
/// sqlite::Rooms: stores rooms in one SQLite file; needs sqlite3.
/// Link belay::sqlite or -lsqlite3.
#pragma once

#include <algorithm>    // std::copy
#include <cstdint>      // std::int64_t
#include <limits>       // std::numeric_limits
#include <map>          // std::map
#include <optional>     // std::optional
#include <span>         // std::span
#include <string>       // std::string
#include <string_view>  // std::string_view
#include <utility>      // std::move
#include <vector>       // std::vector

#include <belay/core/crc32c.hpp>
#include <belay/core/order.hpp>
#include <belay/core/result.hpp>
#include <belay/room/detail/staged_rooms.hpp>
#include <belay/room/persistence_like.hpp>
#include <belay/sqlite/detail/database.hpp>
#include <belay/sqlite/error.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The SQL statements of a sqlite::Rooms. See there for the format.
class SqliteRoomTables {
public:
    [[nodiscard]] std::error_code open(const std::string& path, bool flushes_each) {
        std::error_code error = db_.open(path, {0x62656C72, 1}, schema, flushes_each);
        if (!error)
            error = db_.prepare(
                {{"SELECT crc, epoch, covers, last, parts, updates FROM room WHERE id=?", head_},
                 {"INSERT OR REPLACE INTO room VALUES (?, ?, ?, ?, ?, ?, ?)", put_head_},
                 {"SELECT crc, body FROM snapshot WHERE id=? ORDER BY number", parts_},
                 {"SELECT crc, position, body FROM room_update WHERE id=? ORDER BY position",
                  updates_},
                 {"INSERT INTO snapshot (id, number, crc, body) VALUES (?, ?, ?, ?)", add_part_},
                 {"INSERT INTO room_update (id, position, crc, body) VALUES (?, ?, ?, ?)",
                  add_update_},
                 {"DELETE FROM room WHERE id=?", drop_head_},
                 {"DELETE FROM snapshot WHERE id=?", drop_parts_},
                 {"DELETE FROM room_update WHERE id=? AND position<=?", drop_updates_},
                 {"UPDATE past SET last=?", put_last_},
                 {"SELECT id FROM room WHERE id>? ORDER BY id LIMIT ?", list_}});
        std::int64_t found[1] = {};
        if (!error) error = db_.ask("SELECT last FROM past", found);
        last_ = found[0];
        return error;
    }

    [[nodiscard]] Result<bool> has(std::string_view id) {
        const Result<std::optional<Head>> head = read_head(id);
        if (!head) return head.error();
        return head->has_value();
    }
    [[nodiscard]] Result<std::optional<StoredRoom>> load(std::string_view id) {
        const Result<std::optional<Head>> head = read_head(id);
        if (!head) return head.error();
        if (!*head) return std::optional<StoredRoom>{};
        StoredRoom room{(*head)->epoch, {}, {}, static_cast<std::uint64_t>((*head)->last)};
        std::int64_t number = 0;
        const auto take_part = [&](const SqliteRun& run) -> std::error_code {
            const BytesView body = run.bytes(1);
            if (run.number(0) != check(id, number++, body)) return damaged();
            room.snapshot.emplace_back(body.begin(), body.end());
            return {};
        };
        const auto take_update = [&](const SqliteRun& run) -> std::error_code {
            const BytesView body = run.bytes(2);
            if (run.number(0) != check(id, run.number(1), body)) return damaged();
            room.updates.emplace_back(body.begin(), body.end());
            return {};
        };
        if (const auto error = db_.each_row(parts_, take_part, as_bytes(id))) return error;
        if (const auto error = db_.each_row(updates_, take_update, as_bytes(id))) return error;
        // A missing row would be a missing edit.
        if (static_cast<std::int64_t>(room.snapshot.size()) != (*head)->parts ||
            static_cast<std::int64_t>(room.updates.size()) != (*head)->updates) {
            return damaged();
        }
        return std::optional{std::move(room)};
    }

    /// Stores all of the changes, or none. Adds the last position of each room that they leave.
    [[nodiscard]] std::error_code store(
        std::span<const StagedChange> changes,
        std::vector<std::pair<std::string, std::uint64_t>>& positions) {
        const std::size_t before = positions.size();
        const std::error_code failed = db_.in_one_piece([&]() -> std::error_code {
            std::map<std::string_view, std::optional<Head>> heads;
            for (const StagedChange& change : changes) {
                auto at = heads.find(change.id);
                if (at == heads.end()) {
                    Result<std::optional<Head>> head = read_head(change.id);
                    if (!head) {
                        // A damaged room may still be erased, or reset.
                        const bool given_up = change.kind != StagedChange::Kind::append &&
                                              head.error() == QueueErrc::corrupt;
                        if (!given_up || !db_.in_transaction()) return head.error();
                        head = std::optional<Head>{};
                    }
                    at = heads.emplace(change.id, *head).first;
                }
                if (const std::error_code error = take(change, at->second)) return error;
            }
            for (const auto& [id, head] : heads) {
                if (!head) continue;
                if (const std::error_code error = write_head(id, *head)) return error;
                positions.emplace_back(id, static_cast<std::uint64_t>(head->last));
            }
            return db_.write(put_last_, last_);
        });
        if (failed) positions.resize(before);
        return failed;
    }
    [[nodiscard]] std::error_code save(std::string_view id, std::span<const Bytes> snapshot,
                                       std::uint64_t covers) {
        return db_.in_one_piece([&]() -> std::error_code {
            const Result<std::optional<Head>> found = read_head(id);
            if (!found) return found.error();
            if (!*found) return RoomErrc::unknown_room;
            Head head = **found;
            if (covers > static_cast<std::uint64_t>(head.last)) return RoomErrc::bad_position;
            if (covers < static_cast<std::uint64_t>(head.covers)) return RoomErrc::stale_snapshot;
            head.covers = static_cast<std::int64_t>(covers);
            if (const std::error_code error = db_.write(drop_parts_, as_bytes(id))) return error;
            head.parts = 0;
            for (const Bytes& part : snapshot) {
                const std::int64_t crc = check(id, head.parts, part);
                const std::error_code error =
                    db_.write(add_part_, as_bytes(id), head.parts, crc, BytesView{part});
                if (error) return error;
                ++head.parts;
            }
            if (const std::error_code error = db_.write(drop_updates_, as_bytes(id), head.covers)) {
                return error;
            }
            head.updates -= db_.changes();
            return write_head(id, head);
        });
    }
    [[nodiscard]] Result<std::vector<std::string>> list(std::string_view after, std::size_t count) {
        std::vector<std::string> ids;
        const auto take = [&](const SqliteRun& run) {
            ids.emplace_back(as_text(run.bytes(0)));
            return std::error_code{};
        };
        const std::uint64_t most = smaller(std::uint64_t{count}, std::uint64_t{1} << 40U);
        const std::error_code error =
            db_.each_row(list_, take, as_bytes(after), static_cast<std::int64_t>(most));
        if (error) return error;
        return ids;
    }
    /// Returns SQLite's text for its last failure; "" if there was none.
    [[nodiscard]] const char* last_words() const noexcept { return db_.last_words(); }

private:
    struct Head {
        Id epoch{};
        std::int64_t covers = 0;  // of the snapshot; without one, where the history began
        std::int64_t last = 0;
        std::int64_t parts = 0;
        std::int64_t updates = 0;
    };

    [[nodiscard]] static std::error_code damaged() noexcept {
        return make_error_code(QueueErrc::corrupt);
    }
    /// Returns a checksum that includes the position of the bytes, so that it detects swapped rows,
    /// too.
    [[nodiscard]] static std::int64_t check(std::string_view id, std::int64_t place,
                                            BytesView body) noexcept {
        std::byte head[8];
        store_le(head, static_cast<std::uint64_t>(place));
        return std::int64_t{part::crc32c(body, part::crc32c(as_bytes(id), part::crc32c(head)))};
    }
    [[nodiscard]] static std::int64_t check(std::string_view id, const Head& head) noexcept {
        std::byte numbers[32];
        store_le(numbers, static_cast<std::uint64_t>(head.covers));
        store_le(numbers + 8, static_cast<std::uint64_t>(head.last));
        store_le(numbers + 16, static_cast<std::uint64_t>(head.parts));
        store_le(numbers + 24, static_cast<std::uint64_t>(head.updates));
        return std::int64_t{
            part::crc32c(BytesView{head.epoch}, part::crc32c(as_bytes(id), part::crc32c(numbers)))};
    }
    static constexpr const char* schema =
        "BEGIN; CREATE TABLE room (id BLOB PRIMARY KEY, crc INTEGER NOT NULL, epoch BLOB NOT "
        "NULL, covers INTEGER NOT NULL, last INTEGER NOT NULL, parts INTEGER NOT NULL, updates "
        "INTEGER NOT NULL) WITHOUT ROWID; CREATE TABLE snapshot (id BLOB NOT NULL, number "
        "INTEGER NOT NULL, crc INTEGER NOT NULL, body BLOB NOT NULL, UNIQUE (id, number)); "
        "CREATE TABLE room_update (position INTEGER PRIMARY KEY, id BLOB NOT NULL, crc INTEGER "
        "NOT NULL, body BLOB NOT NULL); CREATE INDEX room_update_of ON room_update (id, "
        "position); CREATE TABLE past (last INTEGER NOT NULL); INSERT INTO past VALUES (0); "
        "PRAGMA application_id=0x62656C72; PRAGMA user_version=1; COMMIT";

    [[nodiscard]] Result<std::optional<Head>> read_head(std::string_view id) {
        std::optional<Head> head;
        const auto take = [&](const SqliteRun& run) -> std::error_code {
            const BytesView epoch = run.bytes(1);
            head = Head{{}, run.number(2), run.number(3), run.number(4), run.number(5)};
            if (epoch.size() != head->epoch.size()) return damaged();
            std::copy(epoch.begin(), epoch.end(), head->epoch.begin());
            return run.number(0) == check(id, *head) ? std::error_code{} : damaged();
        };
        if (const std::error_code error = db_.row(head_, take, as_bytes(id))) return error;
        return head;
    }
    [[nodiscard]] std::error_code write_head(std::string_view id, const Head& head) {
        return db_.write(put_head_, as_bytes(id), check(id, head), BytesView{head.epoch},
                         head.covers, head.last, head.parts, head.updates);
    }
    [[nodiscard]] std::error_code take(const StagedChange& change, std::optional<Head>& head) {
        const BytesView id = as_bytes(change.id);
        const std::int64_t position = ++last_;
        if (change.kind == StagedChange::Kind::append) {
            if (!head) return RoomErrc::unknown_room;
            // The row of `past` has no checksum.
            if (position <= head->last) return damaged();
            head->last = position;
            ++head->updates;
            return db_.write(add_update_, id, position, check(change.id, position, change.update),
                             BytesView{change.update});
        }
        if (const std::error_code error = db_.write(drop_head_, id)) return error;
        if (const std::error_code error = db_.write(drop_parts_, id)) return error;
        constexpr std::int64_t all = std::numeric_limits<std::int64_t>::max();
        if (const std::error_code error = db_.write(drop_updates_, id, all)) return error;
        head.reset();
        if (change.kind == StagedChange::Kind::reset) {
            head = Head{change.epoch, position, position, 0, 0};
        }
        return {};
    }

    // Declared first, because the statements must be destroyed before the database.
    SqliteDatabase db_;
    SqliteStatement head_;
    SqliteStatement put_head_;
    SqliteStatement parts_;
    SqliteStatement updates_;
    SqliteStatement add_part_;
    SqliteStatement add_update_;
    SqliteStatement drop_head_;
    SqliteStatement drop_parts_;
    SqliteStatement drop_updates_;
    SqliteStatement put_last_;
    SqliteStatement list_;
    std::int64_t last_ = 0;  // also of changes that were not stored
};

}}}  // namespace belay::detail

namespace belay { inline namespace BELAY_ABI { namespace sqlite {

/// Options for rooms in SQLite.
struct RoomsOptions {
    /// Whether the changes of a flush or a save are on the medium when it answers. Otherwise they
    /// survive the process, but not a power cut.
    bool flushes_each = true;
    /// The most memory for changes that wait for their flush, in bytes. More changes are rejected:
    /// storage_busy.
    std::size_t unflushed_bytes_max = std::size_t{64} << 20;
};

/// Stores rooms in an SQLite database of their own.
///
///     auto rooms = Rooms::open("boards.db");                  // a Result
///     RoomManager manager{OnThread{std::move(*rooms)}, ...};
///
/// A flush is one transaction for all rooms and changes in it; so is a save. If the data of a room
/// is damaged, each room has a transaction of its own, and the others are stored. A file can be
/// open in one object of one process at a time. All stored data has checksums, because SQLite has
/// none.
///
///     room (id BLOB PRIMARY KEY, crc INTEGER, epoch BLOB, covers, last, parts, updates INTEGER)
///     snapshot (id BLOB, number, crc INTEGER, body BLOB)
///     room_update (position INTEGER PRIMARY KEY, id BLOB, crc INTEGER, body BLOB)
///     past (last INTEGER)
///
/// The database has application_id 0x62656C72 and user_version 1. The crc is a CRC32C. For a body
/// it covers its number or position (8 bytes), the id and the body. For a room it covers covers,
/// last, parts and updates (8 bytes each), the id and the epoch. Numbers are little endian. `past`
/// has the last position that was ever used.
///
/// Models:        PersistenceLike; every call answers before it returns.
/// Thread safety: distinct objects safe. After fork, the child must not use or destroy it.
/// Blocks:        every call, on the disk: use an OnThread where a loop must not wait.
/// Errors:        those of PersistenceLike, and those of SQLite, see Error; QueueErrc::corrupt: the
///                stored data of the room is damaged.
/// Throws:        std::bad_alloc.
class Rooms {
public:
    /// Opens the rooms in the file `path`, or creates it.
    ///
    /// Errors: what, where, and what to do, see Error. A file of another program, or of a later
    ///         version, is rejected, and keeps its contents.
    [[nodiscard]] static Result<Rooms, Error> open(const std::string& path,
                                                   RoomsOptions options = {}) {
        Rooms rooms{path, options};
        std::error_code error;
        if (path.empty() || path.find('\0') != path.npos || options.unflushed_bytes_max == 0) {
            error = make_error_code(QueueErrc::bad_options);
        }
        if (!error) error = rooms.tables_.open(path, options.flushes_each);
        if (error)
            return Error{error, path, rooms.tables_.last_words(), "database of rooms",
                         "sqlite::RoomsOptions"};
        return rooms;
    }

    void load(std::string_view id, Completion<part::LoadedRoom> done) {
        if (!detail::is_room_id(id))
            return done(part::LoadedRoom{failed(make_error_code(RoomErrc::bad_room_id))});
        Result<std::optional<StoredRoom>> found = tables_.load(id);
        if (!found) return done(part::LoadedRoom{failed(found.error())});
        done(part::LoadedRoom{std::move(*found)});
    }

    /// Adds an update to a room; the flush stores it.
    ///
    /// Errors: bad_room_id; unknown_room; update_too_large: beyond a gigabyte, the limit of SQLite;
    ///         storage_busy; those of SQLite when it looks for the room.
    [[nodiscard]] std::error_code append(std::string_view id, BytesView update) {
        if (!detail::is_room_id(id)) return RoomErrc::bad_room_id;
        if (update.size() > update_bytes_max) return RoomErrc::update_too_large;
        std::optional<bool> exists = staged_.has_history(id);
        if (!exists) {
            const Result<bool> stored = tables_.has(id);
            if (!stored) return stored.error();
            exists = *stored;
        }
        if (!*exists) return RoomErrc::unknown_room;
        return staged_.add(detail::StagedChange::append(id, update));
    }
    /// Begins a new, empty history of a room.
    ///
    /// Errors: bad_room_id; storage_busy.
    [[nodiscard]] std::error_code reset(std::string_view id, const Id& epoch) {
        return staged_.add(detail::StagedChange::reset(id, epoch));
    }
    /// Erases a room.
    ///
    /// Errors: bad_room_id; storage_busy.
    [[nodiscard]] std::error_code erase(std::string_view id) {
        return staged_.add(detail::StagedChange::erase(id));
    }

    void flush(Completion<part::FlushedRooms> done) {
        // Also after a failure, changes are not tried again.
        done(detail::flushed_rooms(staged_.take(), make_error_code(QueueErrc::corrupt),
                                   [this](auto changes, auto& flushed) {
                                       const std::error_code error =
                                           tables_.store(changes, flushed.positions);
                                       return error ? failed(error) : PersistenceError{};
                                   }));
    }
    void save(std::string_view id, std::span<const Bytes> snapshot, std::uint64_t covers,
              Completion<PersistenceError> done) {
        std::error_code error;
        if (!detail::is_room_id(id)) error = RoomErrc::bad_room_id;
        for (const Bytes& part : snapshot) {
            if (part.size() > update_bytes_max) error = RoomErrc::update_too_large;
        }
        if (!error) error = tables_.save(id, snapshot, covers);
        done(error ? failed(error) : PersistenceError{});
    }
    void list(std::string_view after, std::size_t count, Completion<part::ListedRooms> done) {
        Result<std::vector<std::string>> found = tables_.list(after, count);
        if (!found) return done(part::ListedRooms{failed(found.error())});
        done(part::ListedRooms{std::move(*found)});
    }

private:
    // SQLite limits a row to 1'000'000'000 bytes, its other columns included.
    static constexpr std::size_t update_bytes_max = 999'999'000;

    Rooms(const std::string& path, const RoomsOptions& options)
        : path_{path}, staged_{options.unflushed_bytes_max} {}

    [[nodiscard]] PersistenceError failed(std::error_code code) const {
        return {code, path_, tables_.last_words()};
    }

    std::string path_;
    detail::SqliteRoomTables tables_{};
    detail::StagedRooms staged_;
};

}}}  // namespace belay::sqlite
