// SPDX-License-Identifier: MIT
/// \file belay/redis/detail/room_link.hpp
/// RedisRoomLink: a connection of a redis::Rooms, whose commands fail at once during an outage.
/// RedisRoomsShared: what the calls and the subscription know of rooms and outages. And the format
/// of rooms in Redis: keys, entry ids as positions, and entries.
#pragma once

#include <algorithm>     // std::copy
#include <charconv>      // std::from_chars
#include <chrono>        // std::chrono::steady_clock
#include <cstddef>       // std::byte, std::size_t
#include <cstdint>       // std::uint64_t
#include <functional>    // std::less
#include <map>           // std::map
#include <memory>        // std::shared_ptr
#include <mutex>         // std::mutex
#include <optional>      // std::nullopt, std::optional
#include <set>           // std::set
#include <string>        // std::string
#include <string_view>   // std::string_view
#include <system_error>  // std::errc, std::error_code
#include <utility>       // std::exchange, std::move
#include <vector>        // std::vector

#include <belay/core/bytes.hpp>
#include <belay/core/clocks.hpp>
#include <belay/core/detail/hex.hpp>
#include <belay/core/random.hpp>
#include <belay/journal/id.hpp>
#include <belay/redis/detail/connection.hpp>
#include <belay/redis/rooms_options.hpp>
#include <belay/room/fanout_like.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

// ---- what the connections share -----------------------------------------------------------------

/// The history of a room that a redis::Rooms has loaded or changed.
struct RedisRoomLog {
    std::string log{};        ///< empty: there is no room
    std::uint64_t acked = 0;  ///< the last own entry since the log is known
    Id server{};              ///< the id of the server in that entry
    std::string was{};        ///< the log, also if it is lost
    std::string tried{};      ///< the log of a beginning that was not answered
    /// The log that the subscription reads; empty if that is `log`. It differs after this server
    /// has begun another history.
    std::string before{};
    std::size_t uncovered = 0;  ///< bytes that were stored since the last save began
};

/// For each room that was loaded or changed: its log, and the last entry of this server.
///
/// A room is never forgotten. Without its log, a later change could enter another history.
///
/// Thread safety: all members.
class RedisRoomLogs {
public:
    explicit RedisRoomLogs(std::size_t uncovered_bytes_max)
        : uncovered_bytes_max_{uncovered_bytes_max} {}

    [[nodiscard]] RedisRoomLog of(std::string_view id) const {
        const std::lock_guard lock{mutex_};
        const auto found = rooms_.find(id);
        return found != rooms_.end() ? found->second : RedisRoomLog{};
    }
    /// The next request to Redis will begin a history with this log.
    void begins(std::string_view id, std::string_view log) {
        const std::lock_guard lock{mutex_};
        at(id).tried = log;
    }
    /// Records the present log of a room.
    // NOLINTNEXTLINE(bugprone-easily-swappable-parameters): the room first, as everywhere
    void begun(std::string_view id, std::string_view log) {
        const std::lock_guard lock{mutex_};
        RedisRoomLog& room = at(id);
        if (room.log != log) {
            if (room.before.empty()) room.before = room.log;
            restart(room, log);
        }
        room.was = log;
        room.tried.clear();
    }
    /// Records a room as it was loaded. An empty log means that there is none.
    void loaded(std::string_view id, std::string_view log) {
        const std::lock_guard lock{mutex_};
        suspects_.emplace(id);
        // Anyone may ask for rooms that there are not.
        if (log.empty() && rooms_.find(id) == rooms_.end()) return;
        RedisRoomLog& room = at(id);
        // The history to which this server has added has ended.
        if (room.log != log) cover(id, room);
        restart(room, log);
        room.before.clear();
        if (log.empty()) return;
        room.was = log;
        room.tried.clear();
    }
    /// Records the log that the subscription has read, if none was known.
    // NOLINTNEXTLINE(bugprone-easily-swappable-parameters): the room first, as everywhere
    void discovered(std::string_view id, std::string_view log) {
        const std::lock_guard lock{mutex_};
        RedisRoomLog& room = at(id);
        if (!room.log.empty()) return;
        restart(room, log);
        room.was = log;
    }
    /// Records the entry that own changes have become.
    void stored(std::string_view id, std::uint64_t position, const Id& server, std::size_t bytes) {
        const std::lock_guard lock{mutex_};
        RedisRoomLog& room = at(id);
        room.acked = position;
        room.server = server;
        room.uncovered += bytes;
        if (room.uncovered > uncovered_bytes_max_) to_save_.emplace(id);
    }
    /// A save of the room begins, or its history has ended. If the save fails, its caller decides
    /// when it tries again.
    void covered(std::string_view id) {
        const std::lock_guard lock{mutex_};
        const auto found = rooms_.find(id);
        if (found != rooms_.end()) cover(id, found->second);
    }
    [[nodiscard]] std::vector<std::string> rooms_to_save() const {
        const std::lock_guard lock{mutex_};
        return {to_save_.begin(), to_save_.end()};
    }
    /// Adds the numbers of rooms.
    void count(redis::RoomsStatus& status) const {
        const std::lock_guard lock{mutex_};
        status.rooms_to_save = to_save_.size();
        status.rooms_known = rooms_.size();
    }

