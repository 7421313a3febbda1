// SPDX-License-Identifier: MIT
// Goal: redis::Stream is a storage, first in and first out for one consumer, over reopenings.
// Method: the storage check and single cases with a redis-server of its own.
#include <belay/redis/stream.hpp>

#include <netinet/in.h>
#include <sys/socket.h>

#include <thread>

#include "support/queue/storage_conformance.hpp"
#include "support/redis/server.hpp"

using namespace belay;
using namespace std::literals;
using belay_test::first_of;
using belay_test::opened;
using belay_test::RedisServer;

static_assert(std::is_nothrow_move_constructible_v<redis::Stream> &&
              std::is_nothrow_move_assignable_v<redis::Stream> &&
              !std::is_copy_constructible_v<redis::Stream>);
static_assert(explain::leasable_like<redis::Stream>());

namespace {

/// Whether this process has a connection to the port that detects a dead peer.
bool keeps_alive(std::uint16_t port) {
    for (int fd = 0; fd < 1024; ++fd) {
        sockaddr_in peer{};
        socklen_t length = sizeof peer;
        if (::getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &length) != 0) continue;
        if (peer.sin_family != AF_INET || ntohs(peer.sin_port) != port) continue;
        int is_on = 0;
        length = sizeof is_on;
        if (::getsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &is_on, &length) == 0) return is_on != 0;
    }
    return false;
}

}  // namespace

TEST_CASE("check::storage finds no fault in redis::Stream, opened again and again",
          "[redis][stream][property]") {
    const RedisServer server;
    int made = 0;
    const auto open = [&] {
        redis::Options options = server.options("one");
        options.stream = std::to_string(made);
        return opened(options);
    };
    belay_test::check_storage_conformance(
        [&] {
            ++made;
            return open();
        },
        [](std::uint64_t i) { return Bytes(i % 500, std::byte(i)); }, open,
        {.histories = 20, .steps = 150, .fill = 20});
    CHECK(made == 21);
}

TEST_CASE("redis::Stream keeps operations in order, over openings", "[redis][stream][unit]") {
    const RedisServer server;
    for (int n = 0; n < 20; ++n) {
        REQUIRE_FALSE(server.open("one").try_push(as_bytes(std::to_string(n))));
    }
    for (int n = 0; n < 20; ++n) {
        redis::Stream queue = server.open("one");
        REQUIRE(queue.size() == static_cast<std::size_t>(20 - n));
        REQUIRE(first_of(queue) == std::to_string(n));
        if (n % 3 == 0) {
            REQUIRE_FALSE(queue.ack());
        } else if (n % 3 == 1) {
            REQUIRE_FALSE(queue.nack());
            REQUIRE(queue.try_pop());
        } else {
            // It is closed during a lease.
            queue = server.open("one");
            REQUIRE(as_text(*queue.try_pop()) == std::to_string(n));
        }
    }
    redis::Stream queue = server.open("one");
    CHECK(queue.front().error() == QueueErrc::queue_empty);
    CHECK_FALSE(queue.try_pop());
    CHECK(queue.size() == 0);
}

TEST_CASE("redis::Stream keeps all bytes, and does not interpret names", "[redis][stream][unit]") {
    const RedisServer server;
    const std::string odd = "a b\r\nXDEL \0'\"} \xff$3"s;
    redis::Options options = server.options(odd);
    options.stream = odd + "s";
    options.group = odd + "g";
    redis::Stream queue = opened(options);
    Bytes every;
    for (int i = 0; i < 256; ++i) every.push_back(static_cast<std::byte>(i));
    const Bytes large(1 << 20, std::byte{'\n'});
    for (const Bytes& body : {every, Bytes{}, large}) REQUIRE_FALSE(queue.try_push(body));
    for (const Bytes& body : {every, Bytes{}, large}) CHECK(queue.try_pop() == body);
    CHECK(server.command({"EXISTS", odd + "s"}) == "1");
}

TEST_CASE("redis::Stream works under a Queue", "[redis][stream][unit]") {
    const RedisServer server;
    belay_test::check_under_queue(server.open("one"));
}

TEST_CASE("redis::Stream accepts no operation above the limit", "[redis][stream][unit]") {
    const RedisServer server;
    redis::Options options = server.options("one");
    options.record_bytes_max = 10;
    redis::Stream queue = opened(options);
    CHECK_FALSE(queue.try_push(Bytes(10)));
    CHECK(queue.try_push(Bytes(11)) == QueueErrc::too_large);
    CHECK(queue.explain(make_error_code(QueueErrc::too_large)).message().find("raise record") !=
          std::string::npos);
    CHECK(queue.size() == 1);
}

TEST_CASE("redis::Stream keeps its front when it is moved", "[redis][stream][unit]") {
    const RedisServer server;
    redis::Stream queue = server.open("one");
    REQUIRE_FALSE(queue.try_push(as_bytes("a")));
    REQUIRE_FALSE(queue.try_push(as_bytes("b")));
    const BytesView lent = *queue.front();
    redis::Stream moved = server.open("two");
    moved = std::move(queue);
    CHECK(as_text(lent) == "a");
    CHECK(first_of(moved) == "a");
    CHECK_FALSE(moved.ack());
    CHECK(first_of(moved) == "b");
}

TEST_CASE("redis::Stream deletes acknowledged values, and no others", "[redis][stream][unit]") {
    const RedisServer server;
    redis::Stream queue = server.open("one");
    for (const char* text : {"a", "b", "c"}) REQUIRE_FALSE(queue.try_push(as_bytes(text)));
    REQUIRE(queue.try_pop());
    REQUIRE(queue.front());
    CHECK(server.command({"XLEN", "jobs"}) == "2");
    CHECK(server.command({"XPENDING", "jobs", "belay"}).starts_with("1,"));
    REQUIRE_FALSE(queue.ack());
    REQUIRE(queue.try_pop());
    CHECK(server.command({"XLEN", "jobs"}) == "0");
    CHECK(server.command({"XPENDING", "jobs", "belay"}).starts_with("0,"));
}

