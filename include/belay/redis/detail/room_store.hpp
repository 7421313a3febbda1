// SPDX-License-Identifier: MIT
/// \file belay/redis/detail/room_store.hpp
/// RedisRoomStore: the calls of a redis::Rooms, one after the other, on the thread that may block.
#pragma once

#include <algorithm>     // std::min
#include <chrono>        // std::chrono::steady_clock
#include <cstdint>       // std::uint64_t
#include <map>           // std::map
#include <optional>      // std::optional
#include <span>          // std::span
#include <string>        // std::string
#include <string_view>   // std::string_view
#include <system_error>  // std::error_code
#include <utility>       // std::move
#include <vector>        // std::vector

#include <belay/core/random.hpp>
#include <belay/redis/detail/connection.hpp>
#include <belay/redis/detail/room_keys.hpp>
#include <belay/redis/detail/room_logs.hpp>
#include <belay/redis/detail/room_scripts.hpp>
#include <belay/redis/detail/room_status.hpp>
#include <belay/redis/detail/room_uncovered.hpp>
#include <belay/redis/rooms_options.hpp>
#include <belay/room/detail/packed_parts.hpp>
#include <belay/room/detail/staged_rooms.hpp>
#include <belay/room/fanout_like.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Thread safety: one thread, except for the RedisRoomLogs, the RedisRoomUncovered and the
///                status.
/// Blocks:        every call that returns an error.
class RedisRoomStore {
public:
    using Clock = std::chrono::steady_clock;
    using Change = StagedChange;

    RedisRoomStore(const redis::RoomsOptions& options, RedisRoomLogs& logs,
                   RedisRoomUncovered& uncovered)
        : options_{options}, logs_{&logs}, uncovered_{&uncovered} {
        connection_.use(options.connection());
        connection_.reject_cluster();
    }

    // ---- outages -------------------------------------------------------------------------------

    /// Returns the number of outages that have begun.
    [[nodiscard]] std::uint64_t outages() const noexcept { return outages_; }
    [[nodiscard]] bool is_down() const noexcept { return Clock::now() < down_.until; }
    [[nodiscard]] const PersistenceError& why_down() const noexcept { return down_.why; }
    void went_down(PersistenceError why) {
        ++outages_;
        down_.why = std::move(why);
        down_.until = Clock::now() + options_.retry_after;
        // The same name may lead to another server by then.
        connection_.close();
        status_.change([this](redis::RoomsStatus& status) {
            status.connected_since.reset();
            status.outages = outages_;
            status.last_outage = down_.why.code;
        });
    }
    /// The subscriber counts there, too.   Thread safety: any thread.
    [[nodiscard]] RedisRoomStatus& status() noexcept { return status_; }
    [[nodiscard]] PersistenceError explain(const std::error_code& code, const char* words) const {
        return {code, connection_.peer(), words, advice_for(code)};
    }

    // ---- calls ---------------------------------------------------------------------------------

    /// `has_room`: whether this server has the room, and adds what it has to what is left of it.
    /// Reads a long stream in several steps, so that no reply is too long, or takes too long.
    [[nodiscard]] part::LoadedRoom load(std::string_view id, bool has_room) {
        const RedisRoomKeys keys{options_.prefix, id};
        for (int i = 0; i < load_attempts; ++i) {
            Loading load;
            PersistenceError error = begin_load(keys, has_room, load);
            while (!error && load.state == Loading::State::more) error = load_more(keys, load);
            if (error) return error;
            // Two saves have trimmed the stream between two steps, or the history has ended.
            if (load.state == Loading::State::anew) continue;
            logs_->loaded(id, load.log);
            return load.log.empty() ? std::nullopt : std::optional{std::move(load.room)};
        }
        return PersistenceError{RoomErrc::storage_busy, keys.room,
                                "it is saved faster than it is read"};
    }

