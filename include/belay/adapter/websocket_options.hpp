// SPDX-License-Identifier: MIT
/// \file belay/adapter/websocket_options.hpp
/// beast::WebSocketOptions: how a WebSocket transport asks for its connections.
#pragma once

#include <string>   // std::string
#include <utility>  // std::pair
#include <vector>   // std::vector

#include <belay/core/bytes.hpp>
#include <belay/posix/endpoint.hpp>

namespace belay { inline namespace BELAY_ABI { namespace beast {

/// Which kind of message is sent, and taken; the other kind ends the connection with 1003.
enum class WebSocketFrames : std::uint8_t { binary, text };

/// How a WebSocket transport asks for its connections.
struct WebSocketOptions {
    /// The path and query of the request.
    std::string target = "/";
    WebSocketFrames frames = WebSocketFrames::binary;
    /// The longest message that is taken, measured after it is inflated; a longer one ends the
    /// connection with 1009.
    std::size_t message_bytes_max = std::size_t{16} << 20;
    /// Output that may wait for the kernel, before send() answers busy. When none waits, a message
    /// of any length is taken.
    std::size_t output_bytes_max = std::size_t{1} << 20;
    /// Whether messages may be compressed (permessage-deflate), where the server agrees.
    bool deflate = false;
    /// Asked of the server, which must take it; none if empty.
    std::string subprotocol{};
    /// Sent with the request, in addition.
    std::vector<std::pair<std::string, std::string>> headers{};
    /// Where a token goes that open(link, token) is given: a header, behind a prefix.
    std::string token_header = "Authorization";
    std::string token_prefix = "Bearer ";
    /// If not empty: the token goes into the query instead, by this name. Queries stand in the logs
    /// of servers and proxies.
    std::string token_query{};
    /// A proxy, which is asked for the connection by CONNECT; none if its host is empty.
    posix::Endpoint proxy{};
    /// The `Proxy-Authorization` for it, if not empty.
    std::string proxy_authorization{};
    /// Of TLS: takes any certificate, of anybody. For tests.
    bool insecure_no_verify = false;
};

}}}  // namespace belay::beast
