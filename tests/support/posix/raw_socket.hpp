// SPDX-License-Identifier: MIT
/// \file tests/support/posix/raw_socket.hpp
/// Plain sockets on the loopback, for peers that behave as belay never does.
#pragma once

#include <cerrno>
#include <cstring>
#include <random>
#include <string>
#include <string_view>
#include <utility>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "support/catch.hpp"
#include "support/eventually.hpp"

namespace belay_test {

/// Whether no socket of this machine has the port, at any host.
inline bool is_unused_port(std::uint16_t port) {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in any{};
    any.sin_family = AF_INET;
    any.sin_port = htons(port);
    const int in4 = ::bind(fd, reinterpret_cast<const sockaddr*>(&any), sizeof any);
    ::close(fd);
    const int fd6 = ::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in6 any6{};
    any6.sin6_family = AF_INET6;
    any6.sin6_port = htons(port);
    // Without IPv6 no port can be in use.
    const int in6 =
        fd6 < 0 ? 0 : ::bind(fd6, reinterpret_cast<const sockaddr*>(&any6), sizeof any6);
    const bool is_used6 = in6 != 0 && errno == EADDRINUSE;
    if (fd6 >= 0) ::close(fd6);
    return in4 == 0 && !is_used6;
}

/// A port that no socket of this machine has, at any host. Systems assign ports above 32,767 to
/// sockets that connect, so that a port of one host may be in use at another. The returned port is
/// below.
inline std::uint16_t unused_port(int lowest = 20000, int highest = 32000) {
    std::random_device draw;
    std::uniform_int_distribution<int> ports{lowest, highest};
    for (;;) {
        const auto port = static_cast<std::uint16_t>(ports(draw));
        if (is_unused_port(port)) return port;
    }
}

/// A blocking socket; every read has the limit `wait_max`, so that a failing test ends.
class RawSocket {
public:
    explicit RawSocket(int fd = -1) : fd_{fd} {}
    RawSocket(RawSocket&& other) noexcept : fd_{std::exchange(other.fd_, -1)} {}
    RawSocket& operator=(RawSocket&& other) noexcept {
        std::swap(fd_, other.fd_);
        return *this;
    }
    ~RawSocket() {
        if (fd_ >= 0) ::close(fd_);
    }

    static RawSocket connect(std::uint16_t port) {
        RawSocket s = try_connect(port);
        REQUIRE(s.fd_ >= 0);
        return s;
    }
    /// Has no descriptor if no socket listens, or if `from` is no address of this machine. It
    /// asserts nothing: proxies call it on their own threads, and Catch counts assertions on one
    /// thread.
    static RawSocket try_connect(std::uint16_t port, const std::string& from = "127.0.0.1") {
        RawSocket s{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
        sockaddr_in own = loopback(0);
        const sockaddr_in a = loopback(port);
        if (::inet_pton(AF_INET, from.c_str(), &own.sin_addr) != 1 ||
            ::bind(s.fd_, reinterpret_cast<const sockaddr*>(&own), sizeof own) != 0 ||
            ::connect(s.fd_, reinterpret_cast<const sockaddr*>(&a), sizeof a) != 0) {
            s.close();
            return s;
        }
        // Each send must be a packet of its own.
        const int on = 1;
        ::setsockopt(s.fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        return s;
    }
    static RawSocket listen(int backlog = 16, std::uint16_t port = 0) {
        RawSocket s{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
        const int on = 1;
        ::setsockopt(s.fd_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        const sockaddr_in a = loopback(port);
        REQUIRE(::bind(s.fd_, reinterpret_cast<const sockaddr*>(&a), sizeof a) == 0);
        REQUIRE(::listen(s.fd_, backlog) == 0);
        return s;
    }
    std::uint16_t port() const {
        sockaddr_in a{};
        socklen_t size = sizeof a;
        REQUIRE(::getsockname(fd_, reinterpret_cast<sockaddr*>(&a), &size) == 0);
        return ntohs(a.sin_port);
    }
    RawSocket accept() const {
        REQUIRE(readable());
        return RawSocket{::accept4(fd_, nullptr, nullptr, SOCK_CLOEXEC)};
    }
    void send(std::string_view bytes) const {
        REQUIRE(::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL) ==
                static_cast<ssize_t>(bytes.size()));
    }
    /// Exactly this many bytes, or fewer at the end of the stream.
    std::string read(std::size_t bytes) const {
        std::string text(bytes, '\0');
        std::size_t have = 0;
        while (have < bytes) {
            REQUIRE(readable());
            const ssize_t n = ::recv(fd_, text.data() + have, bytes - have, 0);
            if (n <= 0) break;
            have += static_cast<std::size_t>(n);
        }
        text.resize(have);
        return text;
    }
    /// The bytes that have arrived already.
    std::string read_some() const {
        std::string text(1 << 16, '\0');
        const ssize_t n = ::recv(fd_, text.data(), text.size(), MSG_DONTWAIT);
        text.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
        return text;
    }
    bool ended() const {
        char c;
        return ::recv(fd_, &c, 1, MSG_DONTWAIT | MSG_PEEK) == 0;
    }
    /// Closes with a reset instead of an orderly end.
    void reset() {
        const linger l{1, 0};
        ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &l, sizeof l);
        close();
    }
    void close() {
        if (fd_ >= 0) ::close(std::exchange(fd_, -1));
    }
    void shut_down_writing() const { ::shutdown(fd_, SHUT_WR); }
    int fd() const { return fd_; }

private:
    static sockaddr_in loopback(std::uint16_t port) {
        sockaddr_in a{};
        a.sin_family = AF_INET;
        a.sin_port = htons(port);
        a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        return a;
    }
    bool readable() const {
        pollfd p{fd_, POLLIN, 0};
        return ::poll(&p, 1, static_cast<int>(wait_max / std::chrono::milliseconds{1})) == 1;
    }

    int fd_;
};

}  // namespace belay_test