    /// The room may have another history, or be gone: the subscription compares it.
    void suspect(std::string_view id) {
        const std::lock_guard lock{mutex_};
        suspects_.emplace(id);
    }
    [[nodiscard]] std::set<std::string> take_suspects() {
        const std::lock_guard lock{mutex_};
        return std::exchange(suspects_, {});
    }
    /// A subscription to the room was answered, or waits.
    void answered(const std::string& id, bool answered) {
        const std::lock_guard lock{mutex_};
        answered ? static_cast<void>(answered_.insert(id)) : static_cast<void>(answered_.erase(id));
    }
    /// Returns whether this server has the room: its subscription was answered just now.
    [[nodiscard]] bool serves(std::string_view id) const {
        const std::lock_guard lock{mutex_};
        return answered_.find(id) != answered_.end();
    }
    void unsubscribed(const std::string& id) {
        const std::lock_guard lock{mutex_};
        answered_.erase(id);
        const auto found = rooms_.find(id);
        if (found != rooms_.end()) found->second.before.clear();
    }

private:
    // The mutex is locked during these.

    [[nodiscard]] RedisRoomLog& at(std::string_view id) {
        const auto found = rooms_.find(id);
        return found != rooms_.end() ? found->second : rooms_[std::string{id}];
    }
    static void restart(RedisRoomLog& room, std::string_view log) {
        room.log = log;
        room.acked = 0;
        room.server = no_id;
    }
    void cover(std::string_view id, RedisRoomLog& room) {
        room.uncovered = 0;
        const auto found = to_save_.find(id);
        if (found != to_save_.end()) to_save_.erase(found);
    }

    const std::size_t uncovered_bytes_max_;
    mutable std::mutex mutex_{};
    std::map<std::string, RedisRoomLog, std::less<>> rooms_{};
    std::set<std::string, std::less<>> to_save_{};
    std::set<std::string, std::less<>> answered_{};
    std::set<std::string> suspects_{};
};

/// The outages of Redis, and the status of a redis::Rooms.
///
/// Thread safety: all members.
class RedisRoomsHealth {
public:
    /// An outage, with the time until which calls fail.
    struct Outage {
        [[nodiscard]] bool lasts() const noexcept { return SteadyClock{}.now() < until; }

        std::uint64_t number = 0;
        Instant until = always;
        PersistenceError why{};
    };

    explicit RedisRoomsHealth(Duration retry_after) : retry_after_{retry_after} {}

    /// Returns the last outage.
    [[nodiscard]] Outage outage() const {
        const std::lock_guard lock{mutex_};
        return outage_;
    }
    /// An outage begins, unless another connection has found it.
    void went_down(const PersistenceError& why) {
        const std::lock_guard lock{mutex_};
        if (outage_.lasts()) return;
        outage_ = {outage_.number + 1, after(SteadyClock{}.now(), retry_after_), why};
        status_.connected_since.reset();
        status_.outages = outage_.number;
        status_.last_outage = why.code;
    }
    /// The connection of the calls is open or not, and is the `number`-th one.
    void connection(bool is_open, std::uint64_t number) {
        const std::lock_guard lock{mutex_};
        const bool anew = status_.connections != number;
        if (!is_open) status_.connected_since.reset();
        if (is_open && (anew || !status_.connected_since))
            status_.connected_since = std::chrono::steady_clock::now();
        status_.connections = number;
    }
    /// Calls `f` with the status, to change it.   Pre: `f` does not block.
    template <class F>
    void change(F&& f) {
        const std::lock_guard lock{mutex_};
        f(status_);
    }
    [[nodiscard]] redis::RoomsStatus status() const {
        const std::lock_guard lock{mutex_};
        return status_;
    }

private:
    const Duration retry_after_;
    mutable std::mutex mutex_{};
    Outage outage_{};
    redis::RoomsStatus status_{};
};

