// SPDX-License-Identifier: MIT
/// \file belay/room/journal_rooms.hpp
/// JournalRooms: all rooms of a process in one durable log, and a snapshot file for each.
#pragma once

#include <cstdint>       // std::uint64_t
#include <optional>      // std::optional
#include <string>        // std::string
#include <string_view>   // std::string_view
#include <system_error>  // std::error_code
#include <type_traits>   // std::is_empty_v
#include <utility>       // std::move

#include <belay/room/detail/rooms_directory.hpp>
#include <belay/room/detail/rooms_log.hpp>
#include <belay/room/persistence_like.hpp>

namespace belay { inline namespace BELAY_ABI {

/// How a JournalRooms is opened.
struct JournalRoomsOptions {
    /// When the log holds more than this for the sake of one room, that room is `lagging`. What the
    /// states of all rooms take, about 110 bytes and the id, comes on top twice.
    std::uint64_t log_bytes_max = std::uint64_t{64} << 20;
    /// Whether to take over snapshots that were saved beside another log: for when that one is lost
    /// for good. What it had and no snapshot has is lost with it.
    bool adopt = false;
};

/// What a JournalRooms is like now.
struct JournalRoomsStatus {
    std::uint64_t rooms = 0;        ///< that are stored; some may wait to be removed
    std::uint64_t log_records = 0;  ///< that the log holds
    std::uint64_t log_bytes = 0;    ///< that these take, to some KiB
    /// Why the last flush could not remove what was erased, or give up a part of the log; it is
    /// tried again with the next.
    std::error_code tidying{};
};

/// Rooms in one log, which a flush makes durable with one commit for all of them, and snapshots,
/// each in a file of its own.
///
/// The log must wait for the disk when it commits: Flush::group, or each. It must be nobody else's,
/// and so must the directory of the snapshots, which is not the log's. The files are described in
/// docs/room-storage.md, what survives what, too.
///
/// Models:        PersistenceLike, with `lagging`.
/// Thread safety: distinct objects safe.
/// Blocks:        on the disk, but for `append`, `reset`, `erase` and `list`: these where the log
///                does. Everything is answered inside of the call. OnThread does it elsewhere.
/// Throws:        std::bad_alloc.
template <LogLike Log, FileSystemLike FileSystem>
class JournalRooms {
public:
    /// Opens the rooms whose log is `log` and whose snapshots are in the directory `path`, or
    /// begins there. The file system must outlive them.
    ///
    /// Errors: log_misplaced: the log is not the one that the snapshots were saved beside, an older
    ///         copy of it, or not one of rooms; already_locked; foreign_file; corrupt; those of the
    ///         disk, with their path. Snapshots are not read: a damaged one is an error of `load`.
    /// Complexity: reads the log; keeps some 400 bytes for each room and 16 for each update that no
    ///         snapshot has.
    [[nodiscard]] static Result<JournalRooms, PersistenceError> open(
        FileSystem& fs, std::string path, Log log, JournalRoomsOptions options = {}) {
        JournalRooms rooms{fs, std::move(path), std::move(log), options};
        if (PersistenceError error = rooms.begin(options.adopt)) return error;
        return rooms;
    }
    /// The same, for file systems without state.
    [[nodiscard]] static Result<JournalRooms, PersistenceError> open(
        std::string path, Log log, JournalRoomsOptions options = {})
        requires std::is_empty_v<FileSystem>
    {
        static FileSystem none;
        return open(none, std::move(path), std::move(log), options);
    }

    /// Errors: bad_room_id; snapshot_damaged, snapshot_missing, snapshot_misplaced; corrupt; those
    /// of the disk.   Complexity: of the snapshot and the updates.
    void load(std::string_view id,
              Completion<Result<std::optional<StoredRoom>, PersistenceError>> done) {
        done(loaded(id));
    }

    /// Errors: bad_room_id; unknown_room; those of appending to the log, no space above all.
    [[nodiscard]] Result<std::uint64_t> append(std::string_view id, BytesView update) {
        if (!detail::is_room_id(id)) return make_error_code(RoomErrc::bad_room_id);
        return log_.append(id, update);
    }
    /// Errors: as `append`, but unknown_room.
    [[nodiscard]] Result<std::uint64_t> reset(std::string_view id, const Id& epoch) {
        if (!detail::is_room_id(id)) return make_error_code(RoomErrc::bad_room_id);
        return log_.reset(id, epoch);
    }
    /// Errors: as `reset`.
    [[nodiscard]] std::error_code erase(std::string_view id) {
        if (!detail::is_room_id(id)) return RoomErrc::bad_room_id;
        return log_.erase(id);
    }

    /// One commit of the log; then what was erased is removed, and the log given up as far as
    /// nobody needs it: `status().tidying` says if that fails.
    ///
    /// Errors: those of the commit.
    void flush(Completion<PersistenceError> done) {
        if (const std::error_code error = log_.commit()) return done({error, "the log", {}});
        tidying_ = remove_erased();
        if (const std::error_code error = log_.tidy(); error && !tidying_) tidying_ = error;
        done(PersistenceError{});
    }

    /// Errors: bad_room_id; unknown_room; bad_position; stale_snapshot; those of the disk, and of
    /// appending to the log.   Complexity: of the snapshot.
    void save(std::string_view id, std::span<const Bytes> snapshot, std::uint64_t covers,
              Completion<PersistenceError> done) {
        done(saved(id, snapshot, covers));
    }

    /// Errors: none.
    void list(std::string_view after, std::size_t count,
              Completion<Result<std::vector<std::string>, PersistenceError>> done) {
        done(Result<std::vector<std::string>, PersistenceError>{log_.index().list(after, count)});
    }

