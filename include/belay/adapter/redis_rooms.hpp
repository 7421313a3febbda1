// SPDX-License-Identifier: MIT
/// \file belay/adapter/redis_rooms.hpp
/// redis::Rooms: stores rooms in Redis, for several servers at a time; needs hiredis.
#pragma once

#include <cstdint>       // std::uint64_t
#include <memory>        // std::unique_ptr
#include <span>          // std::span
#include <string>        // std::string
#include <string_view>   // std::string_view
#include <system_error>  // std::error_code
#include <utility>       // std::exchange, std::move

#include <belay/adapter/detail/redis_room_worker.hpp>
#include <belay/core/detail/expect_options.hpp>

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
/// - A snapshot never covers entries that another server has appended after the last one read here,
///   regardless of the position that `save` is given.
///
/// All calls run on a thread of its own, one after the other, over two connections.
///
/// Models:        PersistenceLike, FanoutLike.
/// Thread safety: one thread at a time; Completions are answered on the other.
/// Blocks:        only in the destructor, for one call.
/// Throws:        std::bad_alloc; std::system_error if there are no descriptors.
/// Memory:        the calls that wait, about 200 bytes for each room that was loaded or changed,
///                and 16 for each own update that no snapshot covers.
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
        if (auto error = refused(id, 0)) return done(part::LoadedRoom{std::move(error)});
        worker_->post(Work::Load{std::string{id}, std::move(done)}, 0);
    }
    /// Adds an update to a room; the flush stores it.
    ///
    /// Errors: bad_room_id; storage_busy. The flush reports a room that does not exist.
    [[nodiscard]] Result<std::uint64_t> append(std::string_view id, BytesView update) {
        return stage(Change::Kind::append, id, no_id, update);
    }
    /// Begins a new, empty history of a room.
    ///
    /// Errors: bad_room_id; storage_busy.
    [[nodiscard]] Result<std::uint64_t> reset(std::string_view id, const Id& epoch) {
        return stage(Change::Kind::reset, id, epoch, {});
    }
    /// Begins a history of a room, unless another server has begun one.
    ///
    /// Errors: bad_room_id; storage_busy.
    [[nodiscard]] Result<std::uint64_t> begin(std::string_view id, const Id& epoch, bool again) {
        auto begun = stage(Change::Kind::begin, id, epoch, {});
        if (begun) staged_.changes.back().again = again;
        return begun;
    }
    /// Erases a room.
    ///
    /// Errors: bad_room_id; storage_busy.
    [[nodiscard]] std::error_code erase(std::string_view id) {
        if (const auto error = refused(id, 0)) return error.code;
        staged_.changes.push_back({Change::Kind::erase, std::string{id}, 0, no_id, {}, false, {}});
        staged_.changes.back().basis.turn = worker_->positions.turns(id);
        return {};
    }
    /// Stores all changes made before.
    ///
    /// Errors: storage_busy; those of Redis and the system. For single rooms:
    /// - unknown_room, if something was appended to a room that has no history, or has another one
    ///   by now;
    /// - history_reset, if that history was ended on purpose.
    void flush(Completion<PersistenceError> done) {
        detail::RedisStagedChanges staged = std::exchange(staged_, {});
        if (!worker_->takes({}, staged.bytes)) {
            worker_->forget_turns(staged.changes);
            return done(busy());
        }
        worker_->post(Work::Flush{std::move(staged.changes), std::move(done)}, staged.bytes);
    }
    /// Stores a snapshot of a room.
    ///
    /// Errors: those of PersistenceLike; bad_room_id; storage_busy; those of Redis and the system.
    void save(std::string_view id, std::span<const Bytes> snapshot, std::uint64_t covers,
              Completion<PersistenceError> done) {
        std::size_t size = 0;
        for (const Bytes& part : snapshot) size += part.size();
        if (auto error = refused(id, size)) return done(std::move(error));
        worker_->post(
            Work::Save{
                std::string{id}, {snapshot.begin(), snapshot.end()}, covers, std::move(done)},
            size);
    }
    /// Lists the ids of rooms.
    ///
    /// Errors: storage_busy; those of Redis and the system.
    void list(std::string_view after, std::size_t count, Completion<part::ListedRooms> done) {
        if (!worker_->takes(staged_, 0)) return done(part::ListedRooms{busy()});
        worker_->post(Work::List{std::string{after}, count, std::move(done)}, 0);
    }
    /// Sends a message to the servers that are subscribed to a room; sends nothing while too much
    /// waits.
    void publish(std::string_view id, BytesView message) {
        if (refused(id, message.size())) return;
        worker_->post(Work::Publish{std::string{id}, {message.begin(), message.end()}},
                      message.size());
    }
    /// Completes `done` once, when the room has changes after the position `from`, or messages.
    ///
    /// Errors: bad_room_id; storage_busy; those of Redis and the system.
    void subscribe(std::string_view id, std::uint64_t from,
                   Completion<Result<part::FanoutBatch, PersistenceError>> done) {
        if (auto error = refused(id, 0))
            return done(Result<part::FanoutBatch, PersistenceError>{std::move(error)});
        worker_->post(Work::Subscribe{std::string{id}, from, std::move(done)}, 0);
    }

private:
    using Work = detail::RedisRoomWorker;
    using Change = detail::RedisRoomChange;

    [[nodiscard]] static const RoomsOptions& checked(const RoomsOptions& options) {
        detail::expect_options(options.check(),
                               {{"port", std::uint64_t{options.port}},
                                {"connect_timeout", options.connect_timeout},
                                {"command_timeout", options.command_timeout},
                                {"retry_after", options.retry_after},
                                {"end_is_known", options.end_is_known},
                                {"calls_max", options.calls_max},
                                {"bytes_max", options.bytes_max},
                                {"news_entries_max", options.news_entries_max},
                                {"news_bytes_max", options.news_bytes_max},
                                {"messages_max", options.messages_max},
                                {"messages_bytes_max", options.messages_bytes_max}});
        return options;
    }
    [[nodiscard]] static PersistenceError busy() { return {RoomErrc::storage_busy, {}, {}}; }
    [[nodiscard]] PersistenceError refused(std::string_view id, std::size_t bytes) const {
        if (!detail::is_room_id(id)) return {RoomErrc::bad_room_id, {}, {}};
        return worker_->takes(staged_, bytes) ? PersistenceError{} : busy();
    }
    [[nodiscard]] Result<std::uint64_t> stage(Change::Kind kind, std::string_view id,
                                              const Id& epoch, BytesView update) {
        if (const auto error = refused(id, update.size())) return error.code;
        auto [own, basis] = worker_->positions.next(id);
        if (kind != Change::Kind::append) basis = {worker_->positions.turns(id), {}};
        staged_.changes.push_back({kind,
                                   std::string{id},
                                   own,
                                   epoch,
                                   {update.begin(), update.end()},
                                   false,
                                   std::move(basis)});
        staged_.bytes += update.size();
        return own;
    }

    std::unique_ptr<Work> worker_;
    detail::RedisStagedChanges staged_{};
};

}}}  // namespace belay::redis
