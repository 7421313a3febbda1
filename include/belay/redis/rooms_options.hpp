// SPDX-License-Identifier: MIT
/// \file belay/redis/rooms_options.hpp
/// redis::RoomsOptions: the place, the limits and the timeouts of rooms in Redis. RoomsStatus:
/// their connection, and what was lost.
#pragma once

#include <chrono>        // std::chrono::milliseconds, std::chrono::steady_clock
#include <cstddef>       // std::size_t
#include <cstdint>       // std::uint16_t, std::uint64_t
#include <memory>        // std::shared_ptr
#include <optional>      // std::optional
#include <string>        // std::string
#include <string_view>   // std::string_view
#include <system_error>  // std::error_code

#include <belay/redis/options.hpp>

namespace belay { inline namespace BELAY_ABI { namespace redis {

/// Options for the connections of a Rooms, and its limits.
struct RoomsOptions {
    /// The prefix of all keys, without braces; the same for all servers that share rooms.
    std::string prefix = "belay";

    /// The host of the server.
    std::string host = "127.0.0.1";
    /// The port. 1 to 65,535.
    std::uint16_t port = 6379;
    /// The path of a Unix domain socket; if not empty, it replaces host and port.
    std::string socket{};
    /// The user; empty for the default user.
    std::string user{};
    /// The password. If user and password are empty, Rooms does not log in.
    std::string password{};
    /// Servers of Redis Sentinel, which name the master; see docs/how-to/several-servers.md.
    Options::Sentinels sentinels{};
    /// A redis::Tls, for all connections, also to Sentinels; see redis/tls.hpp. If null, there is
    /// no TLS.
    std::shared_ptr<const detail::RedisTls> tls{};

    /// How long a call may take to connect, and then again to log in. The lookup of a name comes on
    /// top.
    std::chrono::milliseconds connect_timeout{2'000};
    /// How long a call may wait for an answer.
    std::chrono::milliseconds command_timeout{5'000};
    /// The time between two tries to connect during an outage; calls fail at once meanwhile.
    std::chrono::milliseconds retry_after{500};
    /// How long the end of a room is remembered. A server that was away for longer takes a room
    /// that was ended meanwhile for one that was lost.
    std::chrono::seconds end_is_known{86'400};

    /// The most memory for changes that wait for their flush, in bytes. More changes are rejected:
    /// storage_busy.
    std::size_t unflushed_bytes_max = std::size_t{64} << 20;
    /// The most bytes that this server adds to a room between two saves. Above, the room is
    /// `rooms_to_save`, so that the stream does not become long, and a RoomManager saves it at
    /// once.
    std::size_t uncovered_bytes_max = std::size_t{64} << 20;
    /// The most bytes of a reply, in addition to 64 MiB. A room whose snapshot is longer is not
    /// loaded (`redis::Errc::reply_too_long`). By default, Redis itself limits a snapshot to this
    /// length.
    std::size_t reply_bytes_max = std::size_t{512} << 20;
    /// The most entries in one answer to a subscription.
    std::size_t batch_entries_max = 256;
    /// The most bytes of these entries; a single entry of any length is accepted.
    std::size_t batch_bytes_max = std::size_t{1} << 20;

    /// Returns the options of the connection, in the form that redis::Stream uses, too.
    [[nodiscard]] Options connection() const {
        return {.stream = "rooms",
                .consumer = "rooms",
                .host = host,
                .port = port,
                .socket = socket,
                .user = user,
                .password = password,
                .sentinels = sentinels,
                .tls = tls,
                .connect_timeout = connect_timeout,
                .command_timeout = command_timeout,
                .record_bytes_max = reply_bytes_max};
    }
    /// Returns the sentence on what is wrong with these options; it is empty if nothing is.
    /// Throws: std::bad_alloc.
    [[nodiscard]] std::string_view check() const {
        if (prefix.empty() || prefix.find_first_of("{}") != std::string::npos)
            return "redis::RoomsOptions: prefix must not be empty or contain a brace";
        if (reply_bytes_max > std::size_t{512} << 20)
            return "redis::RoomsOptions: reply_bytes_max must be at most 512 MiB";
        if (tls != nullptr && sentinels.addresses.empty() && !socket.empty())
            return "redis::RoomsOptions: tls needs host and port instead of socket";
        if (!connection().check().empty()) {
            return "redis::RoomsOptions: set host and port, a socket, or sentinels as "
                   "\"host:port\", without zero bytes and not too long, and timeouts from 1 ms to "
                   "1 "
                   "day";
        }
        if (retry_after.count() < 1 || retry_after > Options::longest || end_is_known.count() < 1)
            return "redis::RoomsOptions: retry_after and end_is_known must be > 0, and retry_after "
                   "at most 1 day";
        if (unflushed_bytes_max == 0 || uncovered_bytes_max == 0 || reply_bytes_max == 0 ||
            batch_entries_max == 0 || batch_bytes_max == 0)
            return "redis::RoomsOptions: limits must be > 0";
        return {};
    }
};

/// The connection of a redis::Rooms, and what was lost since it was constructed.
///
/// Thread safety: a plain value.
struct RoomsStatus {
    /// When the connection of the calls was made. Empty before the first call, and after a failure
    /// until the next call has connected.
    std::optional<std::chrono::steady_clock::time_point> connected_since{};
    /// The reason of the last outage; it stays when the outage has ended.
    std::error_code last_outage{};
    std::uint64_t connections = 0;  ///< connections of the calls that were made
    std::uint64_t outages = 0;      ///< failures after which calls failed for a while
    std::uint64_t gaps = 0;         ///< answers to subscriptions that reported lost entries

    /// Messages that Redis did not publish, or that an outage dropped. Redis may have published
    /// some that it received before the outage.
    std::uint64_t messages_lost = 0;

    std::size_t subscriptions = 0;  ///< rooms whose changes this server receives
    std::size_t rooms_to_save = 0;  ///< rooms above RoomsOptions::uncovered_bytes_max
    std::size_t rooms_known = 0;    ///< rooms whose histories are remembered
};

}}}  // namespace belay::redis
