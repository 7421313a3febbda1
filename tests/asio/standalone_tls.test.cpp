// SPDX-License-Identifier: MIT
// Goal: AsioTcp over TLS works with the standalone asio as with Boost's. Method: the same tests.
#include <belay/asio/standalone.hpp>

#include <asio/ssl/context.hpp>

#include "support/asio/tls_suite.hpp"
#include "support/catch.hpp"

TEST_CASE("AsioTcp over TLS works with the standalone asio", "[asio][standalone_tls][unit]") {
    using Suite = belay_test::AsioTlsSuite<asio::io_context, asio::ssl::context>;
    SECTION("check::transport") { Suite::checked(); }
    SECTION("reasons of certificates") { Suite::reasons(); }
    SECTION("messages of any length") { Suite::long_messages(); }
    SECTION("the last byte") { Suite::last_byte(); }
    SECTION("ends") { Suite::ends(); }
    SECTION("bad servers") { Suite::bad_servers(); }
    SECTION("destroyed at any time") { Suite::destroyed_at_any_time(); }
}
