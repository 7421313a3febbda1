// SPDX-License-Identifier: MIT
// Goal: MemoryRooms stores rooms at flushes, saves, resets and erases them, and bounds their
// memory. Method: the calls of a RoomManager, verified by loads.
#include <belay/room/memory_rooms.hpp>

#include "support/catch.hpp"
#include "support/room/persistence_calls.hpp"

using namespace belay;
using belay_test::first_epoch;
using belay_test::flushed;
using belay_test::flushed_at;
using belay_test::listed;
using belay_test::loaded;
using belay_test::parts;
using belay_test::saved;
using belay_test::second_epoch;
using belay_test::text_of;

TEST_CASE("MemoryRooms stores changes at each flush", "[room][memory_rooms][unit]") {
    MemoryRooms rooms;
    CHECK(rooms.append("a", as_bytes("1")) == RoomErrc::unknown_room);
    REQUIRE(!rooms.reset("a", first_epoch));
    const std::uint64_t began = flushed_at(rooms, "a");
    REQUIRE(!rooms.append("a", as_bytes("1")));
    CHECK(text_of(**loaded(rooms, "a")) == "|");
    const std::uint64_t one = flushed_at(rooms, "a");
    CHECK((began != 0 && one > began));
    const auto room = *loaded(rooms, "a");
    REQUIRE(room);
    CHECK(room->epoch == first_epoch);
    CHECK(text_of(*room) == "|1");
    CHECK(room->position == one);
    REQUIRE(!rooms.append("a", as_bytes("2")));
    CHECK(text_of(**loaded(rooms, "a")) == "|1");
    CHECK(saved(rooms, "a", parts({"one"}), one + 1) == RoomErrc::bad_position);
    REQUIRE(!saved(rooms, "a", parts({"o", "ne"}), one));
    CHECK(text_of(**loaded(rooms, "a")) == "o,ne|");
    REQUIRE(!flushed(rooms));
    CHECK(text_of(**loaded(rooms, "a")) == "o,ne|2");
    CHECK(saved(rooms, "a", parts({}), began) == RoomErrc::stale_snapshot);
    CHECK(saved(rooms, "b", parts({}), 1) == RoomErrc::unknown_room);
}

TEST_CASE("MemoryRooms starts a new history at reset, and deletes a room at erase",
          "[room][memory_rooms][unit]") {
    MemoryRooms rooms;
    REQUIRE((!rooms.reset("a", first_epoch) && !rooms.append("a", as_bytes("1"))));
    const std::uint64_t old = flushed_at(rooms, "a");
    REQUIRE(old != 0);
    REQUIRE(
        (!rooms.reset("a", second_epoch) && !rooms.append("a", as_bytes("2")) && !flushed(rooms)));
    CHECK(saved(rooms, "a", parts({"1"}), old) == RoomErrc::stale_snapshot);
    CHECK((*loaded(rooms, "a"))->epoch == second_epoch);
    CHECK(text_of(**loaded(rooms, "a")) == "|2");
    CHECK(rooms.bytes() == 1);
    REQUIRE(!rooms.erase("a"));
    CHECK(rooms.append("a", as_bytes("3")) == RoomErrc::unknown_room);
    REQUIRE(!flushed(rooms));
    CHECK(!*loaded(rooms, "a"));
    CHECK(rooms.bytes() == 0);
    CHECK((!rooms.erase("a") && !flushed(rooms)));
}

TEST_CASE("MemoryRooms lists ids in order, and rejects invalid ids", "[room][memory_rooms][unit]") {
    MemoryRooms rooms;
    const std::string longest(part::room_id_bytes_max, 'x');
    const std::string with_nul{"a\0b", 3};
    for (const std::string& id : {std::string{"b"}, longest, with_nul, std::string{"\xff"}}) {
        REQUIRE(!rooms.reset(id, first_epoch));
    }
    CHECK(listed(rooms, "", 9)->empty());
    REQUIRE(!flushed(rooms));
    CHECK(*listed(rooms, "", 3) == std::vector<std::string>{with_nul, "b", longest});
    CHECK(*listed(rooms, longest, 3) == std::vector<std::string>{"\xff"});
    for (const std::string& id : {std::string{}, longest + "x"}) {
        CHECK(rooms.reset(id, first_epoch) == RoomErrc::bad_room_id);
        CHECK(rooms.append(id, {}) == RoomErrc::bad_room_id);
        CHECK(rooms.erase(id) == RoomErrc::bad_room_id);
        CHECK(loaded(rooms, id).error().code == RoomErrc::bad_room_id);
        CHECK(saved(rooms, id, parts({}), 0) == RoomErrc::bad_room_id);
    }
}

TEST_CASE("MemoryRooms that is full rejects updates, and accepts them after a smaller snapshot",
          "[room][memory_rooms][unit]") {
    MemoryRooms rooms{{.bytes_max = 4}};
    REQUIRE(!rooms.reset("a", first_epoch));
    REQUIRE(!rooms.append("a", as_bytes("1234")));
    const std::uint64_t four = flushed_at(rooms, "a");
    REQUIRE(four != 0);
    CHECK(rooms.append("a", as_bytes("5")) == std::errc::no_space_on_device);
    CHECK(saved(rooms, "a", parts({"12", "345"}), four) == std::errc::no_space_on_device);
    CHECK(text_of(**loaded(rooms, "a")) == "|1234");
    REQUIRE(!saved(rooms, "a", parts({"12", "3"}), four));
    CHECK((!rooms.append("a", as_bytes("5")) && !flushed(rooms)));
    CHECK(text_of(**loaded(rooms, "a")) == "12,3|5");
}
