// SPDX-License-Identifier: MIT
/// \file belay/room/detail/journal_rooms_files.hpp
/// The bytes of a JournalRooms: JournalRoomRecord in its log, SnapshotFile, and the directory of
/// these files, with one that names their log. docs/reference/formats/rooms.md specifies the
/// formats.
#pragma once

#include <algorithm>     // std::copy_n, std::min
#include <array>         // std::array
#include <cstddef>       // std::byte, std::ptrdiff_t, std::size_t
#include <cstdint>       // std::uint8_t, std::uint32_t, std::uint64_t
#include <optional>      // std::nullopt, std::optional
#include <span>          // std::span
#include <string>        // std::string
#include <string_view>   // std::string_view
#include <system_error>  // std::error_code
#include <utility>       // std::move
#include <vector>        // std::vector

#include <belay/core/bytes.hpp>
#include <belay/core/crc32c.hpp>
#include <belay/core/detail/hex.hpp>
#include <belay/core/result.hpp>
#include <belay/journal/file_system_like.hpp>
#include <belay/journal/id.hpp>
#include <belay/queue/queue_errc.hpp>
#include <belay/room/persistence_like.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Which history of a room it is, and what stands for its beginning.
struct HistoryState {
    Id epoch{};
    /// The id of the log that `covers` counts in; `no_id`: there is no snapshot.
    Id journal{};
    /// The snapshot replaces the log up to here. Without a snapshot: the start of the history.
    std::uint64_t covers = 0;

    friend bool operator==(const HistoryState&, const HistoryState&) noexcept = default;
};

// ---- the log ------------------------------------------------------------------------------------

enum class RoomChange : std::uint8_t { update = 1, part = 2, reset = 3, erase = 4, state = 5 };

struct JournalRoomRecord {
    RoomChange kind{};
    std::string_view id{};
    std::uint64_t sequence = 0;  // grows from record to record, also in a log that was salvaged
    std::uint64_t previous = 0;  // the sequence of the room's previous record; 0: unknown
    HistoryState state{};        // its epoch; of a state all of it
    std::uint32_t part = 0;      // of an update that is in several records
    std::uint32_t parts = 1;
    BytesView update{};
};

inline constexpr std::byte room_record_mark{'R'};
inline constexpr std::uint8_t room_record_version = 2;
inline constexpr std::size_t room_record_head_bytes = 36;
inline constexpr std::size_t room_part_bytes = 8;
inline constexpr std::size_t room_place_bytes = 24;

/// Returns about how many bytes of the log a record of so many bytes takes.
[[nodiscard]] constexpr std::uint64_t logged_bytes(std::size_t record) noexcept {
    return std::uint64_t{record} + 24;
}

/// Replaces what is in `to`.   Pre: is_room_id(record.id).
inline void encode(const JournalRoomRecord& record, Bytes& to) {
    const std::size_t head = room_record_head_bytes + record.id.size();
    const bool is_part = record.kind == RoomChange::part;
    const std::size_t body = record.kind == RoomChange::state ? room_place_bytes
                             : is_part                        ? room_part_bytes
                                                              : 0;
    to.resize(head + body);
    to[0] = room_record_mark;
    to[1] = static_cast<std::byte>(room_record_version);
    to[2] = static_cast<std::byte>(record.kind);
    to[3] = static_cast<std::byte>(record.id.size());
    store_le(to.data() + 4, record.sequence);
    store_le(to.data() + 12, record.previous);
    std::copy_n(record.state.epoch.begin(), 16, to.data() + 20);
    const BytesView id = as_bytes(record.id);
    std::copy_n(id.begin(), id.size(), to.begin() + room_record_head_bytes);
    if (record.kind == RoomChange::state) {
        std::copy_n(record.state.journal.begin(), 16, to.data() + head);
        store_le(to.data() + head + 16, record.state.covers);
    }
    if (is_part) {
        store_le(to.data() + head, record.part);
        store_le(to.data() + head + 4, record.parts);
    }
    to.insert(to.end(), record.update.begin(), record.update.end());
}