TEST_CASE("redis::Stream finds values that were pushed before its group existed",
          "[redis][stream][unit]") {
    const RedisServer server;
    server.command({"XADD", "jobs", "*", "body", "early"});
    // They are pushed by another program, with more fields than belay needs.
    server.command({"XADD", "jobs", "*", "from", "shell", "body", "second", "body", "third"});
    redis::Stream queue = server.open("one");
    CHECK(as_text(*queue.try_pop()) == "early");
    CHECK(as_text(*queue.try_pop()) == "second");
}

TEST_CASE("redis::Stream::front returns an error for an entry without body, and ack() removes it",
          "[redis][stream][unit]") {
    const RedisServer server;
    server.command({"XADD", "jobs", "*", "text", "no body"});
    redis::Stream queue = server.open("one");
    REQUIRE_FALSE(queue.try_push(as_bytes("good")));
    CHECK(queue.front().error() == QueueErrc::bad_encoding);
    CHECK_FALSE(queue.try_pop());
    CHECK(queue.front().error() == QueueErrc::bad_encoding);
    CHECK(queue.explain(queue.front().error()).message().find("ack() deletes the entry") !=
          std::string::npos);
    CHECK(queue.size() == 2);
    CHECK_FALSE(queue.ack());
    CHECK(first_of(queue) == "good");
}

TEST_CASE("redis::Stream::front skips entries that another program deleted",
          "[redis][stream][unit]") {
    const RedisServer server;
    redis::Stream queue = server.open("one");
    for (const char* text : {"a", "b", "c"}) REQUIRE_FALSE(queue.try_push(as_bytes(text)));
    for (const bool reopened : {true, false}) {
        REQUIRE(queue.front());
        // The leased entry is the first of the stream.
        server.command({"EVAL",
                        "return redis.call('XDEL', 'jobs', redis.call('XRANGE', 'jobs', '-', '+', "
                        "'COUNT', 1)[1][1])",
                        "0"});
        if (reopened) {
            queue = server.open("one");
        } else {
            CHECK_FALSE(queue.nack());
        }
    }
    CHECK(first_of(queue) == "c");
    CHECK(server.command({"XPENDING", "jobs", "belay"}).starts_with("1,"));
}

TEST_CASE("redis::Stream::front_wait returns a value that is there, or arrives",
          "[redis][stream][unit]") {
    const RedisServer server;
    redis::Stream queue = server.open("one");
    CHECK(queue.front_wait(1ms).error() == QueueErrc::queue_empty);
    CHECK(queue.front_wait(-1ms).error() == QueueErrc::queue_empty);
    REQUIRE_FALSE(queue.try_push(as_bytes("there")));
    CHECK(as_text(*queue.front_wait(0ms)) == "there");
    CHECK(as_text(*queue.front_wait(1ms)) == "there");
    CHECK(as_text(*queue.front_wait(1ms)) == "there");
    CHECK_FALSE(queue.ack());

    std::thread producer{[&] {
        // It is not pushed before the consumer waits.
        while (server.command({"INFO", "clients"}).find("blocked_clients:1") == std::string::npos) {
            std::this_thread::yield();
        }
        server.command({"XADD", "jobs", "*", "other", "field", "body", "new"});
    }};
    const auto came = queue.front_wait(std::chrono::milliseconds::max());
    producer.join();
    REQUIRE(came);
    CHECK(as_text(*came) == "new");
    CHECK(queue.deliveries() == 1);
    CHECK(first_of(queue) == "new");
    CHECK_FALSE(queue.ack());
    CHECK(queue.size() == 0);
}

TEST_CASE("redis::Stream::front_wait returns an error for an entry without body, as front does",
          "[redis][stream][unit]") {
    const RedisServer server;
    redis::Stream queue = server.open("one");
    std::thread producer{[&] {
        while (server.command({"INFO", "clients"}).find("blocked_clients:1") == std::string::npos) {
            std::this_thread::yield();
        }
        server.command({"XADD", "jobs", "*", "bodies", "none"});
    }};
    CHECK(queue.front_wait(1h).error() == QueueErrc::bad_encoding);
    producer.join();
    CHECK_FALSE(queue.ack());
    CHECK(queue.front().error() == QueueErrc::queue_empty);
}

TEST_CASE("redis::Stream works over TCP", "[redis][stream][unit]") {
    // The system reports this port as free. Another program may take it before the server does.
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    REQUIRE(::bind(fd, reinterpret_cast<sockaddr*>(&address), length) == 0);
    REQUIRE(::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length) == 0);
    ::close(fd);
    redis::Options options{.stream = "jobs", .consumer = "one", .port = ntohs(address.sin_port)};
    CHECK(belay_test::refused(options).code == std::errc::connection_refused);

    const RedisServer server{{"--port", std::to_string(options.port), "--bind", "127.0.0.1"}};
    redis::Stream queue = opened(options);
    REQUIRE_FALSE(queue.try_push(as_bytes("a")));
    CHECK(as_text(*queue.try_pop()) == "a");
    CHECK(keeps_alive(options.port));
    server.command({"SET", "other", "text"});
    options.stream = "other";
    CHECK(belay_test::refused(options).message().starts_with(
        "127.0.0.1:" + std::to_string(options.port) + ", stream other: "));
}