/// Logs and health, which the calls and the subscription share.
struct RedisRoomsShared {
    explicit RedisRoomsShared(const redis::RoomsOptions& options)
        : logs{options.uncovered_bytes_max}, health{options.retry_after} {}

    RedisRoomLogs logs;
    RedisRoomsHealth health;
};

// ---- the format ---------------------------------------------------------------------------------

/// The keys of a room. All contain its id in braces, so they are in one slot of a cluster.
struct RedisRoomKeys {
    RedisRoomKeys(const std::string& prefix, std::string_view id) {
        std::string tag = prefix + ":{";
        for (const char c : id) {
            // A brace in the id would end the tag.
            if (c != '{' && c != '}' && c != '%') {
                tag += c;
                continue;
            }
            append_hex(tag += '%', static_cast<std::byte>(c));
        }
        tag += '}';
        updates = tag + ":updates";
        room = tag + ":room";
        snapshot = tag + ":snapshot";
        channel = tag + ":channel";
    }
    std::string updates{};
    std::string room{};
    std::string snapshot{};
    std::string channel{};
};

/// The number of bits of an entry's sequence number. A position is an entry's id as one number of
/// the same order. It has 43 bits of milliseconds, and 20 bits of sequence number.
inline constexpr unsigned redis_sequence_bits = 20;
/// The first entry of a time has one of so many sequence numbers.
inline constexpr std::uint64_t redis_sequence_begins = std::uint64_t{1}
                                                       << (redis_sequence_bits - 1);

/// Returns nothing if `id` is not one that a clock gives before the year 2248.
[[nodiscard]] inline std::optional<std::uint64_t> redis_position(std::string_view id) noexcept {
    const char* const end = id.data() + id.size();
    std::uint64_t time = 0;
    std::uint64_t sequence = 0;
    const auto first = std::from_chars(id.data(), end, time);
    if (first.ec != std::errc{} || first.ptr == end || *first.ptr != '-') return std::nullopt;
    const auto second = std::from_chars(first.ptr + 1, end, sequence);
    if (second.ec != std::errc{} || second.ptr != end) return std::nullopt;
    if (time >> (63 - redis_sequence_bits) != 0 || sequence >> redis_sequence_bits != 0)
        return std::nullopt;
    return time << redis_sequence_bits | sequence;
}
[[nodiscard]] inline std::string redis_entry_id(std::uint64_t position) {
    constexpr std::uint64_t mask = (std::uint64_t{1} << redis_sequence_bits) - 1;
    return std::to_string(position >> redis_sequence_bits) + '-' + std::to_string(position & mask);
}

