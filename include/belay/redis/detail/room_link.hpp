// SPDX-License-Identifier: MIT
/// \file belay/redis/detail/room_link.hpp
/// RedisRoomLink: a connection of a redis::Rooms, whose commands fail at once during an outage. And
/// the format of rooms in Redis: keys, entry ids as positions, and entries.
#pragma once

#include <algorithm>     // std::copy
#include <charconv>      // std::from_chars
#include <cstddef>       // std::byte, std::size_t
#include <cstdint>       // std::uint64_t
#include <memory>        // std::shared_ptr
#include <optional>      // std::nullopt, std::optional
#include <string>        // std::string
#include <string_view>   // std::string_view
#include <system_error>  // std::errc, std::error_code
#include <utility>       // std::exchange, std::move
#include <vector>        // std::vector

#include <belay/core/bytes.hpp>
#include <belay/core/detail/hex.hpp>
#include <belay/core/random.hpp>
#include <belay/redis/detail/connection.hpp>
#include <belay/redis/detail/room_shared.hpp>
#include <belay/room/fanout_like.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

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
