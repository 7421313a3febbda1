// SPDX-License-Identifier: MIT
// Goal: the example that speaks Redis's protocol by a framing of its own hears what is published, and
// again when the server was killed. Method: the example's process, a real server.
#include "e2e/process.hpp"
#include "support/adapter/redis_server.hpp"
#include "support/catch.hpp"
#include "support/posix/raw_socket.hpp"

using namespace belay_test;

TEST_CASE("The Redis subscriber hears what is published, over an outage",
          "[adapter][redis_subscriber][integration]") {
    const std::string port = std::to_string(RawSocket::listen().port());
    RedisServer server{{"--port", port}};
    e2e::Process example{{REDIS_SUBSCRIBER_BINARY, port, "news"}};
    REQUIRE(example.says("subscribe\r\n$4\r\nnews\r\n:1\r\n"));
    CHECK(server.ask({"PUBLISH", "news", "first"}) == "1");
    CHECK(example.says("$5\r\nfirst\r\n"));
    server.kill();
    server.start();
    REQUIRE(e2e::eventually([&] { return server.ask({"PUBLISH", "news", "second"}) == "1"; }));
    CHECK(example.says("$6\r\nsecond\r\n"));
    server.freeze();
    server.thaw();
    CHECK(server.ask({"PUBLISH", "news", "end"}) == "1");
    CHECK(example.wait() == 0);
}
