// SPDX-License-Identifier: MIT
// Goal: nobody who is in a room while it is loaded again stays there for ever unread, and what he
// has said meanwhile counts. Method: loads that hang after a flush that failed, simulated worlds.
#include <belay/room/room_manager.hpp>

#include "support/catch.hpp"
#include "support/room/hocus_wire.hpp"
#include "support/room/room_world.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

/// A room with a member of each protocol, which is loaded again for so long, or for ever.
struct Reload {
    explicit Reload(Duration takes, RoomOptions options = {}) : w{Seed{1}, options} {
        w.dial(ada, bob, carol);
        bob.show("{}");
        carol.show("{}");
        w.run(1s);
        w.disk.fail_flushes = 1;
        w.disk.load_takes = takes == forever ? Duration{} : takes;
        w.disk.hang_loads = takes == forever ? 1 : 0;
        ada.type("lost");
        w.run(1s);
        REQUIRE_FALSE(w.rooms().stats("board")->loaded);
        REQUIRE(w.rooms().stats("board")->clients == 2);
    }

    RoomWorld w;
    RoomEditor ada{w, "ada", 1};
    RoomEditor bob{w, "bob", 2};
    RoomEditor carol = RoomEditor::addressed(w, "carol", 3);
};

}  // namespace

TEST_CASE("RoomManager: who is in a room that is never loaded again is sent away, to come again",
          "[room][room_reload][sim]") {
    Reload r{forever};
    const Bytes bobs = r.bob.type("of bob");
    const Bytes carols = r.carol.type("of carol");
    r.w.run(28s);
    CHECK(r.w.rooms().clients() == 2);
    r.w.run(3s);
    CHECK(r.bob.closed_with == 1013);
    CHECK(r.carol.closed_with == 1013);
    CHECK(r.w.rooms().clients() == 0);
    CHECK(r.w.rooms().rooms() == 0);
    r.w.dial(r.ada, r.bob, r.carol);
    CHECK(r.ada.has(bobs));
    CHECK(r.ada.has(carols));
    CHECK(r.ada.document() == r.carol.document());
}

TEST_CASE(
    "RoomManager: who dies while his room is loaded again is no member for longer than others",
    "[room][room_reload][sim]") {
    Reload r{forever, {.answer_within = 1h}};
    for (RoomEditor* const one : {&r.bob, &r.carol})
        r.w.world.network().partition(r.w.server, one->host());
    r.w.run(1min);
    CHECK(r.w.rooms().clients() == 0);
    // Nor does what somebody sends hold up his end.
    Reload flood{forever, {.answer_within = 1h, .client_bytes_max = 1000}};
    for (int i = 0; i < 100; ++i) {
        flood.bob.type(std::string(100, 'b'));
        flood.carol.type(std::string(100, 'c'));
    }
    flood.w.run(1min);
    CHECK(flood.w.rooms().clients() == 0);
}

TEST_CASE("RoomManager: who gives signs of life while a room is loaded again is not silent",
          "[room][room_reload][sim]") {
    // Heard last almost 20 s before it began; 45 s of silence are the end.
    RoomWorld w{Seed{1}, {.answer_within = 40s}};
    RoomEditor ada{w, "ada", 1};
    RoomEditor bob{w, "bob", 2};
    RoomEditor dead{w, "dead", 3};
    for (RoomEditor* const one : {&ada, &bob, &dead}) one->dial();
    w.run(19s);
    w.disk.fail_flushes = 1;
    w.disk.load_takes = 35s;
    ada.type("lost");
    w.run(100ms);
    REQUIRE_FALSE(w.rooms().stats("board")->loaded);
    w.world.network().partition(w.server, dead.host());
    w.run(34s);
    CHECK(w.rooms().stats("board")->clients == 1);
    w.run(2s);
    CHECK(bob.online());
    CHECK(w.rooms().stats("board")->loaded);
    CHECK(w.rooms().stats("board")->clients == 1);
}

TEST_CASE("Rooms over hocuspocus: who gives signs of life while he is judged is not silent",
          "[room][room_reload][hocuspocus][sim]") {
    RoomWorld w{Seed{1}, {.check_within = 2min}};
    RoomEditor ada = RoomEditor::addressed(w, "ada", 1);
    HocusWire eve{w, "eve"};
    ada.dial();
    eve.dial();
    eve.token("board", "eve");
    w.run(1s);
    w.rights.hangs = true;
    for (int i = 0; i < 8; ++i) eve.token("doc" + std::to_string(i), "eve");
    for (int i = 0; i < 6; ++i) {
        w.run(18s);
        eve.say("0a");
    }
    CHECK(eve.open());
    w.run(1min);
    CHECK_FALSE(eve.open());
}

TEST_CASE("RoomManager: what was said before the end counts, though the room was loaded again",
          "[room][room_reload][sim]") {
    Reload r{5s};
    RoomEditor& one = GENERATE(true, false) ? r.bob : r.carol;
    const Bytes last = one.type("last words");
    r.w.run(100ms);
    one.hang_up();
    r.w.run(10s);
    r.ada.dial();
    r.w.run(1s);
    CHECK(r.ada.has(last));
    CHECK(r.ada.present.size() == 1);
    CHECK(r.w.rooms().stats("board")->clients == 2);
}
