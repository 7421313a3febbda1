// SPDX-License-Identifier: MIT
/// \file belay/sqlite/rooms.hpp
/// sqlite::Rooms: stores rooms in one SQLite file; needs sqlite3.
/// Link belay::sqlite or -lsqlite3.
#pragma once

#include <string>       // std::string
#include <string_view>  // std::string_view
#include <utility>      // std::move
#include <vector>       // std::vector

#include <belay/room/persistence_like.hpp>
#include <belay/sqlite/detail/room_tables.hpp>
#include <belay/sqlite/error.hpp>

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
/// A flush is one transaction for all rooms and changes in it; so is a save. A file can be open in
/// one object of one process at a time. All stored data has checksums, because SQLite has none.
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
        return stage({.kind = Kind::append,
                      .id = std::string{id},
                      .update = {update.begin(), update.end()}});
    }
    /// Begins a new, empty history of a room.
    ///
    /// Errors: bad_room_id; storage_busy.
    [[nodiscard]] std::error_code reset(std::string_view id, const Id& epoch) {
        if (!detail::is_room_id(id)) return RoomErrc::bad_room_id;
        return stage({.kind = Kind::reset, .id = std::string{id}, .epoch = epoch});
    }
    /// Erases a room.
    ///
    /// Errors: bad_room_id; storage_busy.
    [[nodiscard]] std::error_code erase(std::string_view id) {
        if (!detail::is_room_id(id)) return RoomErrc::bad_room_id;
        return stage({.kind = Kind::erase, .id = std::string{id}});
    }

    void flush(Completion<part::FlushedRooms> done) {
        part::FlushedRooms flushed;
        // Also after a failure, changes are not tried again.
        const std::vector<detail::StagedChange> changes = staged_.take();
        if (!changes.empty()) {
            if (const std::error_code error = tables_.store(changes, flushed.positions))
                flushed = failed(error);
        }
        done(std::move(flushed));
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
    using Kind = detail::StagedChange::Kind;

    // SQLite limits a row to 1'000'000'000 bytes, its other columns included.
    static constexpr std::size_t update_bytes_max = 999'999'000;

    Rooms(const std::string& path, const RoomsOptions& options) : options_{options}, path_{path} {}

    [[nodiscard]] PersistenceError failed(std::error_code code) const {
        return {code, path_, tables_.last_words()};
    }
    [[nodiscard]] std::error_code stage(detail::StagedChange change) {
        const std::size_t size = change.size();
        if (size > options_.unflushed_bytes_max ||
            staged_.bytes() > options_.unflushed_bytes_max - size) {
            return RoomErrc::storage_busy;
        }
        staged_.add(std::move(change));
        return {};
    }

    RoomsOptions options_;
    std::string path_;
    detail::SqliteRoomTables tables_{};
    detail::StagedRooms staged_{};
};

}}}  // namespace belay::sqlite
