// SPDX-License-Identifier: MIT
/// \file belay/redis/rooms.hpp
/// redis::Rooms: stores rooms in Redis, for several servers at a time; needs hiredis. visit_metrics
/// for its status.
/// Link belay::redis or -lhiredis.
#pragma once

#include <cstddef>       // std::byte, std::size_t
#include <cstdint>       // std::uint8_t, std::uint64_t
#include <memory>        // std::make_shared, std::shared_ptr
#include <optional>      // std::nullopt, std::optional
#include <span>          // std::span
#include <string>        // std::string
#include <string_view>   // std::string_view
#include <system_error>  // std::error_code
#include <utility>       // std::move
#include <vector>        // std::vector

#include <belay/core/detail/expect_options.hpp>
#include <belay/metrics/metric.hpp>
#include <belay/redis/detail/room_subscription.hpp>
#include <belay/room/detail/staged_rooms.hpp>

namespace belay { inline namespace BELAY_ABI { namespace redis {

/// Stores rooms in Redis, where several servers share them.
///
/// Each room has a stream of updates and a snapshot. Each server reads what the others append, and
/// publishes to them which clients are present.
///
///     RoomManager rooms{OnThread{redis::Rooms{{.host = "redis", .password = "…"}}}, authorizer};
///
/// - A change is stored when Redis has answered. The setting `appendfsync` decides whether that
///   survives the end of Redis.
/// - While Redis is away or frozen, calls fail after the timeouts of the options, and at once from
///   then on. The connections are tried again automatically.
/// - If Redis loses any data, a subscription reports a gap. Three things are compared: the log of
///   the history, the last entry that was read, and the last own entry. They are compared after
///   something was stored, after Redis was away, and after all of Redis was emptied. An emptied
///   Redis is noticed within `command_timeout` and one call.
///
/// The calls use one connection, and the subscription uses two.
///
/// Models:        PersistenceLike, with `rooms_to_save`; BlockingFanoutLike. Every call answers
///                before it returns.
/// Thread safety: one thread at a time, except for `status` and `rooms_to_save`, which any thread
///                may call.
/// Blocks:        every call that is answered, on Redis: use an OnThread.
/// Errors:        those of PersistenceLike and of FanoutLike; storage_busy; snapshot_damaged;
///                snapshot_missing; those of Redis, see Errc, and of the system.
/// Throws:        std::bad_alloc; std::system_error if there are no descriptors.
/// Memory:        the changes since the last flush. For each room that exists and was loaded or
///                changed, and until the end of this object: about 500 bytes.
class Rooms {
public:
    /// Constructs the storage; it connects at the first call.
    ///
    /// Pre: options.check() is empty. Call it for options that a user has written.
    explicit Rooms(const RoomsOptions& options = {})
        : options_{checked(options)},
          shared_{std::make_shared<detail::RedisRoomsShared>(options)},
          link_{options, shared_, true} {}

