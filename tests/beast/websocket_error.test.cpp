// SPDX-License-Identifier: MIT
// Goal: each error has a text, and the cause by which policies decide. Method: all values.
#include <belay/beast/websocket_options.hpp>

#include "support/catch.hpp"

using namespace belay;

TEST_CASE("WebSocketErrc has a cause for every value", "[beast][websocket_error][unit]") {
    CHECK(cause_of(beast::WebSocketErrc::token_in_clear) == Cause::forbidden);
    CHECK(cause_of(beast::WebSocketErrc::bad_text) == Cause::permanent);
    CHECK(cause_of(beast::WebSocketErrc::subprotocol_rejected) == Cause::protocol);
    CHECK(cause_of(beast::WebSocketErrc::upgrade_malformed) == Cause::protocol);
    CHECK(cause_of(beast::WebSocketErrc::upgrade_too_large) == Cause::protocol);
    CHECK(cause_of(beast::WebSocketErrc::upgrade_timed_out) == Cause::timed_out);
    CHECK(cause_of(beast::WebSocketErrc::no_upgrade) == Cause::protocol);
    CHECK(cause_of(beast::WebSocketErrc::origin_rejected) == Cause::forbidden);
    CHECK(cause_of(beast::WebSocketErrc::too_many_upgrades) == Cause::overloaded);
    const std::error_code error = beast::WebSocketErrc::token_in_clear;
    CHECK(error.message() == "a token is sent only over TLS or to this machine: use wss");
    CHECK(std::string_view{error.category().name()} == "belay.websocket");
}
