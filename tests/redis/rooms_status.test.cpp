// SPDX-License-Identifier: MIT
// Goal: the status of a redis::Rooms shows its connection, and what waits or was lost. Method: a
// redis-server that is frozen, killed and started again.
#include <belay/redis/rooms_status.hpp>

#include <atomic>
#include <chrono>
#include <functional>
#include <string>
#include <thread>

#include "support/catch.hpp"
#include "support/eventually.hpp"
#include "support/redis/rooms_rig.hpp"

using namespace belay;
using namespace std::literals;
using namespace belay_test;

namespace {

/// Waits until the status is as the test expects.
[[nodiscard]] bool status_becomes(const redis::Rooms& rooms,
                                  const std::function<bool(const redis::RoomsStatus&)>& expected) {
    return eventually([&] { return expected(rooms.status()); });
}
/// A message about a client.
[[nodiscard]] Bytes state_about(std::uint64_t client) {
    return detail::encode({detail::PeerMessage::Kind::state, Id{}, client, "ann", {}});
}

}  // namespace

TEST_CASE("redis::Rooms::status shows the connection and its outages",
          "[redis][redis_rooms][fault]") {
    RedisServer server;
    redis::Rooms rooms{rooms_at(server)};
    CHECK_FALSE(rooms.status().connected_since);
    CHECK(rooms.status().connections == 0);
    CHECK(rooms.status().rooms_known == 0);
    const std::chrono::steady_clock::time_point before = std::chrono::steady_clock::now();
    begin(rooms);
    redis::RoomsStatus status = rooms.status();
    REQUIRE(status.connected_since);
    CHECK(*status.connected_since >= before);
    CHECK(*status.connected_since <= std::chrono::steady_clock::now());
    CHECK(status.connections == 1);
    CHECK(status.rooms_known == 1);
    append(rooms, "a");
    CHECK(rooms.status().connected_since == status.connected_since);
    CHECK(rooms.status().outages == 0);
    CHECK_FALSE(rooms.status().last_outage);

    server.kill();
    const part::LoadedRoom lost = load(rooms);
    REQUIRE_FALSE(lost);
    status = rooms.status();
    CHECK_FALSE(status.connected_since);
    CHECK(status.outages == 1);
    CHECK(status.last_outage == lost.error().code);
    CHECK(status.connections == 1);
    rooms.publish("board", state_about(1));
    CHECK(status_becomes(rooms, [](const auto& s) { return s.messages_lost == 1; }));

    server.start();
    back(rooms);
    status = rooms.status();
    REQUIRE(status.connected_since);
    CHECK(*status.connected_since > before);
    CHECK(status.connections == 2);
    CHECK(status.outages >= 1);
    CHECK(status.last_outage);
    CHECK(status.messages_dropped == 0);
}

TEST_CASE("redis::Rooms::status counts a connection that Redis has closed between two calls",
          "[redis][redis_rooms][fault]") {
    const RedisServer server;
    redis::Rooms rooms{rooms_at(server)};
    begin(rooms);
    const auto first = rooms.status().connected_since;
    server.command({"CLIENT", "KILL", "TYPE", "normal"});
    append(rooms, "a");
    CHECK(rooms.status().connections == 2);
    CHECK(rooms.status().connected_since > first);
    CHECK(rooms.status().outages == 0);
}

TEST_CASE("redis::Rooms::status counts only the messages that Redis rejects",
          "[redis][redis_rooms][fault]") {
    const RedisServer server;
    redis::Rooms rooms{rooms_at(server)};
    begin(rooms);
    const std::string channel = detail::RedisRoomKeys{"belay", "board"}.channel;
    REQUIRE(server.command({"ACL", "SETUSER", "default", "resetchannels", "&" + channel}) == "OK");
    server.freeze();
    driver::Question<part::LoadedRoom> loaded;
    rooms.load("board", loaded.ask());
    REQUIRE(status_becomes(rooms, [](const auto& s) { return s.calls == 0; }));
    // The messages wait for the load, so they are published in one round trip.
    for (std::uint64_t client = 1; client <= 3; ++client)
        rooms.publish("board", state_about(client));
    for (std::uint64_t client = 1; client <= 2; ++client)
        rooms.publish("forbidden", state_about(client));
    CHECK(rooms.status().messages == 5);
    server.thaw();
    CHECK(status_becomes(rooms, [](const auto& s) { return s.messages_lost != 0; }));
    CHECK(rooms.status().messages_lost == 2);
    CHECK(rooms.status().outages == 0);
}

