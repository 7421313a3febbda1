// SPDX-License-Identifier: MIT
/// \file belay/adapter/redis_rooms.hpp
/// redis::Rooms: rooms in Redis, which several servers have at a time; needs hiredis.
#pragma once

#include <cstdint>       // std::uint64_t
#include <memory>        // std::unique_ptr
#include <span>          // std::span
#include <string>        // std::string
#include <string_view>   // std::string_view
#include <system_error>  // std::error_code
#include <utility>       // std::exchange, std::move

#include <belay/adapter/detail/redis_room_worker.hpp>
#include <belay/core/assert.hpp>

namespace belay { inline namespace BELAY_ABI { namespace redis {

/// Rooms in Redis: of each a stream of updates, and a snapshot. Each server reads what the others
/// append, and tells them who is here.
///
///     RoomManager rooms{Rooms{{.host = "redis", .password = "…"}}, authorizer};
///
/// - Stored is what Redis has answered: whether that survives its end, its `appendfsync` says.
/// - While it is away, or frozen, calls fail after the timeouts of the options, and at once from
///   then on; it is tried again by itself. Subscriptions that wait are told once.
/// - Whatever it loses, a subscription answers a gap: by the log of the history, the last entry
///   that was read, and the last own one. These are compared when something was stored, when Redis
///   was away, and when all of it was emptied, which is found within `command_timeout`, and a call.
/// - A snapshot never covers what another server has appended behind what was read here, whatever
///   position a `save` is given.
///
/// All calls go to a thread of its own, one after the other, over two connections.
///
/// Models:        PersistenceLike, FanoutLike.
/// Thread safety: one thread at a time; Completions are answered on the other.
/// Blocks:        at its end only, for one call.   Throws: std::bad_alloc; std::system_error
///                without descriptors.
/// Memory:        what waits, some 200 bytes for each room that was loaded or changed, and 16 for
///                each own update that no snapshot covers.
class Rooms {
public:
    /// Connects when it is first asked for something.
    /// Pre: prefix, host and limits as RoomsOptions says.
    explicit Rooms(const RoomsOptions& options = {})
        : worker_{std::make_unique<Work>(checked(options))} {
        worker_->start();
    }
    Rooms(Rooms&&) noexcept = default;
    Rooms& operator=(Rooms&&) noexcept = default;
    ~Rooms() = default;

    /// Errors: bad_room_id; storage_busy; those of Redis and the system; snapshot_damaged.
    void load(std::string_view id,
              Completion<Result<std::optional<StoredRoom>, PersistenceError>> done) {
        if (auto error = refused(id, 0))
            return done(Result<std::optional<StoredRoom>, PersistenceError>{std::move(error)});
        worker_->post(Work::Load{std::string{id}, std::move(done)}, 0);
    }
    /// Errors: bad_room_id; storage_busy. That there is no such room the flush says.
    [[nodiscard]] Result<std::uint64_t> append(std::string_view id, BytesView update) {
        return stage(Change::Kind::append, id, no_id, update);
    }
    /// Errors: bad_room_id; storage_busy.
    [[nodiscard]] Result<std::uint64_t> reset(std::string_view id, const Id& epoch) {
        return stage(Change::Kind::reset, id, epoch, {});
    }
    /// Errors: bad_room_id; storage_busy.
    [[nodiscard]] Result<std::uint64_t> begin(std::string_view id, const Id& epoch, bool again) {
        auto begun = stage(Change::Kind::begin, id, epoch, {});
        if (begun) staged_.changes.back().again = again;
        return begun;
    }
    /// Errors: bad_room_id; storage_busy.
    [[nodiscard]] std::error_code erase(std::string_view id) {
        if (const auto error = refused(id, 0)) return error.code;
        staged_.changes.push_back({Change::Kind::erase, std::string{id}, 0, no_id, {}, false, {}});
        staged_.changes.back().basis.turn = worker_->positions.turns(id);
        return {};
    }
    /// Errors: storage_busy; those of Redis and the system. Of single rooms: unknown_room, where
    /// something was appended to a room that has no history, or another one by now; history_reset,
    /// where that was ended on purpose.
    void flush(Completion<PersistenceError> done) {
        detail::RedisRoomStaged staged = std::exchange(staged_, {});
        if (!worker_->takes({}, staged.bytes)) {
            worker_->forget_turns(staged.changes);
            return done(busy());
        }
        worker_->post(Work::Flush{std::move(staged.changes), std::move(done)}, staged.bytes);
    }
    /// Errors: as PersistenceLike says; bad_room_id; storage_busy; those of Redis and the system.
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
    /// Errors: storage_busy; those of Redis and the system.
    void list(std::string_view after, std::size_t count,
              Completion<Result<std::vector<std::string>, PersistenceError>> done) {
        if (!worker_->takes(staged_, 0))
            return done(Result<std::vector<std::string>, PersistenceError>{busy()});
        worker_->post(Work::List{std::string{after}, count, std::move(done)}, 0);
    }
    /// Nothing is sent while too much waits.
    void publish(std::string_view id, BytesView message) {
        if (refused(id, message.size())) return;
        worker_->post(Work::Publish{std::string{id}, {message.begin(), message.end()}},
                      message.size());
    }
    /// Errors: bad_room_id; storage_busy; those of Redis and the system.
    void subscribe(std::string_view id, std::uint64_t from,
                   Completion<Result<part::FanoutNews, PersistenceError>> done) {
        if (auto error = refused(id, 0))
            return done(Result<part::FanoutNews, PersistenceError>{std::move(error)});
        worker_->post(Work::Subscribe{std::string{id}, from, std::move(done)}, 0);
    }

private:
    using Work = detail::RedisRoomWorker;
    using Change = detail::RedisRoomChange;

    [[nodiscard]] static const RoomsOptions& checked(const RoomsOptions& options) {
        const char* const wrong = detail::what_is_wrong(options);
        BELAY_PRECONDITION(wrong == nullptr, "redis::Rooms: the options must be possible");
        static_cast<void>(wrong);
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
    detail::RedisRoomStaged staged_{};
};

}}}  // namespace belay::redis
