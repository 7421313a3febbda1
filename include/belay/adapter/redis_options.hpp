// SPDX-License-Identifier: MIT
/// \file belay/adapter/redis_options.hpp
/// redis::Options: the place, the limits and the timeouts of a queue in Redis.
#pragma once

#include <sys/un.h>

#include <chrono>   // std::chrono::milliseconds
#include <cstddef>  // std::size_t
#include <cstdint>  // std::uint16_t
#include <string>   // std::string

#include <belay/core/assert.hpp>

namespace belay { inline namespace BELAY_ABI { namespace redis {

/// Options of a queue in Redis.
struct Options {
    /// The key of the stream. It belongs to the queue: no other program deletes from it.
    std::string stream{};
    /// The name of this consumer. It must differ from those of all consumers that are open at the
    /// same time. It must be the same again after a restart; then the entries that were leased
    /// under this name come first.
    std::string consumer{};

    std::string host = "127.0.0.1";
    std::uint16_t port = 6379;
    /// The path of a Unix domain socket; if not empty, it replaces host and port.
    std::string socket{};
    /// The user; empty for the default user.
    std::string user{};
    /// The password. If user and password are empty, the queue does not log in.
    std::string password{};

    /// The consumer group; all consumers that share a stream use the same one.
    std::string group = "belay";
    /// How long an entry is leased to a consumer. After that, another consumer may take it over.
    /// All consumers use the same value. It must be longer than the work takes, or see
    /// Stream::renew.
    std::chrono::milliseconds lease{30'000};
    /// How long a call may take to connect, and then again to log in. The lookup of a name comes on
    /// top.
    std::chrono::milliseconds connect_timeout{2'000};
    /// How long a call may wait for an answer.
    std::chrono::milliseconds command_timeout{5'000};
    /// The longest operation in bytes; at most 512 MiB, and at most the server's
    /// proto-max-bulk-len.
    std::size_t record_bytes_max = 1 << 20;
};

}}}  // namespace belay::redis

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The longest lease and the longest wait: a day.
inline constexpr std::chrono::milliseconds redis_longest{86'400'000};

/// Returns why a queue cannot be opened with these options; null if it can.
[[nodiscard]] inline const char* what_is_wrong(const redis::Options& options) noexcept {
    const auto has_end = [](const std::string& text) { return text.find('\0') != text.npos; };
    const auto possible = [](std::chrono::milliseconds time) {
        return time.count() >= 1 && time <= redis_longest;
    };
    if (options.stream.empty()) return "stream is empty";
    if (options.consumer.empty()) return "consumer is empty";
    if (options.group.empty()) return "group is empty";
    if (options.socket.empty() && (options.host.empty() || options.port == 0)) {
        return "set host and port, or socket";
    }
    if (has_end(options.host) || has_end(options.socket))
        return "host or socket contains a zero byte";
    if (options.socket.size() >= sizeof sockaddr_un{}.sun_path) return "socket is too long";
    if (!possible(options.lease) || !possible(options.connect_timeout) ||
        !possible(options.command_timeout)) {
        return "lease, connect_timeout and command_timeout must be from 1 ms to 1 day";
    }
    if (options.record_bytes_max > std::size_t{512} << 20)
        return "record_bytes_max must be at most 512 MiB";
    return nullptr;
}

}}}  // namespace belay::detail
