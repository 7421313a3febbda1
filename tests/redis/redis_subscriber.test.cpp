// SPDX-License-Identifier: MIT
// Goal: the example that reads Redis's protocol with its own framing receives published
// messages, also after the server was killed or the network failed. Method: the example's
// process, a real server, and a proxy between them.
#include "e2e/process.hpp"
#include "support/beside_program.hpp"
#include "support/catch.hpp"
#include "support/posix/proxy.hpp"
#include "support/posix/raw_socket.hpp"
#include "support/redis/server.hpp"

using namespace belay_test;

TEST_CASE("The Redis subscriber receives messages over an outage",
          "[redis][redis_subscriber][integration]") {
    const std::string port = std::to_string(unused_port());
    RedisServer server{{"--port", port}};
    e2e::Process example{{beside_program(REDIS_SUBSCRIBER_BINARY), port, "news"}};
    REQUIRE(example.prints("subscribe\r\n$4\r\nnews\r\n:1\r\n"));
    CHECK(server.command({"PUBLISH", "news", "first"}) == "1");
    CHECK(example.prints("$5\r\nfirst\r\n"));
    server.kill();
    server.start();
    REQUIRE(e2e::eventually([&] { return server.command({"PUBLISH", "news", "second"}) == "1"; }));
    CHECK(example.prints("$6\r\nsecond\r\n"));
    server.freeze();
    server.thaw();
    CHECK(server.command({"PUBLISH", "news", "end"}) == "1");
    CHECK(example.wait() == 0);
}

TEST_CASE("The Redis subscriber prints no partial message over a network that fails",
          "[redis][redis_subscriber][integration]") {
    const std::uint16_t port = unused_port();
    RedisServer server{{"--port", std::to_string(port)}};
    Proxy proxy{port};
    // The answer to the subscription has 33 bytes, so the first message is cut in its middle.
    proxy.script({{.trickle = true}, {60, ConnectionFault::Then::reset, true}});
    e2e::Process example{
        {beside_program(REDIS_SUBSCRIBER_BINARY), std::to_string(proxy.port()), "news"}};
    REQUIRE(example.prints("subscribe\r\n$4\r\nnews\r\n:1\r\n"));
    proxy.script({});
    CHECK(server.command({"PUBLISH", "news", "broken off"}) == "1");
    REQUIRE(e2e::eventually([&] { return proxy.connections() == 2; }));
    REQUIRE(e2e::eventually([&] { return server.command({"PUBLISH", "news", "second"}) == "1"; }));
    CHECK(example.prints("$6\r\nsecond\r\n"));
    CHECK(example.text().find("broken") == std::string::npos);
    proxy.now(ConnectionFault::Then::hold);
    CHECK(server.command({"PUBLISH", "news", "late"}) == "1");
    proxy.now(ConnectionFault::Then::pass);
    CHECK(example.prints("$4\r\nlate\r\n"));
    CHECK(server.command({"PUBLISH", "news", "end"}) == "1");
    CHECK(example.wait() == 0);
}
