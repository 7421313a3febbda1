// SPDX-License-Identifier: MIT
// Goal: a connection to Redis that a socket makes to itself counts as refused. Method: the system's
// function, replaced by that of the test.
#include <belay/redis/detail/connection.hpp>

#include "support/catch.hpp"
#include "support/posix/own_names.hpp"
#include "support/posix/raw_socket.hpp"

using namespace belay;

TEST_CASE("A dial of a Redis connection that connects to itself counts as refused",
          "[redis][self_connection][regression]") {
    const belay_test::SelfConnections on;
    detail::RedisConnection connection;
    connection.use({.stream = "jobs", .consumer = "one", .port = belay_test::unused_port()});
    detail::RedisReply reply;
    CHECK(connection.call({std::string_view{"PING"}}, reply) == std::errc::connection_refused);
}
