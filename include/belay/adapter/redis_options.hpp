// SPDX-License-Identifier: MIT
/// \file belay/adapter/redis_options.hpp
/// redis::Options: where a queue in Redis is, and how long it waits for what.
#pragma once

#include <sys/un.h>

#include <chrono>   // std::chrono::milliseconds
#include <cstddef>  // std::size_t
#include <cstdint>  // std::uint16_t
#include <string>   // std::string

#include <belay/core/assert.hpp>

namespace belay { inline namespace BELAY_ABI { namespace redis {

/// How a queue in Redis is opened.
struct Options {
    /// The key of the stream. It belongs to the queue: nobody else deletes from it.
    std::string stream{};
    /// This consumer's name: another for each of those that are open at the same time, the same
    /// again after a restart. What was lent under this name comes first then.
    std::string consumer{};

    std::string host = "127.0.0.1";
    std::uint16_t port = 6379;
    /// The path of a Unix domain socket; if not empty, instead of host and port.
    std::string socket{};
    /// Empty: the default user.
    std::string user{};
    /// Neither user nor password: does not log in.
    std::string password{};

    /// The consumer group; all who share a stream name the same one.
    std::string group = "belay";
    /// For how long a value is lent: then this consumer may take it over from another one. The same
    /// for all, and longer than the work takes, or see Stream::renew.
    std::chrono::milliseconds lease{30'000};
    /// For how long a call may connect, and then log in; looking up a name comes on top.
    std::chrono::milliseconds connect_timeout{2'000};
    /// For how long a call may wait for an answer.
    std::chrono::milliseconds command_timeout{5'000};
    /// The longest operation; at most 512 MiB, and what the server's proto-max-bulk-len allows.
    std::size_t record_bytes_max = 1 << 20;
};

}}}  // namespace belay::redis

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// No lease and no wait is longer: a day.
inline constexpr std::chrono::milliseconds redis_longest{86'400'000};

/// Why a queue cannot be opened so; null if it can.
[[nodiscard]] inline const char* what_is_wrong(const redis::Options& options) noexcept {
    const auto has_end = [](const std::string& text) { return text.find('\0') != text.npos; };
    const auto possible = [](std::chrono::milliseconds time) {
        return time.count() >= 1 && time <= redis_longest;
    };
    if (options.stream.empty()) return "stream is empty";
    if (options.consumer.empty()) return "consumer is empty";
    if (options.group.empty()) return "group is empty";
    if (options.socket.empty() && (options.host.empty() || options.port == 0)) {
        return "there is neither host and port nor socket";
    }
    if (has_end(options.host) || has_end(options.socket)) return "a name with a zero in it";
    if (options.socket.size() >= sizeof sockaddr_un{}.sun_path) return "socket is too long";
    if (!possible(options.lease) || !possible(options.connect_timeout) ||
        !possible(options.command_timeout)) {
        return "a time below a millisecond or above a day";
    }
    if (options.record_bytes_max > std::size_t{512} << 20) return "record_bytes_max is too large";
    return nullptr;
}

}}}  // namespace belay::detail
