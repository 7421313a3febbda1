// SPDX-License-Identifier: MIT
/// \file belay/room/detail/journal_rooms_directory.hpp
/// JournalRoomsDirectory: a snapshot file for each room, and a file that names the log of these
/// snapshots.
#pragma once

#include <cstdint>       // std::uint8_t
#include <optional>      // std::optional
#include <string>        // std::string
#include <string_view>   // std::string_view
#include <system_error>  // std::error_code
#include <utility>       // std::move
#include <vector>        // std::vector

#include <belay/core/detail/hex.hpp>
#include <belay/journal/detail/file_place.hpp>
#include <belay/room/detail/journal_snapshot_file.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Returns the id of a file's name; nothing for a name that belay does not give.
[[nodiscard]] inline std::optional<std::string> id_of_hex(std::string_view hex) {
    const std::optional<Bytes> bytes = bytes_of_hex(hex);
    if (!bytes || !is_room_id(as_text(*bytes))) return std::nullopt;
    return std::string{as_text(*bytes)};
}

/// The directory of the snapshots. Each file is written, synced, renamed, and its name synced, so
/// that it is the one before or the new one at any time.
template <class FileSystem>
class JournalRoomsDirectory {
public:
    JournalRoomsDirectory(FileSystem& fs, std::string path) : fs_{&fs}, path_{std::move(path)} {}

    /// Makes it if need be, and holds its lock; removes what was not finished.
    [[nodiscard]] PersistenceError open() {
        if constexpr (HasAbsolutePaths<FileSystem>) {
            Result<std::string> absolute = fs_->absolute(path_);
            if (!absolute) return at(path_, absolute.error());
            path_ = std::move(*absolute);
        }
        if (const std::error_code error = fs_->create_directory(path_)) return at(path_, error);
        const std::string lock_path = path_ + "/lock";
        Result<typename FileSystem::Lock> lock = fs_->lock(lock_path);
        if (!lock) return at(lock_path, lock.error());
        lock_.emplace(std::move(*lock));
        Result<std::vector<std::string>> names = fs_->list(path_);
        if (!names) return at(path_, names.error());
        for (const std::string& name : *names) {
            std::error_code error;
            if (name.ends_with(unfinished)) error = remove_if_there(*fs_, path_ + '/' + name);
            if (error) return at(path_ + '/' + name, error);
            if (name == log_name) has_log_ = true;
            if (!name.ends_with(suffix)) continue;
            const std::string_view hex = std::string_view{name}.substr(0, name.size() - 5);
            std::optional<std::string> id = id_of_hex(hex);
            if (!id) return at(path_ + '/' + name, make_error_code(QueueErrc::foreign_file));
            ids_.push_back(std::move(*id));
        }
        std::error_code error = fs_->sync_directory(path_);
        if (!error) error = fs_->sync_directory(parent());
        return at(path_, error);
    }
    /// The ids of the snapshots that opening found.
    [[nodiscard]] std::vector<std::string>& found() noexcept { return ids_; }

    /// The id of the log to which the snapshots belong; nothing in a new directory.
    [[nodiscard]] Result<std::optional<Id>, PersistenceError> log() {
        if (!has_log_) return std::optional<Id>{};
        const auto file = load({});
        if (!file) return file.error();
        remember_place();
        return std::optional{file->state.journal};
    }
    [[nodiscard]] PersistenceError set_log(const Id& journal) {
        PersistenceError error = save({}, {{}, journal, 0}, {});
        if (!error) remember_place();
        return error;
    }

    /// Returns no error if the path leads to this directory. The file that names the log shows it:
    /// a copy of the directory has another one.
    ///
    /// Errors: displaced; those of looking.
    [[nodiscard]] std::error_code look() const noexcept {
        return log_file_ ? look_for(*fs_, log_path_, *log_file_) : std::error_code{};
    }

    /// Without an id, it writes the file that names the log.
    /// Errors: those of the disk; the former file is there then.
    [[nodiscard]] PersistenceError save(std::string_view id, const HistoryState& state,
                                        std::span<const Bytes> snapshot) {
        if (const std::error_code error = look()) return at(path_, error);
        const std::string path = file_of(id);
        const std::string fresh = path + std::string{unfinished};
        Result<typename FileSystem::File> file = fs_->open(fresh, OpenMode::replace);
        if (!file) return at(fresh, file.error());
        std::error_code error = write_snapshot(*file, id, state, snapshot);
        if (!error) error = fs_->rename(fresh, path);
        if (!error) error = fs_->sync_directory(path_);
        if (!error) return {};
        // Its space is wanted back; opening removes it otherwise.
        static_cast<void>(fs_->remove(fresh));
        return at(path, error);
    }
    /// Reads the snapshot of a room.   Errors: snapshot_missing; as read_snapshot.
    [[nodiscard]] Result<SnapshotFile, PersistenceError> load(std::string_view id) const {
        if (const std::error_code error = look()) return PersistenceError{error, path_, {}};
        const std::string path = file_of(id);
        const Result<typename FileSystem::File> file = fs_->open(path, OpenMode::read);
        if (file.error() == std::errc::no_such_file_or_directory) {
            return PersistenceError{RoomErrc::snapshot_missing, path, {}};
        }
        if (!file) return at(path, file.error());
        Result<SnapshotFile, PersistenceError> found = read_snapshot(*file, id);
        if (found) return found;
        PersistenceError error = found.error();
        error.where = path;
        return error;
    }
    /// To be made durable by `sync`.   Errors: those of the disk; none if there was none.
    [[nodiscard]] std::error_code remove(std::string_view id) {
        if (const std::error_code displaced = look()) return displaced;
        return remove_if_there(*fs_, file_of(id));
    }
    [[nodiscard]] std::error_code sync() { return fs_->sync_directory(path_); }

    [[nodiscard]] std::string file_of(std::string_view id) const {
        return path_ + '/' +
               (id.empty() ? std::string{log_name} : hex_of(as_bytes(id)) + std::string{suffix});
    }
    [[nodiscard]] const std::string& path() const noexcept { return path_; }

private:
    static constexpr std::string_view suffix = ".room";
    static constexpr std::string_view unfinished = ".unfinished";
    static constexpr std::string_view log_name = "log-of-these.room-log";

    [[nodiscard]] static PersistenceError at(std::string path, std::error_code error) {
        if (!error) return {};
        return {error, std::move(path), {}};
    }
    [[nodiscard]] std::string parent() const {
        const std::size_t end = path_.find_last_not_of('/');
        const std::size_t slash = path_.rfind('/', end);
        if (slash == std::string::npos) return ".";
        return slash == 0 ? "/" : path_.substr(0, slash);
    }

    void remember_place() {
        log_path_ = file_of({});
        const Result<FileIdentity> found = fs_->identity(log_path_);
        log_file_ = found ? std::optional{*found} : std::nullopt;
    }

    FileSystem* fs_;
    std::string path_;
    std::string log_path_;
    std::optional<FileIdentity> log_file_{};  // once it is known
    std::optional<typename FileSystem::Lock> lock_{};
    std::vector<std::string> ids_{};
    bool has_log_ = false;
};

}}}  // namespace belay::detail
