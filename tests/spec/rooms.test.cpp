// SPDX-License-Identifier: MIT
// Goal: the plan for shared boards, line by line: its truths, its verifications, its criteria of
// success. Method: a server and its clients in a simulated world. The lines about tokens and the
// audit (verification 5, success 4 to 6) are in openssl/jwt_rooms.test.cpp, with the real ones.
// Success 9, with a real WebSocket, is a case of tests/node/yjs.
#include <belay/room/room_manager.hpp>

#include "support/catch.hpp"
#include "support/room/served_room.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

TEST_CASE("rooms truth 1: the endpoint accepts", "[spec][rooms]") {
    RoomWorld w;
    RoomEditor alice{w, "alice", 1};
    const UpgradeRequest upgrade{"/ws/canvas/7f3a?token=alice", "10.0.0.1", "agent", ""};
    w.requests["alice"] = room_request(upgrade, "/ws/canvas/");
    w.dial(alice);
    CHECK(alice.synced);
    CHECK(w.rooms().stats("7f3a")->clients == 1);
}

TEST_CASE("rooms truth 2: the token is validated before the WebSocket is accepted",
          "[spec][rooms]") {
    RoomWorld w;
    w.rights.takes = 5s;
    w.rights.grants["forged"] = Grant{};
    RoomEditor mallory{w, "forged", 1};
    mallory.dial();
    w.run(4s);
    CHECK(mallory.closed_with == 0);
    CHECK(mallory.frames == 0);
    w.run(2s);
    CHECK(mallory.closed_with == 4001);
    CHECK(mallory.frames == 0);
}

TEST_CASE("rooms truth 3: permission is checked before the connection is allowed",
          "[spec][rooms]") {
    RoomWorld w;
    w.rights.grants["mallory"] = Grant{.user = "mallory"};
    RoomEditor mallory{w, "mallory", 1};
    w.dial(mallory);
    CHECK(mallory.closed_with == 4003);
    CHECK(w.disk.loads == 0);
}

TEST_CASE("rooms truth 4: the document syncs between several clients", "[spec][rooms]") {
    RoomWorld w;
    const auto editors = joined_editors(w, 10);
    w.run(1s);
    for (const auto& e : editors) e->type("by each");
    w.run(1s);
    for (const auto& e : editors) CHECK(e->document() == state_of(w.rooms()));
}

TEST_CASE_METHOD(RoomOfOne, "rooms truth 5: the room is saved on changes, debounced",
                 "[spec][rooms]") {
    for (int i = 0; i < 10; ++i) {
        alice.type("x");
        w.run(100ms);
    }
    w.run(4s);
    CHECK(w.disk.saves == 0);
    w.run(1s);
    CHECK(w.disk.saves == 1);
}

TEST_CASE_METHOD(RoomOfOne, "rooms truth 6: the room unloads after 30 minutes of inactivity",
                 "[spec][rooms]") {
    alice.hang_up();
    w.run(29min);
    CHECK(w.rooms().rooms() == 1);
    w.run(6min);
    CHECK(w.rooms().rooms() == 0);
}

TEST_CASE_METHOD(RoomOfTwo, "rooms truth 7: a reconnecting client gets the full state (SYNC-05)",
                 "[spec][rooms]") {
    bob.hang_up();
    alice.type("meanwhile");
    bob.type("offline");
    w.run(1s);
    SECTION("from memory") {}
    SECTION("from the storage, after a long time without clients") {
        alice.hang_up();
        w.run(1h);
        CHECK(w.rooms().rooms() == 0);
        alice.dial();
    }
    SECTION("from the storage, after a crash") {
        w.world.restart(w.server);
        alice.dial();
    }
    w.dial(bob);
    CHECK(bob.synced);
    CHECK(bob.document() == alice.document());
    CHECK(bob.has(typed(1, 0, "meanwhile")));
    CHECK(alice.has(typed(2, 0, "offline")));
}

TEST_CASE("rooms verification 1: the manager is there by its header", "[spec][rooms]") {
    STATIC_REQUIRE(MachineLike<TestRooms>);
    STATIC_REQUIRE(MachineLike<RoomManager<MemoryRooms, EveryoneEdits>>);
}

TEST_CASE_METHOD(RoomOfOne,
                 "rooms verification 2: the server starts with its manager, and stops with it",
                 "[spec][rooms]") {
    alice.type("x");
    w.run(1s);
    w.rooms().stop();
    w.run(5s);
    CHECK(alice.closed_with == 1001);
    REQUIRE(w.reported.size() >= 1);
    CHECK(w.reported.back() == "stopped: ");
    CHECK(w.disk.saves == 1);
}

TEST_CASE("rooms verification 3: the endpoint has a board in its path", "[spec][rooms]") {
    RoomWorld w;
    RoomEditor alice{w, "alice", 1};
    const auto asks = [&](const std::string& target) {
        w.requests["alice"] = room_request({.target = target}, "/ws/canvas/");
        alice.dial();
        w.run(3s);
        return alice.closed_with;
    };
    CHECK(asks("/ws/canvas/7f3a?token=alice") == 0);
    CHECK(w.rooms().stats("7f3a")->clients == 1);
    CHECK(asks("/ws/teams/7f3a?token=alice") == 4003);
    CHECK(asks("/ws/canvas/?token=alice") == 4003);
}

