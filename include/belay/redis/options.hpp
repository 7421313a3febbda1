// SPDX-License-Identifier: MIT
/// \file belay/redis/options.hpp
/// redis::Options: the place, the limits and the timeouts of a queue in Redis.
/// RedisTls: what a RedisConnection needs of TLS. redis::Tls implements it.
#pragma once

#include <sys/un.h>

#include <charconv>      // std::from_chars
#include <chrono>        // std::chrono::milliseconds
#include <cstddef>       // std::size_t
#include <cstdint>       // std::uint16_t
#include <memory>        // std::shared_ptr
#include <string>        // std::string
#include <string_view>   // std::string_view
#include <system_error>  // std::errc, std::error_code
#include <vector>        // std::vector

#include <belay/core/assert.hpp>

struct redisContext;

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The result of one step of TLS, which never waits.
struct RedisTlsStep {
    int count = 0;            ///< the bytes; after a handshake 1; 0: not done
    short events = 0;         ///< those of poll(2) after which the step is repeated; 0: it failed
    std::error_code error{};  ///< of a handshake that failed
    const char* reason = "";  ///< the words of OpenSSL; static
};

/// TLS over any number of connections. An interface, so that a RedisConnection compiles and
/// links without the part of hiredis for TLS.
///
/// Thread safety: any thread; each `session` is used by one at a time.
class RedisTls {
public:
    virtual ~RedisTls() = default;
    /// Begins the handshake with `host` if `session` is null, or continues it. The connection owns
    /// the session.
    [[nodiscard]] virtual RedisTlsStep handshake(redisContext& connection, void*& session,
                                                 const std::string& host) const noexcept = 0;
    [[nodiscard]] virtual RedisTlsStep send(void* session,
                                            std::string_view bytes) const noexcept = 0;
    [[nodiscard]] virtual RedisTlsStep receive(void* session, char* to,
                                               std::size_t size) const noexcept = 0;
};

/// The longest name of a host.
inline constexpr std::size_t redis_host_max = 255;

/// Sets `host` to the host of "host:port" or "[host]:port".   Returns: the port; 0 if the address
/// has another form.
[[nodiscard]] inline std::uint16_t redis_port(std::string_view address,
                                              std::string_view& host) noexcept {
    const std::size_t colon = address.rfind(':');
    if (colon == address.npos || colon == 0) return 0;
    unsigned port = 0;
    const char* const end = address.data() + address.size();
    const auto [stop, error] = std::from_chars(address.data() + colon + 1, end, port);
    if (error != std::errc{} || stop != end || port > 65'535) return 0;
    std::string_view name = address.substr(0, colon);
    if (name.front() == '[' && name.back() == ']') name = name.substr(1, name.size() - 2);
    if (name.empty() || name.size() > redis_host_max || name.find('\0') != name.npos) return 0;
    host = name;
    return static_cast<std::uint16_t>(port);
}

}}}  // namespace belay::detail

namespace belay { inline namespace BELAY_ABI { namespace redis {

/// Options of a queue in Redis.
struct Options {
    /// The key of the stream. It belongs to the queue: no other program deletes from it.
    std::string stream{};
    /// The name of this consumer. It must differ from those of all consumers that are open at the
    /// same time. It must be the same again after a restart; then the entries that were leased
    /// under this name come first.
    std::string consumer{};

    /// The host of the server.
    std::string host = "127.0.0.1";
    /// The port. 1 to 65,535.
    std::uint16_t port = 6379;
    /// The path of a Unix domain socket; if not empty, it replaces host and port.
    std::string socket{};
    /// The user; empty for the default user.
    std::string user{};
    /// The password. If user and password are empty, the queue does not log in.
    std::string password{};

    /// Servers of Redis Sentinel, which name the master; see docs/how-to/several-servers.md.
    struct Sentinels {
        /// Each is "host:port", or "[address]:port" for IPv6. If there are any, they replace host,
        /// port and socket.
        std::vector<std::string> addresses{};
        /// The name that the Sentinels have for the master.
        std::string master = "mymaster";
        /// The user and the password of the Sentinels, which are not those of the master.
        std::string user{};
        std::string password{};
    };
    /// The Sentinels to ask; none by default.
    Sentinels sentinels{};
    /// A redis::Tls, for all connections, also to Sentinels; see redis/tls.hpp. If null, there is
    /// no TLS.
    std::shared_ptr<const detail::RedisTls> tls{};

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
    /// The longest operation in bytes, the same for all consumers; at most 512 MiB, and at most the
    /// server's proto-max-bulk-len. Above that, Redis answers `rejected`. hiredis before 1.0 does
    /// not limit the announced length of an array.
    std::size_t record_bytes_max = 1 << 20;

    /// Returns the sentence on what is wrong with these options; it is empty if nothing is.
    [[nodiscard]] std::string_view check() const noexcept {
        if (stream.empty()) return "stream is empty";
        if (consumer.empty()) return "consumer is empty";
        if (group.empty()) return "group is empty";
        for (const std::string& address : sentinels.addresses) {
            std::string_view name;
            if (detail::redis_port(address, name) == 0)
                return "an address of sentinels is not \"host:port\"";
        }
        if (sentinels.addresses.empty() && socket.empty() && (host.empty() || port == 0))
            return "set host and port, or socket";
        if (tls != nullptr && sentinels.addresses.empty() && !socket.empty())
            return "tls needs host and port instead of socket";
        if (sentinels.master.empty() || sentinels.master.find('\0') != std::string::npos)
            return "the master of sentinels is empty, or contains a zero byte";
        if (host.find('\0') != host.npos || socket.find('\0') != socket.npos)
            return "host or socket contains a zero byte";
        if (socket.size() >= sizeof sockaddr_un{}.sun_path) return "socket is too long";
        for (const std::chrono::milliseconds time : {lease, connect_timeout, command_timeout}) {
            if (time.count() < 1 || time > longest)
                return "lease, connect_timeout and command_timeout must be from 1 ms to 1 day";
        }
        if (record_bytes_max > std::size_t{512} << 20)
            return "record_bytes_max must be at most 512 MiB";
        return {};
    }
    /// The longest lease and the longest wait.
    static constexpr std::chrono::milliseconds longest = std::chrono::hours{24};
};

}}}  // namespace belay::redis
