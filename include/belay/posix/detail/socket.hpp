// SPDX-License-Identifier: MIT
/// \file belay/posix/detail/socket.hpp
/// Socket: the descriptor of a socket, and the few system calls that both ends need.
#pragma once

#include <cerrno>        // errno
#include <cstring>       // std::memcpy
#include <string>        // std::string, std::to_string
#include <system_error>  // std::error_code

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <belay/core/bytes.hpp>
#include <belay/link/detail/dial_race.hpp>
#include <belay/posix/detail/descriptor.hpp>

namespace belay { inline namespace BELAY_ABI { namespace posix::detail {

/// Whether a system call on a socket must only be tried again later.
[[nodiscard]] inline bool would_block(int error) noexcept {
#if EAGAIN != EWOULDBLOCK
    if (error == EWOULDBLOCK) return true;
#endif
    return error == EAGAIN;
}

/// Returns whether more connections may wait after accept(2) has failed with this error. Source:
/// accept(2), "Error handling".
[[nodiscard]] inline bool is_transient(int error) noexcept {
    switch (error) {
        case EINTR:
        case ECONNABORTED:
        case EPROTO:
        case ENETDOWN:
        case ENOPROTOOPT:
        case EHOSTDOWN:
        case EHOSTUNREACH:
        case ENETUNREACH:
            return true;
        default:
            return false;
    }
}

/// A descriptor of a socket.   Thread safety: distinct objects safe.
class Socket : public Descriptor {
public:
    using Descriptor::Descriptor;

    /// Returns a socket for streams, which is TCP or a Unix domain socket. It does not block, and
    /// child processes do not inherit it. If there is none, it is empty, and errno is set.
    [[nodiscard]] static Socket stream(int family) noexcept {
        return Socket{::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
    }

    /// Enables an option.   Returns: false, with errno set, if that is not possible.
    bool enable(int level, int option) const noexcept {
        const int on = 1;
        return ::setsockopt(get(), level, option, &on, sizeof on) == 0;
    }
    /// Returns and clears the error that the kernel keeps for this socket.
    [[nodiscard]] std::error_code take_error() const noexcept {
        int error = 0;
        socklen_t size = sizeof error;
        if (::getsockopt(get(), SOL_SOCKET, SO_ERROR, &error, &size) != 0) return errno_code();
        return {error, std::generic_category()};
    }
};

/// The address of one end of a socket.
struct SocketAddress {
    sockaddr_storage storage{};
    socklen_t size = sizeof storage;

    [[nodiscard]] static SocketAddress local(const Socket& socket) noexcept {
        SocketAddress a;
        if (::getsockname(socket.get(), a.as_sockaddr(), &a.size) != 0) a = {};
        return a;
    }
    [[nodiscard]] static SocketAddress peer(const Socket& socket) noexcept {
        SocketAddress a;
        if (::getpeername(socket.get(), a.as_sockaddr(), &a.size) != 0) a = {};
        return a;
    }
    [[nodiscard]] std::uint16_t port() const noexcept {
        if (storage.ss_family == AF_INET6) {
            return ntohs(reinterpret_cast<const sockaddr_in6&>(storage).sin6_port);
        }
        if (storage.ss_family == AF_INET) {
            return ntohs(reinterpret_cast<const sockaddr_in&>(storage).sin_port);
        }
        return 0;
    }
    [[nodiscard]] sockaddr* as_sockaddr() noexcept { return reinterpret_cast<sockaddr*>(&storage); }
    [[nodiscard]] belay::detail::DialAddress key() const noexcept {
        belay::detail::DialAddress key;
        key.port = port();
        if (storage.ss_family == AF_INET6) {
            const auto& v6 = reinterpret_cast<const sockaddr_in6&>(storage);
            std::memcpy(key.bytes.data(), &v6.sin6_addr, sizeof v6.sin6_addr);
            key.scope = v6.sin6_scope_id;
            key.is_v6 = true;
        } else if (storage.ss_family == AF_INET) {
            const auto& v4 = reinterpret_cast<const sockaddr_in&>(storage);
            std::memcpy(key.bytes.data(), &v4.sin_addr, sizeof v4.sin_addr);
        }
        return key;
    }
    /// Returns the address without the port, "fe80::1%2".   Throws: std::bad_alloc.
    [[nodiscard]] std::string host() const {
        char text[INET6_ADDRSTRLEN] = "?";
        const belay::detail::DialAddress of = key();
        ::inet_ntop(storage.ss_family, of.bytes.data(), text, sizeof text);
        return of.scope == 0 ? std::string{text} : text + ('%' + std::to_string(of.scope));
    }
    /// Returns the address for people, "[::1]:80".   Throws: std::bad_alloc.
    [[nodiscard]] std::string text() const {
        const std::string name = storage.ss_family == AF_INET6 ? '[' + host() + ']' : host();
        return name + ":" + std::to_string(port());
    }
};

/// Starts to connect a socket. If that fails at once, the socket is empty, and `error` is the
/// reason.
[[nodiscard]] inline Socket start_to_connect(SocketAddress& address,
                                             std::error_code& error) noexcept {
    Socket socket = Socket::stream(address.storage.ss_family);
    if (socket) {
        const int answer = ::connect(socket.get(), address.as_sockaddr(), address.size);
        if (answer == 0 || errno == EINPROGRESS || errno == EINTR) return socket;
    }
    error = errno_code();
    return Socket{};
}

/// Whether a socket is connected to itself. TCP may dial a port of its own machine at which nothing
/// listens. If the kernel chooses that same port for the dialling end, the socket connects to
/// itself at once.
[[nodiscard]] inline bool connected_to_itself(const Socket& socket) noexcept {
    const SocketAddress here = SocketAddress::local(socket);
    return here.port() != 0 && here.key() == SocketAddress::peer(socket).key();
}

}}}  // namespace belay::posix::detail
