// SPDX-License-Identifier: MIT
/// \file belay/room/journal_rooms.hpp
/// JournalRooms: stores all rooms of a process in one durable log, and a snapshot file for each.
#pragma once

#include <cstdint>       // std::uint64_t
#include <optional>      // std::optional
#include <string>        // std::string
#include <string_view>   // std::string_view
#include <system_error>  // std::error_code
#include <type_traits>   // std::is_empty_v
#include <utility>       // std::move
#include <vector>        // std::vector

#include <belay/room/detail/journal_rooms_files.hpp>
#include <belay/room/detail/journal_rooms_log.hpp>
#include <belay/room/persistence_like.hpp>

namespace belay { inline namespace BELAY_ABI {

/// The options for opening a JournalRooms.
struct JournalRoomsOptions {
    /// The number of bytes that the log may hold. If it holds more because of some rooms, these are
    /// `rooms_to_save`. The log may in addition hold the states of all rooms twice. Each takes
    /// about 110 bytes and the room id.
    std::uint64_t log_bytes_max = std::uint64_t{64} << 20;
    /// Whether to accept snapshots that were saved together with another log. Use it if that log is
    /// lost for good. Changes that were in that log and in no snapshot are lost with it.
    bool adopt = false;
};

/// The current state of a JournalRooms.
struct JournalRoomsStatus {
    std::uint64_t rooms = 0;        ///< rooms that are stored; some may wait to be removed
    std::uint64_t log_records = 0;  ///< records that the log holds
    std::uint64_t log_bytes = 0;    ///< bytes that these records take, to some KiB
    /// Why the last flush could not remove erased rooms, or release a part of the log. The next
    /// flush tries again.
    std::error_code tidying{};
    std::uint64_t damaged_records = 0;  ///< records of the log that opening could not read
};

/// Stores the changes of all rooms in one log, and the snapshot of each room in its own file.
///
/// A flush makes the changes of all rooms durable with one commit of the log. The log must wait for
/// the disk when it commits, as with Flush::group or Flush::each. Nothing else may use the log, or
/// the directory of the snapshots. The log must be in another directory.
/// docs/reference/formats/rooms.md describes the files.
///
/// Models:        PersistenceLike, with `rooms_to_save`.
/// Thread safety: distinct objects safe.
/// Blocks:        on the disk; `append`, `reset`, `erase` and `list` block only where the log does.
///                Every call is answered before it returns. OnThread makes the calls on another
///                thread.
/// Throws:        std::bad_alloc.
template <LogLike Log, FileSystemLike FileSystem>
class JournalRooms {
public:
    /// Opens the rooms whose log is `log` and whose snapshots are in the directory `path`, or
    /// begins there. The file system must outlive the rooms.
    ///
    /// Errors:
    /// - log_misplaced: the log is not the one that the snapshots were saved with, is an older copy
    ///   of that log, or is not a log of rooms;
    /// - already_locked; foreign_file; corrupt; bad_options;
    /// - those of the disk, with their path.
    ///
    /// Without `adopt`, opening reads no snapshots, so a damaged one is an error of `load`.
    ///
    /// A damaged record of the log is counted in `status()`, if the log opens and reports it: see
    /// Verify::skip_damage. Each room that it may have been of has a `StoredRoom::loss` until its
    /// next `save`.
    ///
    /// Complexity: reads the log; keeps about 400 bytes for each room, and 16 bytes for each update
    /// that no snapshot covers.
    [[nodiscard]] static Result<JournalRooms, PersistenceError> open(
        FileSystem& fs, std::string path, Log log, JournalRoomsOptions options = {}) {
        if (options.log_bytes_max == 0)
            return PersistenceError{QueueErrc::bad_options, std::move(path),
                                    "JournalRoomsOptions: log_bytes_max must be > 0"};
        JournalRooms rooms{fs, std::move(path), std::move(log), options};
        if (PersistenceError error = rooms.begin(options.adopt)) return error;
        return rooms;
    }
    /// Opens the rooms on a file system without state.
    [[nodiscard]] static Result<JournalRooms, PersistenceError> open(
        std::string path, Log log, JournalRoomsOptions options = {})
        requires std::is_empty_v<FileSystem>
    {
        static FileSystem none;
        return open(none, std::move(path), std::move(log), options);
    }