/// Returns the text of an element.
[[nodiscard]] inline std::string_view reply_text(const RedisReply& reply, std::size_t i) noexcept {
    return reply_text(reply_at(reply.get(), i));
}
/// Sets the epoch.   Returns: whether the reply is one.
[[nodiscard]] inline bool take_redis_id(std::string_view bytes, Id& id) noexcept {
    const BytesView view = as_bytes(bytes);
    if (view.size() != id.size()) return false;
    std::copy(view.begin(), view.end(), id.begin());
    return true;
}
/// Returns the bytes of an epoch; nothing of no_id.
[[nodiscard]] inline std::string_view redis_text_of(const Id& epoch) noexcept {
    return epoch == no_id ? std::string_view{} : as_text(epoch);
}
/// Returns 32 random digits, unique in practice.
[[nodiscard]] inline std::string redis_fresh_digits(Random& bits) { return hex_of(make_id(bits)); }
/// Reads entries. Their readers validate the updates. An entry without an update gets an empty one.
/// Returns: false if an id is none of this storage.
[[nodiscard]] inline bool take_redis_entries(const redisReply* reply,
                                             std::vector<part::FanoutBatch::Entry>& to) {
    for (std::size_t i = 0; reply_at(reply, i) != nullptr; ++i) {
        const redisReply* const one = reply_at(reply, i);
        const auto position = redis_position(reply_text(reply_at(one, 0)));
        if (!position) return false;
        part::FanoutBatch::Entry entry{*position, {}, {}};
        const redisReply* const fields = reply_at(one, 1);
        for (std::size_t f = 0; reply_at(fields, f + 1) != nullptr; f += 2) {
            const std::string_view name = reply_text(reply_at(fields, f));
            const std::string_view value = reply_text(reply_at(fields, f + 1));
            if (name == "s") static_cast<void>(take_redis_id(value, entry.change.server));
            if (name == "n" && value.size() == 8)
                entry.change.sequence = load_le<std::uint64_t>(as_bytes(value).data());
            if (name == "u") entry.update = to_bytes(value);
        }
        to.push_back(std::move(entry));
    }
    return true;
}
/// Returns the error of a key that has something else.
[[nodiscard]] inline PersistenceError foreign_redis_key(const std::string& key) {
    return {make_error_code(redis::Errc::bad_reply), key, "another program has written it",
            "find that program; `erase` deletes the room"};
}
/// Returns advice for rooms, where that for queues in Redis is another one.
[[nodiscard]] inline const char* redis_room_advice(const std::error_code& code) {
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
        return "check that no other program writes to the keys of the prefix, and that Redis is "
               "6.2 or later";
    return RedisWords::of(code);
}

// ---- a connection -------------------------------------------------------------------------------

/// A connection whose commands fail at once during an outage.
///
/// Thread safety: one thread.   Blocks: every call, on Redis.
class RedisRoomLink {
public:
    /// `is_of_calls`: whether the status shows this connection.
    RedisRoomLink(const redis::RoomsOptions& options, std::shared_ptr<RedisRoomsShared> shared,
                  bool is_of_calls)
        : shared_{std::move(shared)}, is_of_calls_{is_of_calls} {
        connection_.use(options.connection(), true);
    }

    /// Runs a script for a room. The words follow the keys.
    template <class... Words>
    [[nodiscard]] PersistenceError eval(std::string_view script, const RedisRoomKeys& keys,
                                        RedisReply& reply, const Words&... words) {
        return ask({"EVAL", script, "3", keys.updates, keys.room, keys.snapshot,
                    std::string_view{words}...},
                   reply);
    }
    template <std::size_t N>
    [[nodiscard]] PersistenceError ask(const std::string_view (&words)[N], RedisReply& reply) {
        PersistenceError error = why_down();
        return error ? error : explained(connection_.call(words, reply));
    }
    template <class F>
    [[nodiscard]] PersistenceError ask_all(const std::string& commands, std::size_t count,
                                           F&& take) {
        PersistenceError error = why_down();
        return error ? error : explained(connection_.call_all(commands, count, take));
    }
    /// Whether the last call failed because of an outage, and not of its room.
    [[nodiscard]] bool is_down() const noexcept { return is_down_; }
    /// Begins an outage for this reason.
    void went_down(const PersistenceError& why) {
        shared_->health.went_down(why);
        // The same name may lead to another server by then.
        connection_.close();
        is_down_ = true;
    }
    [[nodiscard]] PersistenceError explain(const std::error_code& code, const char* words) const {
        return {code, connection_.peer(), words, redis_room_advice(code)};
    }

private:
    [[nodiscard]] PersistenceError why_down() {
        RedisRoomsHealth::Outage outage = shared_->health.outage();
        // Another connection may have found it.
        if (std::exchange(outages_, outage.number) != outage.number) connection_.close();
        is_down_ = outage.lasts();
        return is_down_ ? std::move(outage.why) : PersistenceError{};
    }
    [[nodiscard]] PersistenceError explained(const std::error_code& code) {
        if (is_of_calls_)
            shared_->health.connection(connection_.descriptor() >= 0, connection_.connections());
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

    std::shared_ptr<RedisRoomsShared> shared_;
    RedisConnection connection_;
    std::uint64_t outages_ = 0;  ///< before the last call
    bool is_down_ = false;
    bool is_of_calls_;
};

}}}  // namespace belay::detail
