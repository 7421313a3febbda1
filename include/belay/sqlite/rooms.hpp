// SPDX-License-Identifier: MIT
/// \file belay/sqlite/rooms.hpp
/// sqlite::Rooms: stores rooms in one SQLite file; needs sqlite3.
/// Link belay::sqlite or -lsqlite3.
#pragma once

#include <functional>   // std::less
#include <map>          // std::map
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
        rooms.last_ = rooms.tables_.last();
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
    [[nodiscard]] Result<std::uint64_t> append(std::string_view id, BytesView update) {
        if (!detail::is_room_id(id)) return make_error_code(RoomErrc::bad_room_id);
        if (update.size() > update_bytes_max) return make_error_code(RoomErrc::update_too_large);
        if (const auto staged = staged_histories_.find(id); staged != staged_histories_.end()) {
            if (!staged->second) return make_error_code(RoomErrc::unknown_room);
        } else {
            const Result<bool> stored = tables_.has(id);
            if (!stored) return stored.error();
            if (!*stored) return make_error_code(RoomErrc::unknown_room);
        }
        return stage({Kind::append, std::string{id}, 0, {}, {update.begin(), update.end()}});
    }
    /// Begins a new, empty history of a room.
    ///
    /// Errors: bad_room_id; storage_busy.
    [[nodiscard]] Result<std::uint64_t> reset(std::string_view id, const Id& epoch) {
        if (!detail::is_room_id(id)) return make_error_code(RoomErrc::bad_room_id);
        return stage({Kind::reset, std::string{id}, 0, epoch, {}});
    }
    /// Erases a room.
    ///
    /// Errors: bad_room_id; storage_busy.
    [[nodiscard]] std::error_code erase(std::string_view id) {
        if (!detail::is_room_id(id)) return RoomErrc::bad_room_id;
        const Result<std::uint64_t> staged = stage({Kind::erase, std::string{id}, 0, {}, {}});
        return staged ? std::error_code{} : staged.error();
    }

    void flush(Completion<PersistenceError> done) {
        std::error_code error;
        if (!staged_.empty()) error = tables_.store(staged_, last_);
        // Also after a failure: changes that were not stored were not accepted, and are not tried
        // again.
        staged_.clear();
        staged_histories_.clear();
        staged_bytes_ = 0;
        done(error ? failed(error) : PersistenceError{});
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
    using Kind = detail::SqliteRoomChange::Kind;

    // SQLite limits a row to 1'000'000'000 bytes, its other columns included.
    static constexpr std::size_t update_bytes_max = 999'999'000;

    Rooms(const std::string& path, const RoomsOptions& options) : options_{options}, path_{path} {}

    [[nodiscard]] PersistenceError failed(std::error_code code) const {
        return {code, path_, tables_.last_words()};
    }
    [[nodiscard]] Result<std::uint64_t> stage(detail::SqliteRoomChange change) {
        const std::size_t size = change.size();
        if (size > options_.unflushed_bytes_max ||
            staged_bytes_ > options_.unflushed_bytes_max - size) {
            return make_error_code(RoomErrc::storage_busy);
        }
        change.position = last_ + 1;
        if (change.kind != Kind::append) {
            staged_histories_.insert_or_assign(change.id, change.kind == Kind::reset);
        }
        staged_.push_back(std::move(change));
        staged_bytes_ += size;
        return ++last_;
    }

    RoomsOptions options_;
    std::string path_;
    detail::SqliteRoomTables tables_{};
    std::vector<detail::SqliteRoomChange> staged_{};
    // Whether the rooms that staged_ begins or erases have a history after it.
    std::map<std::string, bool, std::less<>> staged_histories_{};
    std::size_t staged_bytes_ = 0;
    std::uint64_t last_ = 0;
};

}}}  // namespace belay::sqlite