/// Views into `bytes`.   Errors: log_misplaced: no record of rooms; other_version.
[[nodiscard]] inline Result<JournalRoomRecord> decode_room_record(BytesView bytes) noexcept {
    const auto none = make_error_code(RoomErrc::log_misplaced);
    if (bytes.size() < 2 || bytes[0] != room_record_mark) return none;
    if (static_cast<std::uint8_t>(bytes[1]) != room_record_version) {
        return make_error_code(QueueErrc::other_version);
    }
    if (bytes.size() < room_record_head_bytes) return none;
    JournalRoomRecord record;
    const auto kind = static_cast<std::uint8_t>(bytes[2]);
    const auto size = static_cast<std::size_t>(bytes[3]);
    if (kind < 1 || kind > 5 || size > bytes.size() - room_record_head_bytes) return none;
    record.kind = static_cast<RoomChange>(kind);
    record.sequence = load_le<std::uint64_t>(bytes.data() + 4);
    record.previous = load_le<std::uint64_t>(bytes.data() + 12);
    std::copy_n(bytes.begin() + 20, 16, record.state.epoch.begin());
    record.id = as_text(bytes.subspan(room_record_head_bytes, size));
    if (!is_room_id(record.id)) return none;
    const BytesView body = bytes.subspan(room_record_head_bytes + size);
    switch (record.kind) {
        case RoomChange::update:
            record.update = body;
            return record;
        case RoomChange::part:
            if (body.size() < room_part_bytes) return none;
            record.part = load_le<std::uint32_t>(body.data());
            record.parts = load_le<std::uint32_t>(body.data() + 4);
            if (record.parts < 2 || record.part >= record.parts) return none;
            record.update = body.subspan(room_part_bytes);
            return record;
        case RoomChange::reset:
        case RoomChange::erase:
            break;
        case RoomChange::state:
            if (body.size() != room_place_bytes) return none;
            std::copy_n(body.begin(), 16, record.state.journal.begin());
            record.state.covers = load_le<std::uint64_t>(body.data() + 16);
            return record;
    }
    if (!body.empty()) return none;
    return record;
}

// ---- the snapshots ------------------------------------------------------------------------------

/// The contents of a snapshot file.
struct SnapshotFile {
    HistoryState state{};
    std::vector<Bytes> parts{};
};

inline constexpr std::string_view snapshot_mark = "belay.rm";
inline constexpr std::uint32_t snapshot_version = 1;
inline constexpr std::size_t room_state_bytes = 16 + room_place_bytes;
inline constexpr std::size_t snapshot_head_bytes = 32 + room_state_bytes;
inline constexpr std::size_t snapshot_buffer_bytes = std::size_t{64} << 10;

inline void store_state(std::byte* to, const HistoryState& state) noexcept {
    std::copy_n(state.epoch.begin(), 16, to);
    std::copy_n(state.journal.begin(), 16, to + 16);
    store_le(to + 32, state.covers);
}
[[nodiscard]] inline HistoryState load_state(const std::byte* from) noexcept {
    HistoryState state;
    std::copy_n(from, 16, state.epoch.begin());
    std::copy_n(from + 16, 16, state.journal.begin());
    state.covers = load_le<std::uint64_t>(from + 32);
    return state;
}

/// Writes a file from its beginning on, in pieces of `snapshot_buffer_bytes`.
template <class File>
class SnapshotOutput {
public:
    explicit SnapshotOutput(File& file) noexcept : file_{file} {}

    void put(BytesView bytes) {
        while (!bytes.empty() && !error_) {
            const std::size_t count = std::min(bytes.size(), buffer_.size() - used_);
            std::copy_n(bytes.begin(), count, buffer_.begin() + static_cast<std::ptrdiff_t>(used_));
            used_ += count;
            bytes = bytes.subspan(count);
            if (used_ == buffer_.size()) write();
        }
    }
    /// The checksum of all that was put, and the end.
    [[nodiscard]] std::error_code finish() {
        write();
        std::array<std::byte, 4> sum{};
        store_le(sum.data(), crc_);
        put(sum);
        write();
        return error_ ? error_ : file_.sync();
    }

private:
    void write() noexcept {
        const BytesView piece = BytesView{buffer_}.first(used_);
        if (!error_) error_ = file_.write(offset_, piece);
        crc_ = part::crc32c(piece, crc_);
        offset_ += used_;
        used_ = 0;
    }

    File& file_;
    Bytes buffer_ = Bytes(snapshot_buffer_bytes);
    std::size_t used_ = 0;
    std::uint64_t offset_ = 0;
    std::uint32_t crc_ = 0;
    std::error_code error_{};
};

/// Reads a file from its beginning on.
template <class File>
class SnapshotInput {
public:
    explicit SnapshotInput(const File& file) noexcept : file_{file} {}

    /// False at the end of the file, and where it cannot be read: see error().
    [[nodiscard]] bool get(std::span<std::byte> into) {
        while (!into.empty()) {
            if (at_ == used_ && !read()) return false;
            const std::size_t count = std::min(into.size(), used_ - at_);
            const BytesView piece = BytesView{buffer_}.subspan(at_, count);
            std::copy_n(piece.begin(), count, into.begin());
            crc_ = part::crc32c(piece, crc_);
            at_ += count;
            into = into.subspan(count);
        }
        return true;
    }
    [[nodiscard]] std::uint32_t crc() const noexcept { return crc_; }
    [[nodiscard]] std::error_code error() const noexcept { return error_; }

private:
    [[nodiscard]] bool read() {
        buffer_.resize(snapshot_buffer_bytes);
        const Result<std::size_t> count = file_.read(offset_, buffer_);
        if (!count) error_ = count.error();
        at_ = 0;
        used_ = count.value_or(std::size_t{0});
        offset_ += used_;
        return used_ != 0;
    }

