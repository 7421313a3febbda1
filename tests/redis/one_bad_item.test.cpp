// SPDX-License-Identifier: MIT
// Goal: in a Redis, one bad item does not hold the others for ever, and docs/reference/one-bad-item.md states
// what happens. Method: as tests/e2e/one_bad_item.test.cpp, with a Redis that rejects writes.
#include <string>

#include <belay/redis/rooms.hpp>
#include <belay/redis/stream.hpp>

#include "support/catch.hpp"
#include "support/one_bad_item.hpp"
#include "support/redis/rooms_rig.hpp"
#include "support/redis/server.hpp"

using namespace belay;
using namespace belay_test;

namespace {

// ---- rooms ---------------------------------------------------------------------------------------

std::string redis_rooms_unreadable() {
    const RedisServer server;
    SharedRooms rooms{rooms_at(server)};
    begin(rooms);
    append(rooms, "a");
    REQUIRE(!rooms.begin("other", other_epoch, false));
    REQUIRE_FALSE(flush(rooms));
    server.command({"HSET", room_key, "epoch", "?"});
    CHECK_FALSE(load(rooms));
    CHECK(load(rooms, "other"));
    return "The room is closed with 1013, and the error is reported. Other rooms are served.";
}
std::string redis_rooms_medium() {
    const RedisServer server;
    SharedRooms rooms{rooms_at(server)};
    begin(rooms);
    server.command({"CONFIG", "SET", "maxmemory", "1"});
    REQUIRE(!rooms.append("board", as_bytes("a")));
    CHECK(flush(rooms).code == redis::Errc::out_of_memory);
    server.command({"CONFIG", "SET", "maxmemory", "0"});
    append(rooms, "a");
    CHECK(words_in(load(rooms)) == "|a,");
    return "As for `JournalRooms`, while Redis is away or rejects writes. `status()` counts the "
           "outages.";
}
std::string redis_rooms_too_large() {
    const RedisServer server;
    redis::RoomsOptions options = rooms_at(server);
    options.unflushed_bytes_max = 1000;
    SharedRooms rooms{options};
    begin(rooms);
    CHECK(!rooms.append("board", Bytes(1000)));
    CHECK(flush(rooms).code == RoomErrc::storage_busy);
    append(rooms, "good");
    return "Above `unflushed_bytes_max` of pending changes, a change fails with `storage_busy`, "
           "and its client sends it again.";
}

// ---- a queue -------------------------------------------------------------------------------------

std::string redis_stream_unreadable() {
    const RedisServer server;
    server.command({"XADD", "jobs", "*", "text", "no body"});
    redis::Stream queue = server.open("one");
    push(queue, "good");
    CHECK(queue.front().error() == QueueErrc::bad_encoding);
    CHECK_FALSE(queue.ack());
    CHECK(first_of(queue) == "good");
    return "`front` returns `bad_encoding` until `ack` discards the entry.";
}
std::string redis_stream_unprocessable() {
    const RedisServer server;
    redis::Stream queue = server.open("one");
    push(queue, "bad");
    push(queue, "good");
    CHECK(first_of(queue) == "bad");
    redis::Stream other = server.open("two");
    CHECK(first_of(other) == "good");
    CHECK_FALSE(queue.nack());
    CHECK(first_of(queue) == "bad");
    CHECK(queue.deliveries() == 2);
    CHECK_FALSE(queue.ack());
    return "After `nack`, or the end of its lease, the entry is delivered again. Meanwhile, other "
           "consumers continue. Set the entry aside after several `deliveries()`.";
}
std::string redis_stream_medium() {
    const RedisServer server;
    redis::Stream queue = server.open("one");
    server.command({"CONFIG", "SET", "maxmemory", "1"});
    CHECK(queue.try_push(as_bytes("a")) == redis::Errc::out_of_memory);
    server.command({"CONFIG", "SET", "maxmemory", "0"});
    push(queue, "a");
    CHECK(first_of(queue) == "a");
    return "The call returns the error of Redis. The next call works.";
}
std::string redis_stream_too_large() {
    const RedisServer server;
    redis::Options options = server.options("one");
    options.record_bytes_max = 10;
    redis::Stream queue = opened(options);
    CHECK(queue.try_push(Bytes(11)) == QueueErrc::too_large);
    push(queue, "good");
    return "`push` returns `too_large`.";
}

constexpr BadItemRow redis_rows[] = {
    {"`redis::Rooms`", redis_rooms_unreadable, no_bad_item, redis_rooms_medium,
     redis_rooms_too_large},
    {"`redis::Stream`", redis_stream_unreadable, redis_stream_unprocessable, redis_stream_medium,
     redis_stream_too_large},
};

}  // namespace

TEST_CASE("docs/reference/one-bad-item.md states what one bad item does in Redis",
          "[redis][one_bad_item]") {
    check_bad_item_rows(redis_rows);
}
