// SPDX-License-Identifier: MIT
/// \file belay/curl/detail/sockets.hpp
/// CurlSockets: finds input on a kept connection that no request has asked for.
#pragma once

#include <cstddef>  // std::size_t
#include <cstdint>  // std::uint16_t
#include <vector>   // std::vector

#include <curl/curl.h>
#include <sys/socket.h>

#include <belay/posix/detail/socket.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The sockets that libcurl has used. It keeps those of idle connections, and may have closed any.
///
/// Thread safety: the loop's thread.
class CurlSockets {
public:
    /// A request uses this socket.   Throws: std::bad_alloc.
    void begin(curl_socket_t socket) {
        const auto i = static_cast<std::size_t>(socket);
        if (idle_ports_.size() <= i) idle_ports_.resize(i + 1);
        idle_ports_[i] = 0;
    }
    /// `last`, the last request that used this socket, does not use it any more. A connection of
    /// HTTP/2 has input at any time, and numbers its responses.
    void end(curl_socket_t socket, CURL* last) noexcept {
        const auto i = static_cast<std::size_t>(socket);
        long version = CURL_HTTP_VERSION_NONE;
        static_cast<void>(curl_easy_getinfo(last, CURLINFO_HTTP_VERSION, &version));
        const bool is_http1 = version == CURL_HTTP_VERSION_1_0 || version == CURL_HTTP_VERSION_1_1;
        if (is_http1 && i < idle_ports_.size()) idle_ports_[i] = local_port(socket);
    }
    /// Returns whether the idle connection of HTTP/1 from this local port has input. It was sent
    /// before the next request, so it is no response to that one.
    [[nodiscard]] bool has_input(int port) const noexcept {
        if (port <= 0) return false;
        for (std::size_t i = 0; i < idle_ports_.size(); ++i) {
            if (idle_ports_[i] != port) continue;
            const auto socket = static_cast<curl_socket_t>(i);
            char byte = 0;
            // The number may be that of another socket by now.
            if (local_port(socket) == port &&
                ::recv(socket, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0) {
                return true;
            }
        }
        return false;
    }

private:
    [[nodiscard]] static std::uint16_t local_port(curl_socket_t socket) noexcept {
        posix::detail::SocketAddress address;
        if (::getsockname(socket, address.as_sockaddr(), &address.size) != 0) return 0;
        return address.port();
    }

    std::vector<std::uint16_t>
        idle_ports_{};  // by the number of the socket; 0 if it is not checked
};

}}}  // namespace belay::detail
