// SPDX-License-Identifier: MIT
// Goal: the example of a Redis client gets answers again after its server was frozen and killed,
// and no command gets the answer of another. Method: the example's process and a real server.
#include "e2e/process.hpp"
#include "support/beside_program.hpp"
#include "support/catch.hpp"
#include "support/posix/raw_socket.hpp"
#include "support/redis/server.hpp"

using namespace belay_test;

TEST_CASE("The Redis client continues after its server was frozen and killed",
          "[redis][redis_client][integration]") {
    const std::string port = std::to_string(unused_port());
    RedisServer server{{"--port", port}};
    e2e::Process example{{beside_program(REDIS_CLIENT_BINARY), port}};
    const auto counts_after = [&](const std::string& event) {
        return e2e::eventually([&] {
            const std::string& text = example.text();
            return text.find("visits :", text.rfind(event)) != std::string::npos;
        });
    };
    REQUIRE(example.prints("connected\nvisits :1\n"));
    server.freeze();
    CHECK(example.prints("visits timed_out: the peer did not answer in time\n"));
    // Three deadlines without any message end the connection.
    REQUIRE(example.prints("disconnected: timed_out: the peer did not answer in time\n"));
    server.thaw();
    CHECK(counts_after("disconnected: timed_out"));
    server.kill();
    REQUIRE(example.prints("disconnected: lost"));
    server.start();
    CHECK(counts_after("disconnected: lost"));
    CHECK(server.command({"SET", "end", "1"}) == "OK");
    CHECK(example.wait() == 0);
}