    /// The room that holds up the log, if that is too long; see JournalRoomsOptions.
    [[nodiscard]] std::optional<std::string> lagging() const { return log_.lagging(); }

    /// Complexity: O(1).
    [[nodiscard]] JournalRoomsStatus status() const noexcept {
        return {log_.index().size(), log_.records(), log_.bytes(), tidying_};
    }

private:
    JournalRooms(FileSystem& fs, std::string path, Log log, const JournalRoomsOptions& options)
        : log_{std::move(log), options.log_bytes_max}, directory_{fs, std::move(path)} {}

    [[nodiscard]] PersistenceError begin(bool adopt) {
        if (PersistenceError error = directory_.open()) return error;
        if (PersistenceError error = log_.replay()) return error;
        const auto beside = directory_.log();
        const bool other = !beside || (*beside && **beside != log_.id());
        if (other && !adopt) {
            PersistenceError error = beside.error();
            if (!error) error.what = "they were saved beside another";
            if (!error || error.code == RoomErrc::snapshot_damaged) {
                error.code = RoomErrc::log_misplaced;
            }
            if (error.path.empty()) error.path = directory_.path();
            return error;
        }
        for (const std::string& id : directory_.found()) {
            if (log_.index().knows(id)) continue;
            if (PersistenceError error = take_over(id, adopt)) return error;
        }
        directory_.found() = {};
        if (const std::error_code error = log_.commit()) return {error, "the log", {}};
        if (!other && *beside) return {};
        return directory_.set_log(log_.id());
    }
    /// A snapshot of which the log knows nothing.
    [[nodiscard]] PersistenceError take_over(const std::string& id, bool adopt) {
        const std::string path = directory_.file_of(id);
        if (!adopt) {
            return {RoomErrc::log_misplaced, path, "the log knows nothing of this room"};
        }
        const auto file = directory_.load(id);
        if (!file) return file.error();
        // Numbers of an older copy of the log would be given to other updates.
        if (file->state.journal == log_.id()) {
            return {RoomErrc::log_misplaced, path,
                    "the log is an older copy of the one that was there: begin a new one"};
        }
        if (const std::error_code error = log_.state(id, file->state))
            return {error, "the log", {}};
        return {};
    }

    [[nodiscard]] Result<std::optional<StoredRoom>, PersistenceError> loaded(std::string_view id) {
        if (!detail::is_room_id(id)) return PersistenceError{RoomErrc::bad_room_id, {}, {}};
        const detail::LoggedRoom* const room = log_.index().find(id);
        if (room == nullptr) return std::optional<StoredRoom>{};
        StoredRoom found{room->state.epoch, {}, {}, room->last};
        std::uint64_t covered = room->covered;
        if (room->state.journal != no_id || room->saved != 0) {
            Result<detail::SnapshotFile, PersistenceError> file = directory_.load(id);
            if (!file) return file.error();
            if (const char* const what = misplaced(*room, file->state)) {
                return PersistenceError{RoomErrc::snapshot_misplaced, directory_.file_of(id), what};
            }
            if (file->state.journal == log_.id()) covered = file->state.covers;
            found.snapshot = std::move(file->parts);
        }
        found.position = std::max(found.position, covered);
        if (const std::error_code error = log_.read(*room, covered, found.updates)) {
            return PersistenceError{error, "the log", "updates of a room"};
        }
        return std::optional{std::move(found)};
    }
    /// Why a snapshot is not the one that the log speaks of, or one that was saved since.
    [[nodiscard]] const char* misplaced(const detail::LoggedRoom& room,
                                        const detail::HistoryState& file) const noexcept {
        if (file.epoch != room.state.epoch) return "it is of another history of the room";
        if (file.journal != log_.id()) {
            if (file == room.state) return nullptr;
            return "it was saved beside another log";
        }
        if (file.covers > log_.last()) return "the log is an older copy";
        const std::uint64_t known = std::max(room.covered, room.saved);
        return file.covers < known ? "it is an older copy" : nullptr;
    }

    [[nodiscard]] PersistenceError saved(std::string_view id, std::span<const Bytes> snapshot,
                                         std::uint64_t covers) {
        if (!detail::is_room_id(id)) return {RoomErrc::bad_room_id, {}, {}};
        detail::LoggedRoom* const room = log_.index().find(id);
        if (log_.turns(id)) return {RoomErrc::stale_snapshot, {}, "its history ends"};
        if (room == nullptr) return {RoomErrc::unknown_room, {}, {}};
        if (covers > room->last) return {RoomErrc::bad_position, {}, {}};
        if (covers < std::max(room->covered, room->saved)) {
            return {RoomErrc::stale_snapshot, {}, {}};
        }
        const detail::HistoryState state{room->state.epoch, log_.id(), covers};
        if (PersistenceError error = directory_.save(id, state, snapshot)) return error;
        log_.index().saved(*room, covers);
        // Without space for this the log is held up, and the file is good: it is saved again later.
        return {log_.state(id, state), "the log", {}};
    }

    /// Errors: the first; the others are tried again.
    [[nodiscard]] std::error_code remove_erased() {
        std::vector<std::string>& erased = log_.index().erased();
        if (erased.empty()) return {};
        for (const std::string& id : erased) {
            if (log_.index().find(id) != nullptr) continue;
            if (const std::error_code error = directory_.remove(id)) return error;
        }
        if (const std::error_code error = directory_.sync()) return error;
        for (const std::string& id : erased) log_.index().forget(id);
        erased.clear();
        return {};
    }

    detail::RoomsLog<Log> log_;
    detail::RoomsDirectory<FileSystem> directory_;
    std::error_code tidying_{};
};

}}  // namespace belay