TEST_CASE("redis::Rooms::status counts the calls that wait for Redis",
          "[redis][redis_rooms][fault]") {
    const RedisServer server;
    redis::RoomsOptions options = rooms_at(server);
    options.messages_max = 3;
    options.uncovered_bytes_max = 10;
    redis::Rooms rooms{options};
    begin(rooms);
    append(rooms, "12345678901");
    CHECK(rooms.status().rooms_to_save == 1);
    server.freeze();
    driver::Question<part::LoadedRoom> loaded;
    rooms.load("board", loaded.ask());
    CHECK(status_becomes(rooms, [](const auto& s) { return s.calls == 0; }));
    REQUIRE(!rooms.append("board", as_bytes("1234")));
    const std::vector<Bytes> snapshot{Bytes(100)};
    driver::Question<PersistenceError> saved;
    rooms.save("board", snapshot, 1, saved.ask());
    for (std::uint64_t client = 1; client <= 5; ++client)
        rooms.publish("board", state_about(client));
    redis::RoomsStatus status = rooms.status();
    CHECK(status.calls == 2);
    CHECK(status.update_bytes == 4);
    CHECK(status.snapshot_bytes == 100);
    CHECK(status.messages == 3);
    CHECK(status.message_bytes == 3 * state_about(1).size());
    CHECK(status.messages_dropped == 2);
    // A newer state replaces the previous one, and no message is dropped.
    rooms.publish("board", state_about(5));
    CHECK(rooms.status().messages_dropped == 2);
    server.thaw();
    REQUIRE_FALSE(flush(rooms));
    CHECK(status_becomes(rooms, [](const auto& s) { return s.messages == 0 && s.calls == 0; }));
    status = rooms.status();
    CHECK(status.update_bytes == 0);
    CHECK(status.snapshot_bytes == 0);
    CHECK(status.message_bytes == 0);
    CHECK(status.messages_lost == 0);
    CHECK(status.outages == 0);
}

TEST_CASE("redis::Rooms::status counts gaps, subscriptions and messages that no server has read",
          "[redis][redis_rooms][fault]") {
    const RedisServer server;
    redis::RoomsOptions options = rooms_at(server);
    options.messages_max = 5;
    redis::Rooms rooms{options};
    begin(rooms);
    const std::uint64_t read = (*load(rooms))->position;
    CHECK(rooms.status().subscriptions == 0);
    append(rooms, "a");
    CHECK(words_in(receive(rooms, read)) == "a*,");
    CHECK(rooms.status().subscriptions == 1);
    CHECK(rooms.status().gaps == 0);
    for (int i = 0; i < 20; ++i)
        server.command({"PUBLISH", detail::RedisRoomKeys{"belay", "board"}.channel, "mm"});
    CHECK(status_becomes(rooms, [](const auto& s) { return s.messages_unread == 15; }));
    lose_last_entry(server);
    server.command({"PUBLISH", detail::RedisRoomKeys{"belay", "board"}.channel, "e"});
    // The first answer may contain only the messages.
    for (int i = 0; i < 100; ++i)
        if (receive(rooms, read)->state == part::FanoutBatch::State::gap) break;
    CHECK(rooms.status().gaps == 1);
    CHECK(rooms.status().messages_unread == 15);
}

TEST_CASE("redis::Rooms::status may be called on any thread", "[redis][redis_rooms][unit]") {
    const RedisServer server;
    redis::Rooms rooms{rooms_at(server)};
    std::atomic<bool> ends = false;
    std::uint64_t seen = 0;
    std::thread reader{[&] {
        while (!ends) seen += rooms.status().connections;
    }};
    begin(rooms);
    for (int i = 0; i < 50; ++i) {
        append(rooms, "a");
        rooms.publish("board", state_about(1));
    }
    ends = true;
    reader.join();
    CHECK(seen != 0);
    CHECK(rooms.status().connections == 1);
}