    /// Stores the changes of each room in their order, and consecutive appends in one step. A
    /// rejection in one room does not affect the others. An outage ends the flush.
    [[nodiscard]] part::FlushedRooms flush(const std::vector<Change>& changes) {
        std::map<std::string_view, std::vector<const Change*>> by_room;
        for (const Change& change : changes) by_room[change.id].push_back(&change);
        part::FlushedRooms flushed;
        PersistenceError& first = flushed.error;
        const std::uint64_t before = outages_;
        for (const auto& [id, of_room] : by_room) {
            Stored stored;
            PersistenceError error = flush(RedisRoomKeys{options_.prefix, id}, of_room, stored);
            if (!error && stored.position != 0) {
                flushed.positions.emplace_back(id, stored.position);
                flushed.epochs.emplace_back(id, stored.epoch);
            }
            if (!error) continue;
            if (is_down() || outages_ != before) return error;
            std::vector rejected = std::move(first.rooms);
            rejected.emplace_back(id, error.code);
            if (!first) first = std::move(error);
            first.rooms = std::move(rejected);
        }
        return flushed;
    }

    [[nodiscard]] PersistenceError save(std::string_view id, std::span<const Bytes> snapshot,
                                        std::uint64_t covers) {
        const RedisRoomKeys keys{options_.prefix, id};
        const RedisRoomLogs::State state = logs_->state(id);
        RedisReply reply;
        if (PersistenceError e =
                ask({"EVAL", redis_room_save, "3", keys.updates, keys.room, keys.snapshot,
                     state.log, redis_entry_id(covers), packed_parts(snapshot),
                     redis_entry_id(state.acked), as_text(state.server)},
                    reply))
            return e;
        const std::string_view answer = reply_text(reply.get());
        if (answer == "none") return {RoomErrc::unknown_room, keys.room, {}};
        if (answer == "stale") return {RoomErrc::stale_snapshot, keys.room, {}};
        if (answer == "beyond") return {RoomErrc::bad_position, keys.room, {}};
        return answer == "saved" ? PersistenceError{} : foreign(keys.room);
    }

    /// The index may contain ids of rooms that are erased, or not begun yet.
    [[nodiscard]] part::ListedRooms list(std::string_view after, std::size_t count) {
        std::vector<std::string> ids;
        std::string from = after.empty() ? "-" : '(' + std::string{after};
        for (bool more = true; more && ids.size() < count;) {
            const std::size_t most = std::min(count - ids.size(), list_max);
            RedisReply some;
            if (PersistenceError e = ask(
                    {"ZRANGEBYLEX", index(), from, "+", "LIMIT", "0", std::to_string(most)}, some))
                return e;
            more = some->elements == most;
            if (some->elements == 0) break;
            from = '(' + std::string{reply_text(reply_at(some.get(), some->elements - 1))};
            if (PersistenceError e = add_existing(*some, ids)) return e;
        }
        return ids;
    }

    /// Publishes messages in one round trip. A message is delivered soon or not at all.
    /// Subscriptions report the outage of Redis. The status counts each message that Redis rejected
    /// or did not answer.
    void publish(std::span<const part::PublishedMessage> messages) {
        std::string commands;
        for (const part::PublishedMessage& message : messages) {
            const RedisRoomKeys keys{options_.prefix, message.id};
            std::string payload{'m'};
            payload += as_text(message.bytes);
            RedisConnection::append_command(commands, {"PUBLISH", keys.channel, payload});
        }
        std::size_t lost = messages.size();
        const PersistenceError error =
            ask_all(commands, messages.size(), [&](const redisReply& reply) noexcept {
                if (reply.type != REDIS_REPLY_ERROR) --lost;
            });
        if (error)
            status_.change([&](redis::RoomsStatus& status) { status.messages_lost += lost; });
    }

    /// Compares the mark of the store with `mark`, the mark of the last call, and updates `mark`.
    /// Returns: whether it is another one, or cannot be read.
    [[nodiscard]] bool is_another(std::string& mark) {
        RedisReply reply;
        if (ask({"EVAL", redis_room_mark, "1", options_.prefix + ":store", fresh()}, reply))
            return true;
        const std::string_view found = reply_text(reply.get());
        if (mark == found) return false;
        mark = found;
        return true;
    }