    /// Loads a room. Reads a long stream in several steps, so that no reply is too long, or takes
    /// too long.
    void load(std::string_view id, Completion<part::LoadedRoom> done) { done(load_now(id)); }
    /// Adds an update to a room; the flush stores it.   Errors: bad_room_id; storage_busy.
    [[nodiscard]] std::error_code append(std::string_view id, BytesView update,
                                         const part::ChangeId& change = {}) {
        return staged_.add(Change::append(id, update, change));
    }
    /// Begins a new, empty history of a room.   Errors: bad_room_id; storage_busy.
    [[nodiscard]] std::error_code reset(std::string_view id, const Id& epoch) {
        return staged_.add(Change::reset(id, epoch));
    }
    /// Begins a history, unless another server has begun one.   Errors: bad_room_id; storage_busy.
    [[nodiscard]] std::error_code begin(std::string_view id, const Id& epoch, bool again) {
        return staged_.add(Change::begin(id, epoch, again));
    }
    /// Erases a room.   Errors: bad_room_id; storage_busy.
    [[nodiscard]] std::error_code erase(std::string_view id) {
        return staged_.add(Change::erase(id));
    }
    /// Stores all changes made before: those of each room in their order, and consecutive appends
    /// in one step. A rejection in one room does not affect the others. An outage ends the flush.
    void flush(Completion<part::FlushedRooms> done) {
        const std::vector<Change> changes = staged_.take_by_room();
        part::FlushedRooms flushed;
        for (std::span<const Change> left{changes}; !left.empty();) {
            const std::span<const Change> of_room = detail::changes_of_room(left);
            left = left.subspan(of_room.size());
            const std::string& id = of_room[0].id;
            PersistenceError error = store(of_room, flushed);
            if (error && link_.is_down()) return done(part::FlushedRooms{std::move(error)});
            if (error) {
                // Redis does not report a lost history.
                shared_->logs.suspect(id);
                detail::add_error(flushed.error, id, std::move(error));
            }
        }
        done(std::move(flushed));
    }
    /// Stores a snapshot of a room.
    void save(std::string_view id, std::span<const Bytes> snapshot, std::uint64_t covers,
              Completion<PersistenceError> done) {
        done(save_now(id, snapshot, covers));
    }
    /// Lists the ids of rooms.
    void list(std::string_view after, std::size_t count, Completion<part::ListedRooms> done) {
        std::vector<std::string> ids;
        PersistenceError error = list_now(after, count, ids);
        done(error ? part::ListedRooms{std::move(error)} : part::ListedRooms{std::move(ids)});
    }
    /// Returns the rooms to which this server has added more than
    /// `RoomsOptions::uncovered_bytes_max` since their last saves. A RoomManager saves them at
    /// once.
    [[nodiscard]] std::vector<std::string> rooms_to_save() const {
        return shared_->logs.rooms_to_save();
    }
    /// Returns the state of the connection, and what was lost.   Complexity: O(1).
    [[nodiscard]] RoomsStatus status() const {
        RoomsStatus status = shared_->health.status();
        shared_->logs.count(status);
        return status;
    }
    /// Returns the subscription of a BlockingFanoutLike, with connections of its own.
    [[nodiscard]] detail::RedisRoomSubscription subscription() const { return {options_, shared_}; }

private:
    using Change = detail::StagedChange;
    using Kind = Change::Kind;
    using Keys = detail::RedisRoomKeys;
    using Reply = detail::RedisReply;
    using Text = std::string_view;

    [[nodiscard]] static const RoomsOptions& checked(const RoomsOptions& options) {
        detail::expect_options(options.check(),
                               {{"port", std::uint64_t{options.port}},
                                {"connect_timeout", options.connect_timeout},
                                {"command_timeout", options.command_timeout},
                                {"retry_after", options.retry_after},
                                {"end_is_known", options.end_is_known},
                                {"unflushed_bytes_max", options.unflushed_bytes_max},
                                {"uncovered_bytes_max", options.uncovered_bytes_max},
                                {"reply_bytes_max", options.reply_bytes_max},
                                {"batch_entries_max", options.batch_entries_max},
                                {"batch_bytes_max", options.batch_bytes_max}});
        return options;
    }
    [[nodiscard]] std::string index() const { return options_.prefix + ":rooms"; }
    /// The room has another history by now, or none.
    [[nodiscard]] static PersistenceError gone(const std::string& key, Text answer) {
        if (answer == "over") return {RoomErrc::history_reset, key, {}};
        return {RoomErrc::unknown_room, key, "it has another history, or has none any more",
                "wait: the manager compares the room with the stored one, and stores again what is "
                "missing"};
    }

    // ---- changes -------------------------------------------------------------------------------

