// SPDX-License-Identifier: MIT
// Goal: the status of a redis::Rooms shows its connection, and what was lost. Method: a
// redis-server that is frozen, killed and started again.
#include <belay/redis/rooms_options.hpp>

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
[[nodiscard]] bool status_becomes(const SharedRooms& rooms,
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
    SharedRooms rooms{rooms_at(server)};
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
}

TEST_CASE("redis::Rooms::status counts a connection that Redis has closed between two calls",
          "[redis][redis_rooms][fault]") {
    const RedisServer server;
    SharedRooms rooms{rooms_at(server)};
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
    SharedRooms rooms{rooms_at(server)};
    begin(rooms);
    const std::string channel = detail::RedisRoomKeys{"belay", "board"}.channel;
    REQUIRE(server.command({"ACL", "SETUSER", "default", "resetchannels", "&" + channel}) == "OK");
    server.freeze();
    for (std::uint64_t client = 1; client <= 3; ++client)
        rooms.publish("board", state_about(client));
    for (std::uint64_t client = 1; client <= 2; ++client)
        rooms.publish("forbidden", state_about(client));
    server.thaw();
    // The beginning has published, too. The rooms take turns, so the last message is allowed.
    const auto published = [&] {
        const std::string all = server.command({"INFO", "commandstats"});
        return all.find("cmdstat_publish:calls=4,") != all.npos;
    };
    REQUIRE(eventually(published));
    CHECK(status_becomes(rooms, [](const auto& s) { return s.messages_lost == 2; }));
    CHECK(rooms.status().outages == 0);
}

TEST_CASE("redis::Rooms::status counts gaps and subscriptions", "[redis][redis_rooms][fault]") {
    const RedisServer server;
    redis::RoomsOptions options = rooms_at(server);
    options.uncovered_bytes_max = 10;
    SharedRooms rooms{options};
    begin(rooms);
    const std::uint64_t read = (*load(rooms))->position;
    CHECK(rooms.status().subscriptions == 0);
    append(rooms, "12345678901");
    CHECK(rooms.status().rooms_to_save == 1);
    CHECK(words_in(receive(rooms, read)) == "12345678901*,");
    CHECK(rooms.status().subscriptions == 1);
    CHECK(rooms.status().gaps == 0);
    lose_last_entry(server);
    server.command({"PUBLISH", detail::RedisRoomKeys{"belay", "board"}.channel, "e"});
    CHECK(receive(rooms, read)->state == part::FanoutBatch::State::gap);
    CHECK(rooms.status().gaps == 1);
}

TEST_CASE("redis::Rooms::status may be called on any thread", "[redis][redis_rooms][unit]") {
    const RedisServer server;
    SharedRooms rooms{rooms_at(server)};
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
