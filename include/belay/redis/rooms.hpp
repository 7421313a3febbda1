// SPDX-License-Identifier: MIT
/// \file belay/redis/rooms.hpp
/// redis::Rooms: stores rooms in Redis, for several servers at a time; needs hiredis.
/// Link belay::redis or -lhiredis.
#pragma once

#include <cstdint>       // std::uint64_t
#include <memory>        // std::unique_ptr
#include <span>          // std::span
#include <string>        // std::string
#include <string_view>   // std::string_view
#include <system_error>  // std::error_code
#include <utility>       // std::move

#include <belay/core/detail/expect_options.hpp>
#include <belay/redis/detail/room_worker.hpp>
#include <belay/redis/rooms_status.hpp>

namespace belay { inline namespace BELAY_ABI { namespace redis {

/// Stores rooms in Redis, where several servers share them.
///
/// Each room has a stream of updates and a snapshot. Each server reads what the others append, and
/// publishes to them which clients are present.
///
///     RoomManager rooms{Rooms{{.host = "redis", .password = "…"}}, authorizer};
///
/// - A change is stored when Redis has answered. The setting `appendfsync` decides whether that
///   survives the end of Redis.
/// - While Redis is away or frozen, calls fail after the timeouts of the options, and at once from
///   then on. The connection is tried again automatically. A waiting subscription is notified once
///   per outage.
/// - If Redis loses any data, a subscription reports a gap. Three things are compared: the log of
///   the history, the last entry that was read, and the last own entry. They are compared after
///   something was stored, after Redis was away, and after all of Redis was emptied. An emptied
///   Redis is noticed within `command_timeout` and one call.
///
/// All calls run on a thread of its own, one after the other, over two connections.
///
/// Models:        PersistenceLike, with `rooms_to_save`; FanoutLike.
/// Thread safety: one thread at a time, except `status`; Completions are answered on the other.
/// Blocks:        only in the destructor: for the call that is under way, and to publish the
///                messages that wait, for at most 1 s and one call.
/// Throws:        std::bad_alloc; std::system_error if there are no descriptors.
/// Memory:        the calls and messages that wait. For each room that exists and was loaded or
///                changed, and until the end of this object: about 450 bytes, and up to 130 more
///                while own updates are not saved.
class Rooms {
public:
    /// Constructs the storage; it connects at the first call.
    ///
    /// Pre: options.check() is empty. Call it for options that a user has written.
    explicit Rooms(const RoomsOptions& options = {})
        : worker_{std::make_unique<Work>(checked(options))} {
        worker_->start();
    }
    Rooms(Rooms&&) noexcept = default;
    Rooms& operator=(Rooms&&) noexcept = default;
    ~Rooms() = default;

