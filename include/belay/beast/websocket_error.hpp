// SPDX-License-Identifier: MIT
/// \file belay/beast/websocket_error.hpp
/// beast::WebSocketErrc: the errors that a WebSocket transport or listener itself reports.
#pragma once

#include <belay/core/failure.hpp>

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
