// SPDX-License-Identifier: MIT
/// \file tests/support/posix/black_hole.hpp
/// Hosts of the loopback at one port: some listen, some drop packets, and the others refuse.
#pragma once

#include <cstdlib>
#include <string>
#include <vector>

#include <belay/posix/detail/addresses.hpp>

#include "support/posix/raw_socket.hpp"

namespace belay_test {

/// The socket address of a numeric host. The threads of resolvers call it, too, so it must
/// not use the test framework.
inline belay::posix::detail::SocketAddress numeric(const std::string& host, std::uint16_t port) {
    belay::posix::detail::Addresses addresses;
    if (addresses.resolve_numeric({host, port}, false)) std::abort();
    std::vector<belay::posix::detail::SocketAddress> all;
    belay::posix::detail::append(all, addresses.first());
    return all.front();
}
/// Gives every name these addresses.
struct ListResolver {
    std::vector<std::string> hosts;
    void look_up(const std::string&, belay::Completion<belay::posix::HostAddresses> done) const {
        done({hosts, {}});
    }
};
inline RawSocket socket_for(const std::string& host, int flags = 0) {
    const int family = host.find(':') != std::string::npos ? AF_INET6 : AF_INET;
    return RawSocket{::socket(family, SOCK_STREAM | SOCK_CLOEXEC | flags, 0)};
}
/// Listens at a host of the loopback. Port 0 selects a port that is free at the other hosts, too.
inline RawSocket listen_at(const std::string& host, std::uint16_t port = 0, int backlog = 16) {
    RawSocket s = socket_for(host);
    auto a = numeric(host, port == 0 ? unused_port() : port);
    REQUIRE(::bind(s.fd(), a.as_sockaddr(), a.size) == 0);
    REQUIRE(::listen(s.fd(), backlog) == 0);
    return s;
}
/// Whether this machine has the IPv6 loopback.
inline bool has_ipv6() {
    const RawSocket s = socket_for("::1");
    auto a = numeric("::1", 0);
    return s.fd() >= 0 && ::bind(s.fd(), a.as_sockaddr(), a.size) == 0;
}

/// Drops packets like a firewall: when the queue of a listening socket is full, the kernel drops
/// further packets.
class BlackHole {
public:
    explicit BlackHole(const std::string& host, std::uint16_t port = 0)
        : listener_{listen_at(host, port, 0)} {
        auto a = numeric(host, this->port());
        for (int i = 0; i < 4; ++i) {
            fill_.push_back(socket_for(host, SOCK_NONBLOCK));
            ::connect(fill_.back().fd(), a.as_sockaddr(), a.size);
        }
    }
    std::uint16_t port() const {
        return belay::posix::detail::SocketAddress::local(
                   belay::posix::detail::Socket{::dup(listener_.fd())})
            .port();
    }

private:
    RawSocket listener_;
    std::vector<RawSocket> fill_;
};

}  // namespace belay_test