    const File& file_;
    Bytes buffer_{};
    std::size_t at_ = 0;
    std::size_t used_ = 0;
    std::uint64_t offset_ = 0;
    std::uint32_t crc_ = 0;
    std::error_code error_{};
};

/// Writes and syncs it.   Complexity: of the bytes.
template <class File>
[[nodiscard]] std::error_code write_snapshot(File& file, std::string_view id,
                                             const HistoryState& state,
                                             std::span<const Bytes> parts) {
    std::array<std::byte, snapshot_head_bytes> head{};
    const BytesView mark = as_bytes(snapshot_mark);
    std::copy_n(mark.begin(), mark.size(), head.begin());
    store_le(head.data() + 8, snapshot_version);
    store_le(head.data() + 12, static_cast<std::uint32_t>(id.size()));
    std::uint64_t bytes = 0;
    for (const Bytes& part : parts) bytes += part.size();
    store_le(head.data() + 16, std::uint64_t{parts.size()});
    store_le(head.data() + 24, bytes);
    store_state(head.data() + 32, state);
    SnapshotOutput output{file};
    output.put(head);
    output.put(as_bytes(id));
    for (const Bytes& part : parts) {
        std::array<std::byte, 8> size{};
        store_le(size.data(), std::uint64_t{part.size()});
        output.put(size);
        output.put(part);
    }
    return output.finish();
}

/// Reads one, and checks that it is of this id; allocates no more than the file is long.
///
/// Errors: snapshot_damaged; snapshot_misplaced: of another room; other_version; those of the
///         disk. `what` is the case in words.
template <class File>
[[nodiscard]] Result<SnapshotFile, PersistenceError> read_snapshot(const File& file,
                                                                   std::string_view id) {
    const auto wrong = [](std::error_code code, std::string what) {
        return PersistenceError{code, {}, std::move(what)};
    };
    const Result<std::uint64_t> length = file.size();
    if (!length) return wrong(length.error(), "");
    SnapshotInput input{file};
    const auto damaged = [&](const char* what) {
        return input.error() ? wrong(input.error(), "") : wrong(RoomErrc::snapshot_damaged, what);
    };
    std::array<std::byte, snapshot_head_bytes> head{};
    if (!input.get(head)) return damaged("the file is too short");
    if (as_text(head).substr(0, 8) != snapshot_mark)
        return damaged("the file does not start as a snapshot");
    if (load_le<std::uint32_t>(head.data() + 8) != snapshot_version) {
        return wrong(make_error_code(QueueErrc::other_version),
                     version_text(load_le<std::uint32_t>(head.data() + 8), snapshot_version));
    }
    const std::uint64_t id_bytes = load_le<std::uint32_t>(head.data() + 12);
    const auto parts = load_le<std::uint64_t>(head.data() + 16);
    const auto bytes = load_le<std::uint64_t>(head.data() + 24);
    const std::uint64_t most = *length;
    if (id_bytes > part::room_id_bytes_max || bytes > most || parts > most / 8 ||
        head.size() + id_bytes + 8 * parts + bytes + 4 != most) {
        return damaged("the length of the file differs from its header");
    }
    std::array<std::byte, part::room_id_bytes_max> own{};
    const std::span<std::byte> own_id = std::span{own}.first(static_cast<std::size_t>(id_bytes));
    if (!input.get(own_id)) return damaged("the file ends too early");
    SnapshotFile found{load_state(head.data() + 32), {}};
    std::uint64_t left = bytes;
    for (std::uint64_t i = 0; i < parts; ++i) {
        std::array<std::byte, 8> size{};
        if (!input.get(size)) return damaged("the file ends too early");
        const auto count = load_le<std::uint64_t>(size.data());
        if (count > left) return damaged("the length of a part is wrong");
        left -= count;
        Bytes& part = found.parts.emplace_back(static_cast<std::size_t>(count));
        if (!input.get(part)) return damaged("the file ends too early");
    }
    const std::uint32_t crc = input.crc();
    std::array<std::byte, 4> sum{};
    if (!input.get(sum)) return damaged("the file ends too early");
    if (left != 0 || load_le<std::uint32_t>(sum.data()) != crc) {
        return damaged("the checksum is wrong");
    }
    if (as_text(own_id) != id)
        return wrong(RoomErrc::snapshot_misplaced, "the snapshot belongs to another room");
    return found;
}

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
        if (!error) error = sync_name(*fs_, path_);
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
