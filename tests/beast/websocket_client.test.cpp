// SPDX-License-Identifier: MIT
// Goal: the example of a WebSocket client reconnects when the server closes it. Method: the
// example's process, and a server in node.
#include "e2e/process.hpp"
#include "support/beast/node_server.hpp"
#include "support/beside_program.hpp"
#include "support/catch.hpp"

using namespace belay_test;

TEST_CASE("The WebSocket client receives its answers over an outage",
          "[beast][websocket_client][integration]") {
    if (!NodeServer::is_here()) return;
    NodeServer server;
    e2e::Process example{
        {beside_program(WEBSOCKET_CLIENT_BINARY), std::to_string(server.port), "/echo", "hi", "2"}};
    REQUIRE(example.prints("answer: hi"));
    server.hang_up();
    CHECK(example.wait() == 0);
    // The connection was not stable yet: its loss counts as a failure.
    CHECK(example.text().find("cooldown\n  since lost: close code 1001") != std::string::npos);
    CHECK(server.line_with("closed") == "closed 1001");
    CHECK(server.line_with("closed") == "closed 1000");
}