    /// Loads a room.
    /// Errors: bad_room_id; snapshot_damaged, snapshot_missing, snapshot_misplaced; corrupt; those
    /// of the disk.   Complexity: linear in the snapshot and the updates.
    void load(std::string_view id, Completion<part::LoadedRoom> done) { done(load_now(id)); }

    /// Appends an update to a room.
    /// Errors: bad_room_id; unknown_room; those of appending to the log, such as no space.
    [[nodiscard]] std::error_code append(std::string_view id, BytesView update) {
        if (!detail::is_room_id(id)) return RoomErrc::bad_room_id;
        return log_.append(id, update);
    }
    /// Begins the history of a room anew.   Errors: those of `append`, except unknown_room.
    [[nodiscard]] std::error_code reset(std::string_view id, const Id& epoch) {
        if (!detail::is_room_id(id)) return RoomErrc::bad_room_id;
        return log_.reset(id, epoch);
    }
    /// Erases a room.   Errors: those of `reset`.
    [[nodiscard]] std::error_code erase(std::string_view id) {
        if (!detail::is_room_id(id)) return RoomErrc::bad_room_id;
        return log_.erase(id);
    }

    /// Makes all changes before it durable, with one commit of the log.
    ///
    /// Then it removes erased rooms, and releases the part of the log that no room needs. If that
    /// fails, `status().tidying` contains the error.
    ///
    /// Errors: those of the commit.
    void flush(Completion<part::FlushedRooms> done) {
        part::FlushedRooms flushed;
        if (const std::error_code error = log_.commit(&flushed.positions))
            return done(PersistenceError{error, "the log", {}});
        tidying_ = remove_erased();
        if (const std::error_code error = log_.release_unneeded(); error && !tidying_)
            tidying_ = error;
        done(std::move(flushed));
    }

    /// Saves a snapshot of a room.
    /// Errors: bad_room_id; unknown_room; bad_position; stale_snapshot; those of the disk, and of
    /// appending to the log.   Complexity: linear in the snapshot.
    void save(std::string_view id, std::span<const Bytes> snapshot, std::uint64_t covers,
              Completion<PersistenceError> done) {
        done(save_now(id, snapshot, covers));
    }

    /// Lists stored rooms.   Errors: none.
    void list(std::string_view after, std::size_t count, Completion<part::ListedRooms> done) {
        done(part::ListedRooms{log_.index().list(after, count)});
    }

    /// Returns at most 64 rooms that make the log too long, if it is too long; see
    /// JournalRoomsOptions. The one with the oldest unsaved change is the first.
    [[nodiscard]] std::vector<std::string> rooms_to_save() const { return log_.rooms_to_save(); }

    /// Returns the current state.   Complexity: O(1).
    [[nodiscard]] JournalRoomsStatus status() const noexcept {
        return {log_.index().size(), log_.records(), log_.bytes(), tidying_, damaged_records_};
    }

private:
    JournalRooms(FileSystem& fs, std::string path, Log log, const JournalRoomsOptions& options)
        : log_{std::move(log), options.log_bytes_max}, directory_{fs, std::move(path)} {}

    [[nodiscard]] PersistenceError begin(bool adopt) {
        if (PersistenceError error = directory_.open()) return error;
        auto damaged = log_.replay();
        if (!damaged) return damaged.error();
        damaged_records_ = *damaged;
        const auto beside = directory_.log();
        const bool other = !beside || (*beside && **beside != log_.id());
        if (other && !adopt) {
            PersistenceError error = beside.error();
            if (!error) error.what = "the snapshots were saved with another log";
            if (!error || error.code == RoomErrc::snapshot_damaged) {
                error.code = RoomErrc::log_misplaced;
            }
            if (error.where.empty()) error.where = directory_.path();
            return error;
        }
        for (const std::string& id : directory_.found()) {
            if (log_.index().known(id) != nullptr) continue;
            if (PersistenceError error = take_over(id, adopt)) return error;
        }
        directory_.found() = {};
        if (const std::error_code error = log_.commit()) return {error, "the log", {}};
        if (!other && *beside) return {};
        return directory_.set_log(log_.id());
    }
    /// Adopts a room that has a snapshot but is not in the log; an error unless `adopt`.
    [[nodiscard]] PersistenceError take_over(const std::string& id, bool adopt) {
        const std::string path = directory_.file_of(id);
        if (!adopt) {
            return {RoomErrc::log_misplaced, path, "the log has no record of this room"};
        }
        const auto file = directory_.load(id);
        if (!file) return file.error();
        // An older copy of the log would give numbers that were already used to other updates.
        if (file->state.journal == log_.id()) {
            return {RoomErrc::log_misplaced, path, "the log is an older copy; open a new log"};
        }
        if (const std::error_code error = log_.append_state(id, file->state))
            return {error, "the log", {}};
        return {};
    }

