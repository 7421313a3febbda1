// SPDX-License-Identifier: MIT
/// \file belay/adapter/redis_rooms_options.hpp
/// redis::RoomsOptions: where rooms in Redis are, and how long is waited for what.
#pragma once

#include <chrono>   // std::chrono::milliseconds
#include <cstddef>  // std::size_t
#include <cstdint>  // std::uint16_t
#include <string>   // std::string

#include <belay/adapter/redis_options.hpp>

namespace belay { inline namespace BELAY_ABI { namespace redis {

/// How a Rooms reaches its rooms, and what may wait for it.
struct RoomsOptions {
    /// All keys begin with it; without braces. The same for all servers that share rooms.
    std::string prefix = "belay";

    std::string host = "127.0.0.1";
    std::uint16_t port = 6379;
    /// The path of a Unix domain socket; if not empty, instead of host and port.
    std::string socket{};
    /// Empty: the default user.
    std::string user{};
    /// Neither user nor password: does not log in.
    std::string password{};

    /// For how long a call may connect, and then log in; looking up a name comes on top.
    std::chrono::milliseconds connect_timeout{2'000};
    /// For how long a call may wait for an answer.
    std::chrono::milliseconds command_timeout{5'000};
    /// After an outage began, it is tried again so often; calls fail at once meanwhile.
    std::chrono::milliseconds retry_after{500};
    /// A server that was away for longer than this takes a room that was ended meanwhile for one
    /// that was lost.
    std::chrono::seconds end_is_known{86'400};

    /// Calls that may wait; the next is answered `storage_busy`.
    std::size_t calls_max = 100'000;
    /// Bytes of the updates and snapshots in them, likewise; while there are none, one of any
    /// length is taken.
    std::size_t bytes_max = std::size_t{64} << 20;
    /// Of one answer to a subscription; one entry of any length is taken.
    std::size_t news_entries_max = 256;
    std::size_t news_bytes_max = std::size_t{1} << 20;
    /// What was published to a room and waits to be taken; beyond it the oldest is dropped.
    std::size_t messages_max = 1'000;
    std::size_t messages_bytes_max = std::size_t{1} << 20;
};

}}}  // namespace belay::redis

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The connection of it, as all adapters of Redis have it.
[[nodiscard]] inline redis::Options connection_of(const redis::RoomsOptions& options) {
    redis::Options same{.stream = "rooms", .consumer = "rooms"};
    same.host = options.host;
    same.port = options.port;
    same.socket = options.socket;
    same.user = options.user;
    same.password = options.password;
    same.connect_timeout = options.connect_timeout;
    same.command_timeout = options.command_timeout;
    return same;
}

/// Why rooms cannot be reached so; null if they can.
[[nodiscard]] inline const char* what_is_wrong(const redis::RoomsOptions& options) {
    if (options.prefix.empty() || options.prefix.find_first_of("{}") != std::string::npos) {
        return "redis::RoomsOptions: prefix is empty, or has a brace in it";
    }
    if (what_is_wrong(connection_of(options)) != nullptr) {
        return "redis::RoomsOptions: neither host and port nor socket, a name with a zero in it, a "
               "socket too long, or a time below a millisecond or above a day";
    }
    if (options.retry_after.count() < 1 || options.retry_after > redis_longest ||
        options.end_is_known.count() < 1) {
        return "redis::RoomsOptions: retry_after and end_is_known must be > 0";
    }
    if (options.calls_max == 0 || options.bytes_max == 0 || options.news_entries_max == 0 ||
        options.news_bytes_max == 0 || options.messages_max == 0 ||
        options.messages_bytes_max == 0) {
        return "redis::RoomsOptions: limits must be > 0";
    }
    return nullptr;
}

}}}  // namespace belay::detail