    /// Returns the entries after `from` in the history `log`. Sets `log` if it is empty. If `epoch`
    /// is not no_id, a history with another one is a gap, or over.
    [[nodiscard]] Result<part::FanoutBatch, PersistenceError> batch_after(std::string_view id,
                                                                          const Id& epoch,
                                                                          std::string& log,
                                                                          std::uint64_t from) {
        const RedisRoomKeys keys{options_.prefix, id};
        const RedisRoomLogs::State state = logs_->state(id);
        // A history that was begun here, and of which nothing was read yet.
        if (log.empty()) log = state.log;
        const std::uint64_t acked = state.log == log ? state.acked : 0;
        RedisReply reply;
        if (PersistenceError e = ask(
                {"EVAL", redis_room_batch, "3", keys.updates, keys.room, keys.snapshot, log,
                 redis_entry_id(from), redis_entry_id(acked),
                 std::to_string(options_.batch_entries_max),
                 std::to_string(options_.batch_bytes_max), as_text(state.server), text_of(epoch)},
                reply))
            return e;
        part::FanoutBatch batch;
        const std::string_view is = reply_text(reply_at(reply.get(), 0));
        if (is == "gap") batch.state = part::FanoutBatch::State::gap;
        if (is == "over") batch.state = part::FanoutBatch::State::over;
        if (is != "on")
            return is == "gap" || is == "over" || is == "none"
                       ? Result<part::FanoutBatch, PersistenceError>{std::move(batch)}
                       : Result<part::FanoutBatch, PersistenceError>{foreign(keys.room)};
        if (!take_epoch(reply_at(reply.get(), 1), batch.epoch) ||
            !take_entries(reply_at(reply.get(), 3), batch.entries))
            return foreign(keys.room);
        for (part::FanoutBatch::Entry& entry : batch.entries) entry.change.epoch = batch.epoch;
        log = reply_text(reply_at(reply.get(), 2));
        // Changes from now on are appended to this history, and to none that follows it.
        logs_->discovered(id, log);
        return batch;
    }

private:
    template <std::size_t N>
    [[nodiscard]] PersistenceError ask(const std::string_view (&words)[N], RedisReply& reply) {
        return is_down() ? down_.why : explained(connection_.call(words, reply));
    }
    template <class F>
    [[nodiscard]] PersistenceError ask_all(const std::string& commands, std::size_t count,
                                           F&& take) {
        return is_down() ? down_.why : explained(connection_.call_all(commands, count, take));
    }
    [[nodiscard]] PersistenceError explained(const std::error_code& code) {
        status_.connection(connection_.descriptor() >= 0, connection_.connections());
        if (!code) return {};
        PersistenceError error = explain(code, connection_.last_words());
        if (is_outage(code)) went_down(error);
        return error;
    }
    [[nodiscard]] static bool is_outage(const std::error_code& code) noexcept {
        return code.category() != redis_category() || code == redis::Errc::connection_lost ||
               code == redis::Errc::no_answer || code == redis::Errc::bad_reply ||
               code == redis::Errc::unauthorized || code == redis::Errc::not_ready ||
               code == redis::Errc::read_only || code == redis::Errc::cluster;
    }
    /// Overrides the advice for queues in Redis where rooms need another one.
    [[nodiscard]] static const char* advice_for(const std::error_code& code) {
        if (code == redis::Errc::connection_lost || code == redis::Errc::no_answer)
            return "check that Redis runs and can be reached; belay tries again by itself";
        if (code == redis::Errc::forbidden)
            return "allow this user the commands that docs/how-to/several-servers.md lists, on the "
                   "keys of the prefix";
        if (code == redis::Errc::out_of_memory)
            return "give Redis more memory; until then clients can read rooms, and their edits are "
                   "rejected";
        if (code == redis::Errc::reply_too_long)
            return "raise reply_bytes_max, or erase the room; other rooms are not affected";
        if (code == redis::Errc::rejected || code == redis::Errc::wrong_type)
            return "check that no other program writes to the keys of the prefix, and that Redis "
                   "is 6.2 or later";
        return redis::Error{code, {}, {}}.advice();
    }
    [[nodiscard]] static PersistenceError foreign(const std::string& key) {
        return {make_error_code(redis::Errc::bad_reply), key, "another program has written it",
                "find that program; `erase` deletes the room"};
    }
    /// The room has another history by now, or none.
    [[nodiscard]] static PersistenceError gone(const std::string& key, std::string_view answer) {
        if (answer == "over") return {RoomErrc::history_reset, key, {}};
        return {RoomErrc::unknown_room, key, "it has another history, or has none any more",
                "wait: the manager compares the room with the stored one, and stores again what is "
                "missing"};
    }
    [[nodiscard]] std::string index() const { return options_.prefix + ":rooms"; }
    /// Returns 32 random digits, unique in practice.
    [[nodiscard]] std::string fresh() {
        std::string text;
        for (const std::byte b : make_id(bits_)) {
            constexpr char digits[] = "0123456789abcdef";
            text += digits[static_cast<unsigned>(b) >> 4U];
            text += digits[static_cast<unsigned>(b) & 15U];
        }
        return text;
    }

