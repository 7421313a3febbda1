// SPDX-License-Identifier: MIT
// Goal: options that cannot work are rejected before any connection, each with its reason.
// Method: such options.
#include <belay/redis/options.hpp>

#include <string_view>

#include <belay/redis/rooms_options.hpp>
#include <belay/redis/stream.hpp>

#include "support/catch.hpp"

using namespace belay;
using namespace std::chrono_literals;

namespace {

redis::Options good() { return {.stream = "jobs", .consumer = "one"}; }

/// Returns the error of valid options after a change.
template <class Change>
std::string_view message_after(Change change) {
    redis::Options options = good();
    change(options);
    return options.check();
}

}  // namespace

TEST_CASE("redis::Options: the defaults need a stream and a consumer only",
          "[redis][options][unit]") {
    CHECK(good().check().empty());
    CHECK(message_after([](auto& o) { o.stream = ""; }) == "stream is empty");
    CHECK(message_after([](auto& o) { o.consumer = ""; }) == "consumer is empty");
    CHECK(message_after([](auto& o) { o.group = ""; }) == "group is empty");
}

TEST_CASE("redis::Options: a server is required", "[redis][options][unit]") {
    const std::string_view none = "set host and port, or socket";
    CHECK(message_after([](auto& o) { o.host = ""; }) == none);
    CHECK(message_after([](auto& o) { o.port = 0; }) == none);
    CHECK(message_after([](auto& o) { o = {"s", "c", "", 0, "/run/redis"}; }) == "");
    // A text that a C string would cut would name another server.
    CHECK(message_after([](auto& o) { o.host = std::string{"a\0b", 3}; }) != "");
    CHECK(message_after([](auto& o) { o.socket = std::string{"a\0b", 3}; }) != "");
    CHECK(message_after([](auto& o) { o.socket = std::string(107, 'x'); }) == "");
    CHECK(message_after([](auto& o) { o.socket = std::string(108, 'x'); }) == "socket is too long");
}

TEST_CASE("redis::Options: Sentinels have addresses", "[redis][options][unit]") {
    const auto with = [](std::string address) {
        return message_after([&](auto& o) {
            o.host = "";
            o.sentinels.addresses = {"sentinel:26379", address};
        });
    };
    for (const char* good : {"127.0.0.1:26379", "a:1", "[::1]:26379", "::1:26379"}) {
        CHECK(with(good) == "");
    }
    for (const std::string& bad :
         {std::string{}, std::string{"host"}, std::string{"host:"}, std::string{":26379"},
          std::string{"host:0"}, std::string{"host:65536"}, std::string{"host:1x"},
          std::string{"host:-1"}, std::string{"[]:1"}, std::string{"a\0b:1", 5},
          std::string(256, 'x') + ":1"}) {
        CHECK(with(bad) == "an address of sentinels is not \"host:port\"");
    }
    CHECK(message_after([](auto& o) { o.sentinels.master = ""; }) != "");
}

TEST_CASE("redis::Options: TLS needs a host", "[redis][options][unit]") {
    struct NoTls final : detail::RedisTls {
        using Step = detail::RedisTlsStep;
        Step handshake(redisContext&, void*&, const std::string&) const noexcept override {
            return {};
        }
        Step send(void*, std::string_view) const noexcept override { return {}; }
        Step receive(void*, char*, std::size_t) const noexcept override { return {}; }
    };
    const auto tls = std::make_shared<const NoTls>();
    const auto at_socket = [&](auto& o) {
        o.tls = tls;
        o.socket = "/run/redis";
    };
    CHECK(message_after([&](auto& o) { o.tls = tls; }) == "");
    CHECK(message_after(at_socket) == "tls needs host and port instead of socket");
    CHECK(message_after([&](auto& o) {
              at_socket(o);
              o.sentinels.addresses = {"sentinel:26379"};  // which replace the socket
          }) == "");
    redis::RoomsOptions rooms;
    at_socket(rooms);
    CHECK(rooms.check() == "redis::RoomsOptions: tls needs host and port instead of socket");
}

TEST_CASE("redis::Options: times and lengths have limits", "[redis][options][unit]") {
    for (auto time : {&redis::Options::lease, &redis::Options::connect_timeout,
                      &redis::Options::command_timeout}) {
        CHECK(message_after([&](auto& o) { o.*time = 0ms; }) != "");
        CHECK(message_after([&](auto& o) { o.*time = -1ms; }) != "");
        CHECK(message_after([&](auto& o) { o.*time = 1ms; }) == "");
        CHECK(message_after([&](auto& o) { o.*time = 24h; }) == "");
        CHECK(message_after([&](auto& o) { o.*time = 24h + 1ms; }) != "");
        CHECK(message_after([&](auto& o) { o.*time = std::chrono::milliseconds::max(); }) != "");
    }
    CHECK(message_after([](auto& o) { o.record_bytes_max = 512 << 20; }) == "");
    CHECK(message_after([](auto& o) { o.record_bytes_max = (512 << 20) + 1; }) != "");
    CHECK(message_after([](auto& o) { o.record_bytes_max = 0; }) == "");
}

TEST_CASE("redis::Stream::open rejects options that cannot work", "[redis][options][unit]") {
    redis::Options options = good();
    options.consumer = "";
    const auto queue = redis::Stream::open(options);
    REQUIRE_FALSE(queue);
    CHECK(queue.error().code == QueueErrc::bad_options);
    CHECK(queue.error().message().find("(consumer is empty)") != std::string::npos);
}
