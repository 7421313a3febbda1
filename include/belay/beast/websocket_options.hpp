// SPDX-License-Identifier: MIT
/// \file belay/beast/websocket_options.hpp
/// beast::WebSocketOptions: the options of a WebSocket transport for its connections.
/// beast::WebSocketErrc: the errors that a WebSocket transport or listener itself reports.
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

/// Errors of WebSockets other than close codes, HTTP statuses and tls::Errc; category
/// "belay.websocket".
enum class WebSocketErrc {
    token_in_clear = 1,  ///< a token would go over the network without TLS
    bad_text = 2,        ///< a control character in a header, token, target or host, or too long
    subprotocol_rejected = 3,  ///< the server did not take the one that was asked for
    // 4 and 5 were errors of TLS, which tls::Errc has now.
    upgrade_malformed = 6,  ///< a client's request does not follow HTTP and RFC 6455
    upgrade_too_large = 7,  ///< a client's request has a header that is too long
    upgrade_timed_out = 8,  ///< a client took too long to send its request
    no_upgrade = 9,         ///< a client requested something else, or another version
    origin_rejected = 10,   ///< a client's page is not one whose scripts may connect
    too_many_upgrades = 11  ///< there are too many connections, in all or from this ip
};

}}}  // namespace belay::beast

namespace belay { inline namespace BELAY_ABI { namespace detail {
inline constexpr ErrorText websocket_error_texts[] = {
    {"a token is sent only over TLS or to this machine: use wss", Cause::forbidden,
     FailureOrigin::local},
    {"a header, token, target or host is too long or contains a character that is not allowed",
     Cause::permanent, FailureOrigin::local},
    {"the server did not accept the requested subprotocol", Cause::protocol,
     FailureOrigin::answered},
    {"", Cause::refused},  // 4 and 5 are not used
    {"", Cause::refused},
    {"the upgrade request is malformed", Cause::protocol},
    {"the header of the upgrade request is too long", Cause::protocol},
    {"the upgrade request did not arrive in time", Cause::timed_out},
    {"the request does not ask for a WebSocket of version 13", Cause::protocol},
    {"pages of this origin must not connect", Cause::forbidden},
    {"there are too many connections or requests", Cause::overloaded},
};

/// Returns the category of beast::WebSocketErrc.
[[nodiscard]] inline const std::error_category& websocket_error_category() noexcept {
    static const TableCategory category{"belay.websocket", websocket_error_texts};
    return category;
}
}}}  // namespace belay::detail

namespace belay { inline namespace BELAY_ABI { namespace beast {

/// Makes a std::error_code of a WebSocketErrc; the implicit conversion calls it.
[[nodiscard]] inline std::error_code make_error_code(WebSocketErrc e) noexcept {
    return {static_cast<int>(e), detail::websocket_error_category()};
}

}}}  // namespace belay::beast

template <>
struct std::is_error_code_enum<belay::beast::WebSocketErrc> : std::true_type {};

namespace belay { inline namespace BELAY_ABI { namespace beast {

/// The kind of messages that is sent and accepted.
///
/// A message of the other kind ends the connection with 1003.
enum class WebSocketFrames : std::uint8_t { binary, text };

/// The messages of a WebSocket connection, on both sides.
struct WebSocketMessages {
    /// Which kind of messages is carried.
    WebSocketFrames frames = WebSocketFrames::binary;
    /// The longest message that is accepted, measured after decompression; a longer one ends the
    /// connection with `too_large_code`.
    std::size_t message_bytes_max = std::size_t{16} << 20;
    /// The close code for a longer message: 1009, or 3000 to 4999.
    ///
    /// For rooms, use RoomOptions::close_codes.too_large (4413). After 1009, a client of Yjs
    /// connects again for ever, with the same message. The connection checks its limit before a
    /// RoomManager receives the message, so the manager's code applies only below that limit.
    int too_large_code = 1009;
    /// The most output that may wait for the kernel before send() returns busy. A
    /// message counts as 64 bytes more than its size. If none waits, one of any length is accepted.
    std::size_t output_bytes_max = std::size_t{1} << 20;
    /// Whether messages may be compressed (permessage-deflate), if the other side agrees.
    bool deflate = false;
    /// The subprotocol: a server must accept it, and a client must offer it. Empty: no subprotocol.
    std::string subprotocol{};
};

/// Options of a WebSocket transport for its connections.
struct WebSocketOptions {
    /// How often and how long a server may reject upgrades: `times`, 5 in a row;
    /// `after_accepting`, 10 min; `before_accepting`, 1 min.
    using Patience = detail::HttpPatience;

    /// The path and query of the request.
    std::string target = "/";
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
    posix::Endpoint proxy = posix::Endpoint();
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
    /// The messages of the connection.
    // Last, and `proxy` is not {}: else GCC 12 warns of their strings at -O3, if the options are a
    // temporary.
    WebSocketMessages messages{};
};

}}}  // namespace belay::beast