    /// Returns the bytes of an epoch; nothing of no_id.
    [[nodiscard]] static std::string_view text_of(const Id& epoch) noexcept {
        return epoch == no_id ? std::string_view{} : as_text(epoch);
    }

    // ---- replies -------------------------------------------------------------------------------

    [[nodiscard]] static bool take_id(BytesView bytes, Id& id) noexcept {
        if (bytes.size() != id.size()) return false;
        std::copy(bytes.begin(), bytes.end(), id.begin());
        return true;
    }
    [[nodiscard]] static bool take_epoch(const redisReply* reply, Id& epoch) noexcept {
        return take_id(as_bytes(reply_text(reply)), epoch);
    }
    // ---- lists and loads -----------------------------------------------------------------------

    static constexpr std::size_t list_max = 1000;

    /// Adds the rooms of the index that exist, after one round trip. A script could check them in
    /// less, but no proxy could pass it on, because it uses keys of many rooms.
    [[nodiscard]] PersistenceError add_existing(const redisReply& some,
                                                std::vector<std::string>& ids) {
        std::string commands;
        for (std::size_t i = 0; i < some.elements; ++i) {
            const RedisRoomKeys keys{options_.prefix, reply_text(reply_at(&some, i))};
            RedisConnection::append_command(commands, {"EXISTS", keys.room});
        }
        std::vector<bool> exists;
        exists.reserve(some.elements);
        PersistenceError error = ask_all(
            commands, some.elements,
            [&](const redisReply& reply) noexcept { exists.push_back(reply.integer == 1); });
        for (std::size_t i = 0; !error && i < exists.size(); ++i) {
            if (exists[i]) ids.emplace_back(reply_text(reply_at(&some, i)));
        }
        return error;
    }

    /// A room that is being loaded.
    struct Loading {
        enum class State : std::uint8_t { whole, more, anew };
        StoredRoom room{};
        std::string log{};  ///< empty: there is no such room
        State state = State::whole;
    };
    static constexpr int load_attempts = 5;
    static constexpr std::string_view load_entries_max = "4096";
    static constexpr std::string_view load_bytes_max = "16777216";