TEST_CASE("rooms verification 4: rooms on demand, and unloaded after 30 minutes", "[spec][rooms]") {
    RoomWorld w;
    CHECK(w.rooms().rooms() == 0);
    REQUIRE(w.rooms().get_or_create_room("board"));
    CHECK(w.rooms().rooms() == 1);
    w.run(36min);
    CHECK(w.rooms().rooms() == 0);
}

TEST_CASE("rooms verification 6: connect, disconnect, reconnect: the full state", "[spec][rooms]") {
    RoomWorld w;
    RoomEditor alice{w, "alice", 1};
    alice.type("x");
    for (int i = 0; i < 3; ++i) {
        w.dial(alice);
        CHECK(alice.synced);
        CHECK(state_of(w.rooms()) == alice.document());
        alice.hang_up();
        w.run(1s);
    }
}

TEST_CASE("rooms success 1: a document for each board, loaded for its first client",
          "[spec][rooms]") {
    RoomWorld w;
    w.requests["bob"] = {.room_id = "other", .token = "bob"};
    RoomEditor alice{w, "alice", 1};
    RoomEditor bob{w, "bob", 2};
    RoomEditor carol{w, "carol", 3};
    w.run(1min);
    CHECK(w.disk.loads == 0);
    w.disk.load_takes = 500ms;
    w.dial(alice, bob, carol);
    CHECK(w.disk.loads == 2);
    alice.type("of the one");
    bob.type("of the other");
    w.run(1s);
    CHECK(carol.document() == alice.document());
    CHECK(state_of(w.rooms(), "board") == alice.document());
    CHECK(state_of(w.rooms(), "other") == bob.document());
}

TEST_CASE_METHOD(RoomOfOne,
                 "rooms success 2: rooms are saved by themselves, 5 s after the last change",
                 "[spec][rooms]") {
    alice.type("x");
    w.run(4900ms);
    CHECK(w.disk.saves == 0);
    CHECK(w.rooms().stats("board")->dirty);
    w.run(200ms);
    CHECK(w.disk.saves == 1);
    CHECK_FALSE(w.rooms().stats("board")->dirty);
}

TEST_CASE("rooms success 3: rooms unload after 30 minutes, and not while a client is there",
          "[spec][rooms]") {
    RoomWorld w;
    RoomEditor alice{w, "alice", 1};
    alice.dial();
    w.run(3h);
    CHECK(w.rooms().rooms() == 1);
    alice.type("x");
    w.run(100ms);
    alice.hang_up();
    w.run(36min);
    CHECK(w.rooms().rooms() == 0);
    CHECK(w.disk.saves == 1);
}

TEST_CASE("rooms success 7: who views or comments receives, and does not send", "[spec][rooms]") {
    RoomWorld w;
    w.rights.grants["viewer"] = Grant{"viewer", Access::view, forever};
    w.rights.grants["critic"] = Grant{"critic", Access::comment, forever};
    RoomEditor alice{w, "alice", 1};
    RoomEditor viewer{w, "viewer", 2};
    RoomEditor critic{w, "critic", 3};
    w.dial(alice, viewer, critic);
    viewer.type("no");
    critic.type("no");
    alice.type("yes");
    w.run(1s);
    CHECK(alice.updates == 0);
    CHECK(viewer.has(typed(1, 0, "yes")));
    CHECK(critic.has(typed(1, 0, "yes")));
}

TEST_CASE_METHOD(RoomOfTwo, "rooms success 8: who edits sends and receives", "[spec][rooms]") {
    alice.type("a");
    bob.type("b");
    w.run(1s);
    CHECK(alice.has(typed(2, 0, "b")));
    CHECK(bob.has(typed(1, 0, "a")));
}

TEST_CASE("rooms task 1: the plan's names", "[spec][rooms]") {
    RoomWorld w;
    TestRooms& rooms = w.rooms();
    rooms.start();
    RoomEditor alice{w, "alice", 1};
    w.dial(alice);
    CHECK(rooms.get_or_create_room("board").has_value());
    CHECK_FALSE(rooms.apply_update("board", typed(9, 0, "x"), RoomClientId{}));
    CHECK(rooms.broadcast("board",
                          YjsProtocol{}.write({part::RoomMessage::Kind::query_awareness, {}})));
    w.run(1s);
    CHECK(rooms.get_state("board").has_value());
    CHECK_FALSE(rooms.get_state("unknown").has_value());
    CHECK(rooms.remove_client(w.last_client));
    rooms.stop();
    w.run(5s);
    CHECK(rooms.rooms() == 0);
}

TEST_CASE_METHOD(RoomOfOne, "rooms success 10: who comes back receives the full state (SYNC-05)",
                 "[spec][rooms]") {
    alice.type("before");
    w.run(1s);
    alice.hang_up();
    // The client has lost its whole document.
    RoomEditor again{w, "again", 2};
    w.requests["again"] = {.room_id = "board", .token = "alice"};
    w.dial(again);
    CHECK(again.synced);
    CHECK(again.document() == alice.document());
}

TEST_CASE("SYNC-03: an edit is seen within 200 ms", "[spec][rooms]") {
    RoomWorld w;
    w.world.network().latency(20ms, 40ms);
    w.disk.flush_takes = 20ms;  // a slow disk
    RoomEditor alice{w, "alice", 1};
    RoomEditor bob{w, "bob", 2};
    w.dial(alice, bob);
    for (int i = 0; i < 50; ++i) {
        const auto before = bob.updates;
        alice.type("x");
        w.run(200ms);
        CHECK(bob.updates == before + 1);
    }
}
