// SPDX-License-Identifier: MIT
/// \file belay/beast/websocket_options.hpp
/// beast::WebSocketOptions: the options of a WebSocket transport for its connections.
#pragma once

#include <functional>   // std::function
#include <string>       // std::string
#include <string_view>  // std::string_view
#include <utility>      // std::pair
#include <vector>       // std::vector

#include <belay/core/bytes.hpp>
#include <belay/core/failure.hpp>
#include <belay/http/http_message.hpp>
#include <belay/link/detail/dial_race.hpp>
#include <belay/posix/endpoint.hpp>
#include <belay/posix/resolver_like.hpp>

namespace belay { inline namespace BELAY_ABI { namespace beast {

/// The kind of messages that is sent and accepted.
///
/// A message of the other kind ends the connection with 1003.
enum class WebSocketFrames : std::uint8_t { binary, text };

/// Options of a WebSocket transport for its connections.
struct WebSocketOptions {
    using Patience = detail::HttpPatience;

    /// The path and query of the request.
    std::string target = "/";
    /// Which kind of messages is carried.
    WebSocketFrames frames = WebSocketFrames::binary;
    /// The longest message that is accepted, measured after decompression; a longer one ends the
    /// connection with `too_large_code`.
    std::size_t message_bytes_max = std::size_t{16} << 20;
    /// The close code for a longer message: 1009, or 3000 to 4999.
    int too_large_code = 1009;
    /// The most output that may wait for the kernel before send() returns busy. A
    /// message counts as 64 bytes more than its size. If none waits, one of any length is accepted.
    std::size_t output_bytes_max = std::size_t{1} << 20;
    /// Whether messages may be compressed (permessage-deflate), if the server agrees.
    bool deflate = false;
    /// The subprotocol that the server must accept. Empty: no subprotocol.
    std::string subprotocol{};
    /// Additional headers of the request.
    std::vector<std::pair<std::string, std::string>> headers{};
    /// The header, and the prefix of its value, for the token of open(link, token).
    std::string token_header = "Authorization";
    /// The text before the token in the header.
    std::string token_prefix = "Bearer ";
    /// The name under which the query carries the token instead, percent-encoded, if not empty.
    /// Logs of servers and proxies contain queries.
    std::string token_query{};
    /// The proxy, which is asked for a connection by CONNECT, also without TLS; none if its host is
    /// empty. A proxy that is not reached is a failure of this side.
    posix::Endpoint proxy{};
    /// The `Proxy-Authorization` for the proxy, if not empty.
    std::string proxy_authorization{};
    /// How long an address of a name that did not answer is tried last. 0 ns: not at all.
    Duration silent_for = detail::DialMemory::default_time;
    /// The resolver of names, as AsioTcpOptions::resolver.
    posix::ResolverRef resolver{};
    /// Whether TLS accepts any certificate, of any server, without verification. For tests.
    bool insecure_no_verify = false;
    /// Classifies the server's close frame: `(int code, std::string_view reason) -> Failure`. Use
    /// it for a server with codes of its own. The code is 1005 if the frame has none. If this
    /// function is empty, throws, or returns Cause::none, the failure is websocket_failure(code).
    ///
    /// The connection calls it once, on the thread of the context, and not for a stream that ends
    /// without a close frame. It must call nothing of the supervisor. A Failure has no text, so
    /// copy the reason if you need it later.
    std::function<Failure(int code, std::string_view reason)> classify{};
    /// Decides on rejected upgrades before HttpResponse::verdict does. A link uses only `repeats`
    /// of the verdict: without it, the cause is final. The request has the URL, `headers` and the
    /// header `Upgrade`, and never the token. The history is that of the server, for this
    /// transport.
    HttpResponse::Classify classify_upgrade{};
    /// How often and how long a server must reject upgrades, until the link fails.
    /// Patience::at_once(): the first time.
    Patience patience{};
};

}}}  // namespace belay::beast