    [[nodiscard]] PersistenceError begin_load(const RedisRoomKeys& keys, bool has_room,
                                              Loading& load) {
        RedisReply reply;
        if (PersistenceError e =
                ask({"EVAL", redis_room_load, "3", keys.updates, keys.room, keys.snapshot,
                     has_room ? "1" : "0", load_entries_max, load_bytes_max},
                    reply))
            return e;
        if (reply_text(reply.get()) == "missing") {
            return PersistenceError{
                RoomErrc::snapshot_missing, keys.snapshot, "Redis has removed the key",
                "wait until a server that has the room saves it, or restore the key, or erase the "
                "room; set maxmemory-policy to noeviction"};
        }
        if (reply->type == REDIS_REPLY_NIL) return {};
        const auto position = redis_position(reply_text(reply_at(reply.get(), 2)));
        auto parts = unpacked_parts(as_bytes(reply_text(reply_at(reply.get(), 3))));
        if (!parts) return PersistenceError{RoomErrc::snapshot_damaged, keys.snapshot, {}};
        if (!position || !take_epoch(reply_at(reply.get(), 0), load.room.epoch))
            return foreign(keys.room);
        load.log = reply_text(reply_at(reply.get(), 1));
        load.room.snapshot = std::move(*parts);
        load.room.position = *position;
        return take_loaded(keys, reply_at(reply.get(), 4), reply_at(reply.get(), 5), load);
    }
    [[nodiscard]] PersistenceError load_more(const RedisRoomKeys& keys, Loading& load) {
        RedisReply reply;
        if (PersistenceError e = ask(
                {"EVAL", redis_room_load_more, "3", keys.updates, keys.room, keys.snapshot,
                 load.log, redis_entry_id(load.room.position), load_entries_max, load_bytes_max},
                reply))
            return e;
        if (reply_text(reply.get()) == "anew") {
            load.state = Loading::State::anew;
            return {};
        }
        return take_loaded(keys, reply_at(reply.get(), 0), reply_at(reply.get(), 1), load);
    }
    [[nodiscard]] PersistenceError take_loaded(const RedisRoomKeys& keys, const redisReply* some,
                                               const redisReply* more, Loading& load) {
        std::vector<part::FanoutBatch::Entry> entries;
        if (more == nullptr || !take_entries(some, entries)) return foreign(keys.room);
        load.state = more->integer == 1 ? Loading::State::more : Loading::State::whole;
        for (part::FanoutBatch::Entry& entry : entries) {
            load.room.position = entry.position;
            load.room.updates.push_back(std::move(entry.update));
        }
        return {};
    }

    /// Reads the entries. The reader of an entry validates its update. An entry without an update
    /// gets an empty one.
    [[nodiscard]] bool take_entries(const redisReply* reply,
                                    std::vector<part::FanoutBatch::Entry>& to) const {
        for (std::size_t i = 0; reply_at(reply, i) != nullptr; ++i) {
            const redisReply* const one = reply_at(reply, i);
            const auto position = redis_position(reply_text(reply_at(one, 0)));
            if (!position) return false;
            part::FanoutBatch::Entry entry{*position, {}, {}};
            const redisReply* const fields = reply_at(one, 1);
            for (std::size_t f = 0; reply_at(fields, f + 1) != nullptr; f += 2) {
                const std::string_view name = reply_text(reply_at(fields, f));
                const BytesView value = as_bytes(reply_text(reply_at(fields, f + 1)));
                if (name == "s") static_cast<void>(take_id(value, entry.change.server));
                if (name == "n" && value.size() == 8)
                    entry.change.sequence = load_le<std::uint64_t>(value.data());
                if (name == "u") entry.update.assign(value.begin(), value.end());
            }
            to.push_back(std::move(entry));
        }
        return true;
    }

    // ---- changes -------------------------------------------------------------------------------

    /// A room after a flush: its last position, or 0, and the epoch of its history.
    struct Stored {
        std::uint64_t position = 0;
        Id epoch{};
    };