    /// A room after a flush: its last position, or 0, and the epoch of its history.
    struct Stored {
        std::uint64_t position = 0;
        Id epoch{};
    };
    /// Stores the changes of one room.
    [[nodiscard]] PersistenceError store(std::span<const Change> changes,
                                         part::FlushedRooms& flushed) {
        const std::string& id = changes[0].id;
        const Keys keys{options_.prefix, id};
        Stored stored;
        while (!changes.empty()) {
            const auto some = detail::changes_at_once(changes, std::size_t{1} << 20);
            PersistenceError error = some[0].kind == Kind::append ? append(keys, some, stored)
                                                                  : turn(keys, some[0], stored);
            if (error) return error;
            changes = changes.subspan(some.size());
        }
        if (stored.position == 0) return {};
        flushed.positions.emplace_back(id, stored.position);
        flushed.epochs.emplace_back(id, stored.epoch);
        return {};
    }
    [[nodiscard]] PersistenceError append(const Keys& keys, std::span<const Change> changes,
                                          Stored& stored) {
        const std::string& id = changes[0].id;
        std::string all;
        std::size_t bytes = 0;
        for (const Change& change : changes) {
            std::byte head[12];
            store_le(head, static_cast<std::uint32_t>(change.update.size()));
            store_le(head + 4, change.change.sequence);
            all += as_text(head);
            all += as_text(change.update);
            bytes += change.update.size();
        }
        const detail::RedisRoomLog known = shared_->logs.of(id);
        const Id& server = changes[0].change.server;
        const Id epoch = continued_.of(id, changes[0].change.epoch);
        Reply reply;
        if (PersistenceError e = link_.eval(
                detail::redis_room_append, keys, reply, known.log, keys.channel, as_text(server),
                all, detail::redis_entry_id(known.acked), as_text(known.server),
                detail::redis_text_of(epoch),
                std::to_string(detail::uniform_below(bits_, detail::redis_sequence_begins))))
            return e;
        if (reply->type != REDIS_REPLY_ARRAY)
            return gone(keys.room, detail::reply_text(reply.get()));
        const auto last = detail::redis_position(detail::reply_text(reply, 1));
        if (!last || !detail::take_redis_id(detail::reply_text(reply, 2), stored.epoch))
            return detail::foreign_redis_key(keys.updates);
        stored.position = *last;
        shared_->logs.begun(id, detail::reply_text(reply, 0));
        shared_->logs.stored(id, *last, server, bytes);
        return {};
    }
    /// Begins or ends a history.
    [[nodiscard]] PersistenceError turn(const Keys& keys, const Change& change, Stored& stored) {
        const std::string keep = std::to_string(options_.end_is_known.count());
        const detail::RedisRoomLog known = shared_->logs.of(change.id);
        Reply reply;
        if (change.kind == Kind::erase) {
            if (PersistenceError e = link_.eval(detail::redis_room_erase, keys, reply, keys.channel,
                                                keep, known.was, known.tried))
                return e;
            stored = {};
            shared_->logs.covered(change.id);
            // Removed from the index after it is erased, because a room that could not be erased
            // must be listed. Another server may have begun it meanwhile, and added it to the index
            // before.
            if (PersistenceError e = link_.ask({"ZREM", index(), change.id}, reply)) return e;
            if (PersistenceError e = link_.ask({"EXISTS", keys.room}, reply)) return e;
            if (reply->integer == 0) return {};
            return link_.ask({"ZADD", index(), "0", change.id}, reply);
        }
        // Added to the index before it begins, because a room that is not listed is not found.
        // Added again after it has begun, because a server that erases a room meanwhile removes it
        // from the index.
        if (PersistenceError e = link_.ask({"ZADD", index(), "0", change.id}, reply)) return e;
        const bool anew = change.kind == Kind::reset;
        // A beginning that was not answered may have been carried out, and even be over by now.
        // With the same log, the retry is the same beginning.
        const std::string log =
            change.again && !known.tried.empty() ? known.tried : detail::redis_fresh_digits(bits_);
        shared_->logs.begins(change.id, log);
        const Text how = anew ? "reset" : change.again ? "again" : "new";
        if (PersistenceError e =
                link_.eval(detail::redis_room_begin, keys, reply, how, as_text(change.epoch), log,
                           keys.channel, keep, known.was, known.tried))
            return e;
        if (reply->type != REDIS_REPLY_ARRAY)
            return gone(keys.room, detail::reply_text(reply.get()));
        const auto began = detail::redis_position(detail::reply_text(reply, 1));
        if (!began || !detail::take_redis_id(detail::reply_text(reply, 2), stored.epoch))
            return detail::foreign_redis_key(keys.room);
        stored.position = *began;
        shared_->logs.begun(change.id, detail::reply_text(reply, 0));
        continued_.begun(change.id, change.epoch, stored.epoch);
        if (anew) shared_->logs.covered(change.id);
        return link_.ask({"ZADD", index(), "0", change.id}, reply);
    }

    // ---- loads ---------------------------------------------------------------------------------

    /// A room that is being loaded.
    struct Loading {
        enum class State : std::uint8_t { whole, more, anew };
        StoredRoom room{};
        std::string log{};  ///< empty: there is no such room
        State state = State::whole;
    };
    static constexpr int load_attempts = 5;
    static constexpr Text load_entries_max = "4096";
    static constexpr Text load_bytes_max = "16777216";