    /// Loads a room.
    ///
    /// Errors: bad_room_id; storage_busy; those of Redis and the system; snapshot_damaged.
    void load(std::string_view id, Completion<part::LoadedRoom> done) {
        if (const std::error_code error = rejected(id, {}))
            return done(part::LoadedRoom{because(error)});
        worker_->post(Work::Load{std::string{id}, std::move(done)}, id, {});
    }
    /// Adds an update to a room; the flush stores it.
    ///
    /// Errors: bad_room_id; storage_busy. The flush reports a room that does not exist.
    [[nodiscard]] std::error_code append(std::string_view id, BytesView update,
                                         const part::ChangeId& change = {}) {
        return stage({Change::Kind::append, std::string{id}, {}, to_bytes(update), change});
    }
    /// Begins a new, empty history of a room.
    ///
    /// Errors: bad_room_id; storage_busy.
    [[nodiscard]] std::error_code reset(std::string_view id, const Id& epoch) {
        return stage({.kind = Change::Kind::reset, .id = std::string{id}, .epoch = epoch});
    }
    /// Begins a history of a room, unless another server has begun one.
    ///
    /// Errors: bad_room_id; storage_busy.
    [[nodiscard]] std::error_code begin(std::string_view id, const Id& epoch, bool again) {
        return stage(
            {.kind = Change::Kind::begin, .id = std::string{id}, .epoch = epoch, .again = again});
    }
    /// Erases a room.
    ///
    /// Errors: bad_room_id; storage_busy.
    [[nodiscard]] std::error_code erase(std::string_view id) {
        return stage({.kind = Change::Kind::erase, .id = std::string{id}});
    }
    /// Stores all changes made before.
    ///
    /// Errors: storage_busy; those of Redis and the system. For single rooms:
    /// - unknown_room, if something was appended to a room that has no history, or has another one;
    /// - history_reset, if that history was ended on purpose.
    void flush(Completion<part::FlushedRooms> done) {
        if (!worker_->post_flush(staged_, done)) done(because(RoomErrc::storage_busy));
    }
    /// Stores a snapshot of a room.
    ///
    /// Errors: those of PersistenceLike; bad_room_id; storage_busy; those of Redis and the system.
    void save(std::string_view id, std::span<const Bytes> snapshot, std::uint64_t covers,
              Completion<PersistenceError> done) {
        detail::CallBytes size;
        for (const Bytes& part : snapshot) size.snapshots += part.size();
        if (const std::error_code error = rejected(id, size)) return done(because(error));
        worker_->post(
            Work::Save{
                std::string{id}, {snapshot.begin(), snapshot.end()}, covers, std::move(done)},
            id, size);
    }
    /// Lists the ids of rooms.
    ///
    /// Errors: storage_busy; those of Redis and the system.
    void list(std::string_view after, std::size_t count, Completion<part::ListedRooms> done) {
        if (!worker_->takes({}, {}))
            return done(part::ListedRooms{because(RoomErrc::storage_busy)});
        worker_->post(Work::List{std::string{after}, count, std::move(done)}, {}, {});
    }
    /// Returns the rooms to which this server has added more than
    /// `RoomsOptions::uncovered_bytes_max` since their last saves. A RoomManager saves them at
    /// once.
    [[nodiscard]] std::vector<std::string> rooms_to_save() const {
        return worker_->rooms_to_save();
    }
    /// Returns the state of the connection, what waits for it, and what was lost.
    ///
    /// Complexity: O(1).   Blocks: never for Redis.
    /// Thread safety: any thread, also while others call members; not during a move or the
    /// destructor.
    [[nodiscard]] RoomsStatus status() const { return worker_->status(); }
    /// Sends a message to the servers that are subscribed to a room.
    ///
    /// Messages do not delay calls. While they wait, a message about a client replaces the one
    /// before, and the oldest messages of a room are dropped above its limits.
    void publish(std::string_view id, BytesView message) {
        if (detail::is_room_id(id)) worker_->publish(id, message);
    }
    /// Completes `done` once, when the room has changes after the position `from` of the history
    /// `epoch`, or messages.
    ///
    /// Errors: bad_room_id; storage_busy; those of Redis and the system.
    void subscribe(std::string_view id, const Id& epoch, std::uint64_t from,
                   Completion<Result<part::FanoutBatch, PersistenceError>> done) {
        if (const std::error_code error = rejected(id, {}))
            return done(Result<part::FanoutBatch, PersistenceError>{because(error)});
        worker_->post(Work::Subscribe{std::string{id}, epoch, from, std::move(done)}, id, {});
    }

private:
    using Work = detail::RedisRoomWorker;
    using Change = detail::StagedChange;

    [[nodiscard]] static const RoomsOptions& checked(const RoomsOptions& options) {
        detail::expect_options(options.check(),
                               {{"port", std::uint64_t{options.port}},
                                {"connect_timeout", options.connect_timeout},
                                {"command_timeout", options.command_timeout},
                                {"retry_after", options.retry_after},
                                {"end_is_known", options.end_is_known},
                                {"calls_max", options.calls_max},
                                {"bytes_max", options.bytes_max},
                                {"calls_per_room_max", options.calls_per_room_max},
                                {"bytes_per_room_max", options.bytes_per_room_max},
                                {"uncovered_bytes_max", options.uncovered_bytes_max},
                                {"reply_bytes_max", options.reply_bytes_max},
                                {"batch_entries_max", options.batch_entries_max},
                                {"batch_bytes_max", options.batch_bytes_max},
                                {"messages_max", options.messages_max},
                                {"messages_bytes_max", options.messages_bytes_max}});
        return options;
    }
    [[nodiscard]] static PersistenceError because(std::error_code error) { return {error, {}, {}}; }
    [[nodiscard]] std::error_code rejected(std::string_view id,
                                           const detail::CallBytes& size) const {
        if (!detail::is_room_id(id)) return RoomErrc::bad_room_id;
        return worker_->takes(id, size) ? std::error_code{} : RoomErrc::storage_busy;
    }
    [[nodiscard]] std::error_code stage(Change change) {
        if (const std::error_code error = rejected(change.id, {.updates = change.update.size()}))
            return error;
        worker_->stage(staged_, std::move(change));
        return {};
    }

    std::unique_ptr<Work> worker_;
    Work::Staged staged_{};
};

}}}  // namespace belay::redis
