// SPDX-License-Identifier: MIT
/// \file belay/room/memory_rooms.hpp
/// MemoryRooms: stores rooms in memory, until the process ends.
#pragma once

#include <algorithm>    // std::min
#include <functional>   // std::less
#include <map>          // std::map
#include <optional>     // std::optional
#include <string>       // std::string
#include <string_view>  // std::string_view
#include <utility>      // std::move
#include <vector>       // std::vector

#include <belay/room/detail/staged_rooms.hpp>
#include <belay/room/persistence_like.hpp>

namespace belay { inline namespace BELAY_ABI {

/// The limit of a MemoryRooms.
struct MemoryRoomsOptions {
    /// The maximum number of bytes of all snapshots and updates together. Above it, calls return
    /// no_space_on_device, like a full disk.
    std::size_t bytes_max = std::size_t{1} << 30;
};

/// Stores rooms in memory, for tests and for servers whose documents need not survive them.
///
/// A flush stores changes, as on a disk. Every call is answered before it returns.
///
/// Models:        PersistenceLike.
/// Thread safety: distinct objects safe.
/// Complexity:    each call is logarithmic in the rooms, and linear in the bytes that it moves.
/// Throws:        std::bad_alloc.
class MemoryRooms {
public:
    MemoryRooms() noexcept = default;
    /// Pre: options.bytes_max > 0.
    explicit MemoryRooms(MemoryRoomsOptions options) noexcept : options_{options} {
        BELAY_OPTION(options.bytes_max > 0, "MemoryRoomsOptions: bytes_max must be > 0");
    }

    /// Errors: bad_room_id.
    void load(std::string_view id, Completion<part::LoadedRoom> done) {
        if (!detail::is_room_id(id)) return done(part::LoadedRoom{error(RoomErrc::bad_room_id)});
        const auto at = rooms_.find(id);
        if (at == rooms_.end()) return done(part::LoadedRoom{std::optional<StoredRoom>{}});
        const Room& room = at->second;
        StoredRoom found{room.epoch, room.snapshot, {}, room.last};
        for (const Update& update : room.updates) found.updates.push_back(update.bytes);
        done(part::LoadedRoom{std::optional{std::move(found)}});
    }

    /// Appends an update to a room.   Errors: bad_room_id; unknown_room; no_space_on_device.
    [[nodiscard]] std::error_code append(std::string_view id, BytesView update) {
        if (!detail::is_room_id(id)) return RoomErrc::bad_room_id;
        if (!staged_.has_history(id).value_or(rooms_.contains(id))) return RoomErrc::unknown_room;
        if (update.size() > bytes_left())
            return std::make_error_code(std::errc::no_space_on_device);
        const std::error_code error = staged_.add(detail::StagedChange::append(id, update));
        if (!error) bytes_ += update.size();
        return error;
    }
    /// Errors: bad_room_id.
    [[nodiscard]] std::error_code reset(std::string_view id, const Id& epoch) {
        return staged_.add(detail::StagedChange::reset(id, epoch));
    }
    /// Errors: bad_room_id.
    [[nodiscard]] std::error_code erase(std::string_view id) {
        return staged_.add(detail::StagedChange::erase(id));
    }

    /// Errors: none.
    void flush(Completion<part::FlushedRooms> done) {
        std::map<std::string, std::uint64_t> positions;
        for (detail::StagedChange& change : staged_.take()) {
            change.kind == Kind::erase ? static_cast<void>(positions.erase(change.id))
                                       : static_cast<void>(positions[change.id] = last_ + 1);
            take(change);
        }
        part::FlushedRooms flushed;
        flushed.positions.assign(positions.begin(), positions.end());
        done(std::move(flushed));
    }

    /// Saves a snapshot of a room.   Errors: those of PersistenceLike; no_space_on_device.
    void save(std::string_view id, std::span<const Bytes> snapshot, std::uint64_t covers,
              Completion<PersistenceError> done) {
        done(save_now(id, snapshot, covers));
    }

    /// Errors: none.
    void list(std::string_view after, std::size_t count, Completion<part::ListedRooms> done) {
        std::vector<std::string> ids;
        for (auto at = rooms_.upper_bound(after); at != rooms_.end() && ids.size() < count; ++at) {
            ids.push_back(at->first);
        }
        done(part::ListedRooms{std::move(ids)});
    }

    /// Returns the number of bytes of all snapshots and updates.
    [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }

private:
    using Kind = detail::StagedChange::Kind;
    struct Update {
        std::uint64_t position = 0;
        Bytes bytes{};
    };
    struct Room {
        Id epoch{};
        std::vector<Bytes> snapshot{};
        std::vector<Update> updates{};
        std::uint64_t covers = 0;  // of the snapshot; without one, where the history began
        std::uint64_t last = 0;
    };

    [[nodiscard]] static PersistenceError error(std::error_code code) { return {code, {}, {}}; }
    [[nodiscard]] std::size_t bytes_left() const noexcept {
        return options_.bytes_max - std::min(options_.bytes_max, bytes_);
    }
    void take(detail::StagedChange& change) {
        ++last_;
        if (change.kind == Kind::append) {
            Room& room = rooms_.find(change.id)->second;
            Update& update = room.updates.emplace_back();
            update.position = room.last = last_;
            update.bytes = std::move(change.update);
            return;
        }
        const auto at = rooms_.find(change.id);
        if (at != rooms_.end()) {
            bytes_ -= bytes_of(at->second, last_);
            rooms_.erase(at);
        }
        if (change.kind == Kind::reset) {
            rooms_.try_emplace(std::move(change.id), Room{change.epoch, {}, {}, last_, last_});
        }
    }
    [[nodiscard]] PersistenceError save_now(std::string_view id, std::span<const Bytes> snapshot,
                                            std::uint64_t covers) {
        if (!detail::is_room_id(id)) return error(RoomErrc::bad_room_id);
        const auto at = rooms_.find(id);
        if (at == rooms_.end()) return error(RoomErrc::unknown_room);
        Room& room = at->second;
        if (covers > room.last) return error(RoomErrc::bad_position);
        if (covers < room.covers) return error(RoomErrc::stale_snapshot);
        std::size_t size = 0;
        for (const Bytes& part : snapshot) size += part.size();
        const std::size_t freed = bytes_of(room, covers);
        if (size > bytes_left() + freed) {
            return error(std::make_error_code(std::errc::no_space_on_device));
        }
        room.snapshot.assign(snapshot.begin(), snapshot.end());
        std::erase_if(room.updates, [&](const Update& u) { return u.position <= covers; });
        room.covers = covers;
        bytes_ = bytes_ - freed + size;
        return {};
    }
    /// Returns the number of bytes of the snapshot, and of the updates up to a position.
    [[nodiscard]] static std::size_t bytes_of(const Room& room, std::uint64_t up_to) noexcept {
        std::size_t sum = 0;
        for (const Bytes& part : room.snapshot) sum += part.size();
        for (const Update& update : room.updates) {
            if (update.position <= up_to) sum += update.bytes.size();
        }
        return sum;
    }

    MemoryRoomsOptions options_{};
    std::map<std::string, Room, std::less<>> rooms_{};
    detail::StagedRooms staged_{};
    std::uint64_t last_ = 0;
    std::size_t bytes_ = 0;
};

}}  // namespace belay