    [[nodiscard]] part::LoadedRoom load_now(Text id) {
        if (!detail::is_room_id(id)) return PersistenceError{RoomErrc::bad_room_id, {}, {}};
        const Keys keys{options_.prefix, id};
        // It adds what it has to what is left of the room.
        const bool has_room = shared_->logs.serves(id);
        for (int i = 0; i < load_attempts; ++i) {
            Loading load;
            PersistenceError error = begin_load(keys, has_room, load);
            while (!error && load.state == Loading::State::more) error = load_more(keys, load);
            if (error) return error;
            // Two saves have trimmed the stream between two steps, or the history has ended.
            if (load.state == Loading::State::anew) continue;
            shared_->logs.loaded(id, load.log);
            return load.log.empty() ? std::nullopt : std::optional{std::move(load.room)};
        }
        return PersistenceError{RoomErrc::storage_busy, keys.room,
                                "it is saved faster than it is read"};
    }
    [[nodiscard]] PersistenceError begin_load(const Keys& keys, bool has_room, Loading& load) {
        Reply reply;
        if (PersistenceError e = link_.eval(detail::redis_room_load, keys, reply,
                                            has_room ? "1" : "0", load_entries_max, load_bytes_max))
            return e;
        if (detail::reply_text(reply.get()) == "missing") {
            return {RoomErrc::snapshot_missing, keys.snapshot, "Redis has removed the key",
                    "wait until a server that has the room saves it, or restore the key, or erase "
                    "the room; set maxmemory-policy to noeviction"};
        }
        if (reply->type == REDIS_REPLY_NIL) return {};
        const auto position = detail::redis_position(detail::reply_text(reply, 2));
        auto parts = detail::unpacked_parts(as_bytes(detail::reply_text(reply, 3)));
        if (!parts) return {RoomErrc::snapshot_damaged, keys.snapshot, {}};
        if (!position || !detail::take_redis_id(detail::reply_text(reply, 0), load.room.epoch))
            return detail::foreign_redis_key(keys.room);
        load.log = detail::reply_text(reply, 1);
        load.room.snapshot = std::move(*parts);
        load.room.position = *position;
        return take_loaded(keys, reply, 4, load);
    }
    [[nodiscard]] PersistenceError load_more(const Keys& keys, Loading& load) {
        Reply reply;
        if (PersistenceError e = link_.eval(detail::redis_room_load_more, keys, reply, load.log,
                                            detail::redis_entry_id(load.room.position),
                                            load_entries_max, load_bytes_max))
            return e;
        if (detail::reply_text(reply.get()) == "anew") {
            load.state = Loading::State::anew;
            return {};
        }
        return take_loaded(keys, reply, 0, load);
    }
    [[nodiscard]] static PersistenceError take_loaded(const Keys& keys, const Reply& reply,
                                                      std::size_t at, Loading& load) {
        std::vector<part::FanoutBatch::Entry> entries;
        const redisReply* const more = detail::reply_at(reply.get(), at + 1);
        if (more == nullptr ||
            !detail::take_redis_entries(detail::reply_at(reply.get(), at), entries))
            return detail::foreign_redis_key(keys.room);
        load.state = more->integer == 1 ? Loading::State::more : Loading::State::whole;
        for (part::FanoutBatch::Entry& entry : entries) {
            load.room.position = entry.position;
            load.room.updates.push_back(std::move(entry.update));
        }
        return {};
    }

    // ---- saves and lists -----------------------------------------------------------------------