    [[nodiscard]] PersistenceError flush(const RedisRoomKeys& keys,
                                         std::span<const Change* const> changes, Stored& stored) {
        while (!changes.empty()) {
            const bool appends = changes.front()->kind == Change::Kind::append;
            const std::size_t count = appends ? together(changes) : 1;
            PersistenceError error = appends ? append(keys, changes.first(count), stored)
                                             : turn(keys, *changes.front(), stored);
            if (error) return error;
            changes = changes.subspan(count);
        }
        return {};
    }
    /// Returns how many changes at the front are appends that can be sent together.
    [[nodiscard]] static std::size_t together(std::span<const Change* const> changes) noexcept {
        std::size_t bytes = 0;
        std::size_t count = 0;
        for (const Change* const change : changes) {
            bytes += change->update.size();
            if (change->kind != Change::Kind::append || count == 1000) break;
            if (change->change.epoch != changes.front()->change.epoch) break;
            if (change->change.server != changes.front()->change.server) break;
            if (count != 0 && bytes > std::size_t{1} << 20) break;
            ++count;
        }
        return count;
    }
    [[nodiscard]] PersistenceError append(const RedisRoomKeys& keys,
                                          std::span<const Change* const> changes, Stored& stored) {
        const std::string& id = changes.front()->id;
        std::string all;
        for (const Change* const change : changes) {
            std::byte head[12];
            store_le(head, static_cast<std::uint32_t>(change->update.size()));
            store_le(head + 4, change->change.sequence);
            all += as_text(head);
            all += as_text(change->update);
        }
        const RedisRoomLogs::State state = logs_->state(id);
        const Id& server = changes.front()->change.server;
        const Id epoch = continued_.of(id, changes.front()->change.epoch);
        RedisReply reply;
        if (PersistenceError e =
                ask({"EVAL", redis_room_append, "3", keys.updates, keys.room, keys.snapshot,
                     state.log, keys.channel, as_text(server), all, redis_entry_id(state.acked),
                     as_text(state.server), text_of(epoch)},
                    reply))
            return e;
        if (reply->type != REDIS_REPLY_ARRAY) return gone(keys.room, reply_text(reply.get()));
        const auto last = redis_position(reply_text(reply_at(reply.get(), 1)));
        if (!last || !take_epoch(reply_at(reply.get(), 2), stored.epoch))
            return foreign(keys.updates);
        logs_->begun(id, reply_text(reply_at(reply.get(), 0)));
        logs_->stored(id, stored.position = *last, server);
        for (const Change* const change : changes)
            if (!change->update.empty()) uncovered_->add(id, change->update.size());
        return {};
    }
    [[nodiscard]] PersistenceError turn(const RedisRoomKeys& keys, const Change& change,
                                        Stored& stored) {
        const std::string keep = std::to_string(options_.end_is_known.count());
        RedisReply reply;
        RedisRoomLogs::Begun known = logs_->begun(change.id);
        if (change.kind == Change::Kind::erase) {
            if (PersistenceError e =
                    ask({"EVAL", redis_room_erase, "3", keys.updates, keys.room, keys.snapshot,
                         keys.channel, keep, known.was, known.tried},
                        reply))
                return e;
            stored = {};
            uncovered_->reset(change.id);
            // Removed from the index after it is erased, because a room that could not be erased
            // must be listed. Another server may have begun it meanwhile, and added it to the index
            // before.
            if (PersistenceError e = ask({"ZREM", index(), change.id}, reply)) return e;
            if (PersistenceError e = ask({"EXISTS", keys.room}, reply)) return e;
            if (reply->integer == 0) return {};
            return ask({"ZADD", index(), "0", change.id}, reply);
        }
        // Added to the index before it begins, because a room that is not listed is not found.
        // Added again after it has begun, because a server that erases a room meanwhile removes it
        // from the index.
        if (PersistenceError e = ask({"ZADD", index(), "0", change.id}, reply)) return e;
        const bool anew = change.kind == Change::Kind::reset;
        // A beginning that was not answered may have been carried out, and even be over by now.
        // With the same log, the retry is the same beginning.
        const std::string log = change.again && !known.tried.empty() ? known.tried : fresh();
        logs_->begins(change.id, log);
        const std::string_view how = anew ? "reset" : change.again ? "again" : "new";
        if (PersistenceError e =
                ask({"EVAL", redis_room_begin, "3", keys.updates, keys.room, keys.snapshot, how,
                     as_text(change.epoch), log, keys.channel, keep, known.was, known.tried},
                    reply))
            return e;
        if (reply->type != REDIS_REPLY_ARRAY) return gone(keys.room, reply_text(reply.get()));
        const auto began = redis_position(reply_text(reply_at(reply.get(), 1)));
        if (!began || !take_epoch(reply_at(reply.get(), 2), stored.epoch))
            return foreign(keys.room);
        stored.position = *began;
        logs_->begun(change.id, reply_text(reply_at(reply.get(), 0)));
        continued_.begun(change.id, change.epoch, stored.epoch);
        if (anew) uncovered_->reset(change.id);
        return ask({"ZADD", index(), "0", change.id}, reply);
    }

    const redis::RoomsOptions options_;
    RedisRoomLogs* logs_;
    RedisRoomUncovered* uncovered_;
    ContinuedHistories continued_{};
    RedisRoomStatus status_{};
    Random bits_;
    RedisConnection connection_;
    struct {
        Clock::time_point until{};
        PersistenceError why{};
    } down_;
    std::uint64_t outages_ = 0;
};

}}}  // namespace belay::detail