    [[nodiscard]] part::LoadedRoom load_now(std::string_view id) {
        if (!detail::is_room_id(id)) return PersistenceError{RoomErrc::bad_room_id, {}, {}};
        const detail::LoggedRoom* const room = log_.index().find(id);
        if (room == nullptr) return std::optional<StoredRoom>{};
        StoredRoom found{room->state.epoch, {}, {}, room->last, loss_of(*room)};
        std::uint64_t covered = room->covered;
        if (room->begins_unseen) {
            Result<detail::SnapshotFile, PersistenceError> file = directory_.load(id);
            if (!file && file.error().code != RoomErrc::snapshot_missing) return file.error();
            if (file && file->state.epoch == room->state.epoch) {
                if (file->state.journal == log_.id()) covered = file->state.covers;
                found.snapshot = std::move(file->parts);
            }
        } else if (room->state.journal != no_id || room->saved != 0) {
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
            return PersistenceError{error, "the log", "the updates of a room"};
        }
        return std::optional{std::move(found)};
    }
    [[nodiscard]] static PersistenceError loss_of(const detail::LoggedRoom& room) {
        if (room.loss == detail::LoggedRoom::Loss::none) return {};
        return {RoomErrc::record_damaged, "the log",
                room.loss == detail::LoggedRoom::Loss::certain
                    ? "a record of the room is damaged"
                    : "a record is damaged, and the room has none after it"};
    }
    /// Returns why a snapshot is neither the one that the log names nor one that was saved since;
    /// null if it is one of them.
    [[nodiscard]] const char* misplaced(const detail::LoggedRoom& room,
                                        const detail::HistoryState& file) const noexcept {
        if (file.epoch != room.state.epoch)
            return "the snapshot belongs to another history of the room";
        if (file.journal != log_.id()) {
            if (file == room.state) return nullptr;
            return "the snapshot was saved with another log";
        }
        if (file.covers > log_.last()) return "the log is an older copy";
        const std::uint64_t known = std::max(room.covered, room.saved);
        return file.covers < known ? "the snapshot is an older copy" : nullptr;
    }

    [[nodiscard]] PersistenceError save_now(std::string_view id, std::span<const Bytes> snapshot,
                                            std::uint64_t covers) {
        if (!detail::is_room_id(id)) return {RoomErrc::bad_room_id, {}, {}};
        detail::LoggedRoom* const room = log_.index().find(id);
        if (log_.has_staged_history_change(id))
            return {RoomErrc::stale_snapshot, {}, "the history of the room is ending"};
        if (room == nullptr) return {RoomErrc::unknown_room, {}, {}};
        if (covers > room->last) return {RoomErrc::bad_position, {}, {}};
        if (covers < std::max(room->covered, room->saved)) {
            return {RoomErrc::stale_snapshot, {}, {}};
        }
        const detail::HistoryState state{room->state.epoch, log_.id(), covers};
        if (PersistenceError error = directory_.save(id, state, snapshot)) return error;
        log_.index().note_saved(*room, covers);
        // Without space for this record the log cannot be released, but the file is good. The room
        // is saved again later.
        return {log_.append_state(id, state), "the log", {}};
    }

    /// Removes the snapshots of erased rooms. The next flush tries again what could not be removed.
    /// Errors: the first one.
    [[nodiscard]] std::error_code remove_erased() {
        std::vector<std::string>& erased = log_.index().erased();
        if (erased.empty()) return {};
        std::error_code first;
        std::vector<std::string> failed;
        std::vector<std::string> removed;
        for (const std::string& id : erased) {
            const bool exists = log_.index().find(id) != nullptr;
            const std::error_code error = exists ? std::error_code{} : directory_.remove(id);
            if (!first) first = error;
            (error ? failed : removed).push_back(id);
        }
        if (const std::error_code error = directory_.sync()) return first ? first : error;
        for (const std::string& id : removed) log_.index().forget(id);
        erased = std::move(failed);
        return first;
    }

    detail::JournalRoomsLog<Log> log_;
    detail::JournalRoomsDirectory<FileSystem> directory_;
    std::error_code tidying_{};
    std::uint64_t damaged_records_ = 0;
};

}}  // namespace belay