    [[nodiscard]] PersistenceError save_now(Text id, std::span<const Bytes> snapshot,
                                            std::uint64_t covers) {
        if (!detail::is_room_id(id)) return {RoomErrc::bad_room_id, {}, {}};
        shared_->logs.covered(id);
        const Keys keys{options_.prefix, id};
        const detail::RedisRoomLog known = shared_->logs.of(id);
        Reply reply;
        if (PersistenceError e =
                link_.eval(detail::redis_room_save, keys, reply, known.log,
                           detail::redis_entry_id(covers), detail::packed_parts(snapshot),
                           detail::redis_entry_id(known.acked), as_text(known.server)))
            return e;
        const Text answer = detail::reply_text(reply.get());
        if (answer == "none") return {RoomErrc::unknown_room, keys.room, {}};
        if (answer == "beyond") return {RoomErrc::bad_position, keys.room, {}};
        if (answer == "saved") return {};
        if (answer != "stale") return detail::foreign_redis_key(keys.room);
        // The entries that the snapshot would cover may be lost.
        shared_->logs.suspect(id);
        return {RoomErrc::stale_snapshot, keys.room, {}};
    }
    /// The index may contain ids of rooms that are erased, or not begun yet.
    [[nodiscard]] PersistenceError list_now(Text after, std::size_t count,
                                            std::vector<std::string>& ids) {
        std::string from = after.empty() ? "-" : '(' + std::string{after};
        for (bool more = true; more && ids.size() < count;) {
            const std::size_t most = detail::smaller(count - ids.size(), std::size_t{1000});
            Reply some;
            if (PersistenceError e = link_.ask(
                    {"ZRANGEBYLEX", index(), from, "+", "LIMIT", "0", std::to_string(most)}, some))
                return e;
            more = some->elements == most;
            if (some->elements == 0) break;
            from = '(' + std::string{
                             detail::reply_text(detail::reply_at(some.get(), some->elements - 1))};
            if (PersistenceError e = add_existing(*some, ids)) return e;
        }
        return {};
    }
    /// Adds the rooms of the index that exist, after one round trip. A script could check them in
    /// less, but no proxy could pass it on, because it uses keys of many rooms.
    [[nodiscard]] PersistenceError add_existing(const redisReply& some,
                                                std::vector<std::string>& ids) {
        std::string commands;
        for (std::size_t i = 0; i < some.elements; ++i) {
            const Keys keys{options_.prefix, detail::reply_text(detail::reply_at(&some, i))};
            detail::RedisConnection::append_command(commands, {"EXISTS", keys.room});
        }
        std::vector<bool> exists;
        exists.reserve(some.elements);
        PersistenceError error = link_.ask_all(
            commands, some.elements,
            [&](const redisReply& reply) noexcept { exists.push_back(reply.integer == 1); });
        for (std::size_t i = 0; !error && i < exists.size(); ++i) {
            if (exists[i]) ids.emplace_back(detail::reply_text(detail::reply_at(&some, i)));
        }
        return error;
    }

    RoomsOptions options_;
    std::shared_ptr<detail::RedisRoomsShared> shared_;
    detail::RedisRoomLink link_;
    detail::StagedRooms staged_{options_.unflushed_bytes_max};
    detail::ContinuedHistories continued_{};
    Random bits_{};
};

}}}  // namespace belay::redis

namespace belay { inline namespace BELAY_ABI { namespace metrics {

/// Passes the numbers of a redis::Rooms to `visitor(const Metric&)`; the part is "redis_rooms".
/// `redis::Rooms::status()` returns them, on any thread.
///
/// Complexity: O(1).   Throws: what the visitor throws.
template <class Visitor>
void visit_metrics(const redis::RoomsStatus& status, Visitor&& visitor) {
    using S = redis::RoomsStatus;
    constexpr Metric gauge{.part = "redis_rooms", .kind = Metric::Kind::gauge};
    detail::visit_gauge("redis_rooms", "connected",
                        "1 if the connection of the calls was made, and has not failed since.",
                        status.connected_since ? 1 : 0, visitor);
    constexpr detail::Row<S, std::size_t> sizes[] = {
        {"subscriptions", &S::subscriptions, "Rooms whose changes this server receives."},
        {"rooms_to_save", &S::rooms_to_save,
         "Rooms with more updates since their last save than the limit."},
        {"rooms_known", &S::rooms_known, "Rooms whose histories this server remembers."}};
    detail::visit_rows(gauge, status, sizes, visitor);
    constexpr detail::Row<S> counters[] = {
        {"connections", &S::connections, "Connections of the calls that were made."},
        {"outages", &S::outages, "Failures after which calls failed for a while."},
        {"gaps", &S::gaps, "Answers to subscriptions that reported lost entries."},
        {"messages_lost", &S::messages_lost,
         "Messages that an outage dropped, or that Redis did not publish."}};
    detail::visit_rows({.part = "redis_rooms"}, status, counters, visitor);
}

}}}  // namespace belay::metrics
