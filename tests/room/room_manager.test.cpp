// SPDX-License-Identifier: MIT
// Goal: rooms lose no change, and show no change before it is durable, in any order of events.
// Method: a server, its storage and its clients in simulated worlds, with virtual half hours.
#include <belay/room/room_manager.hpp>

#include <algorithm>

#include "support/catch.hpp"
#include "support/room/persistence_calls.hpp"
#include "support/room/served_room.hpp"
#include "support/room/words_document.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;
using Recorded = std::vector<std::string>;

TEST_CASE_METHOD(
    RoomOfTwo,
    "RoomManager: two editors receive each other's edits, and a later one the whole document",
    "[room][room_manager][sim]") {
    RoomEditor carol{w, "carol", 3};
    CHECK(alice.synced);
    CHECK(alice.questions == 1);
    alice.type("hello ");
    bob.type("world");
    w.run(1s);
    CHECK(alice.document() == bob.document());
    CHECK(alice.updates == 1);
    w.dial(carol);
    CHECK(carol.document() == alice.document());
    CHECK(w.rooms().counters().updates == 2);
    CHECK(w.rooms().stats("board")->clients == 3);
    CHECK(w.reported == Recorded{});
}

TEST_CASE("RoomManager: offline edits of two clients are merged", "[room][room_manager][sim]") {
    RoomWorld w;
    RoomEditor alice{w, "alice", 1};
    RoomEditor bob{w, "bob", 2};
    alice.type("from the train");
    bob.type("from the plane");
    w.dial(alice, bob);
    CHECK(alice.document() == bob.document());
    CHECK(state_of(w.rooms()) == bob.document());
    // If a client has nothing new when it dials again, nothing is stored.
    const auto updates = w.rooms().counters().updates;
    w.dial(alice);
    CHECK(alice.synced);
    CHECK(w.rooms().counters().updates == updates);
    CHECK(w.rooms().counters().unchanged > 0);
}

// ---- loading -----------------------------------------------------------------------------------

TEST_CASE("RoomManager: clients that arrive during a load share it", "[room][room_manager][sim]") {
    RoomWorld w;
    w.disk.load_takes = 10s;
    RoomEditor alice{w, "alice", 1};
    RoomEditor bob{w, "bob", 2};
    alice.type("x");
    alice.dial();
    w.run(5s);
    bob.dial();
    w.run(4s);
    CHECK(w.rooms().stats("board")->clients == 2);
    CHECK_FALSE(w.rooms().stats("board")->loaded);
    CHECK_FALSE(w.rooms().get_state("board").has_value());
    w.run(5s);
    CHECK(w.disk.loads == 1);
    CHECK(bob.document() == alice.document());
}

TEST_CASE("RoomManager: a failed load closes with 1013, and never saves an empty document",
          "[room][room_manager][sim]") {
    RoomWorld w;
    RoomEditor alice{w, "alice", 1};
    alice.type("precious");
    alice.dial();
    w.run(10s);
    CHECK(w.disk.saves == 1);
    w.world.restart(w.server);
    w.disk.fail_loads = 1;
    RoomEditor bob{w, "bob", 2};
    bob.type("unaware");
    bob.dial();
    w.run(10min);
    CHECK(bob.closed_with == 1013);
    CHECK(w.disk.saves == 1);
    CHECK(w.rooms().rooms() == 0);
    CHECK(w.reported == Recorded{"failed board: the stored snapshot is damaged",
                                 "rejected board bob: the room is not loaded"});
    w.dial(bob);
    CHECK(bob.document() == state_of(w.rooms()));
    CHECK(bob.has(typed(1, 0, "precious")));
}

TEST_CASE("RoomManager: a load that hangs ends in 1013, and its late answer is ignored",
          "[room][room_manager][sim]") {
    RoomWorld w;
    w.disk.hang_loads = 1;
    RoomEditor alice{w, "alice", 1};
    alice.dial();
    w.run(29s);
    CHECK(alice.closed_with == 0);
    CHECK(alice.frames == 0);
    w.run(2s);
    CHECK(alice.closed_with == 1013);
    w.dial(alice);
    CHECK(alice.synced);
    alice.type("x");
    w.run(1s);
    w.disk.durable.load("board", std::move(w.disk.hung.front()));
    w.run(1s);
    CHECK(state_of(w.rooms()) == alice.document());
}

TEST_CASE("RoomManager: a room opened after idle hours still has its full time to load",
          "[room][room_manager][sim]") {
    RoomWorld w;
    w.disk.load_takes = 10s;
    w.run(3h);
    REQUIRE(w.rooms().get_or_create_room("board"));
    w.run(9s);
    CHECK(w.reported == Recorded{});
    CHECK_FALSE(w.rooms().stats("board")->loaded);
    w.run(2s);
    CHECK(w.rooms().stats("board")->loaded);
    CHECK(elapsed(w.rooms().stats("board")->last_activity, w.world.now()) < 1min);
}

TEST_CASE("RoomManager: stop during a load", "[room][room_manager][sim]") {
    RoomWorld w;
    w.disk.load_takes = 10s;
    RoomEditor alice{w, "alice", 1};
    w.dial(alice);
    w.rooms().stop();
    w.run(1s);
    CHECK(alice.closed_with == 1001);
    w.run(5s);
    CHECK(w.reported == Recorded{"stopped: "});
    w.run(10s);
    CHECK(w.reported.size() == 1);
}

// ---- durable before visible ---------------------------------------------------------------------

TEST_CASE_METHOD(
    RoomOfTwo,
    "RoomManager: a change is visible only when it is durable, also when its author has left",
    "[room][room_manager][sim]") {
    RoomEditor carol{w, "carol", 3};
    w.disk.flush_takes = 200ms;
    alice.type("x");
    w.run(100ms);
    CHECK(bob.updates == 0);
    CHECK(state_of(w.rooms()) == Bytes(2));
    CHECK(w.rooms().stats("board")->pending == 1);
    alice.hang_up();
    carol.dial();  // joins between append and flush
    w.run(50ms);
    CHECK_FALSE(carol.has(typed(1, 0, "x")));
    w.run(1s);
    CHECK(bob.has(typed(1, 0, "x")));
    CHECK(carol.has(typed(1, 0, "x")));
}

TEST_CASE("RoomManager: after a failed flush no unflushed change is kept or shown",
          "[room][room_manager][sim]") {
    for (const bool keeps : {false, true}) {
        RoomWorld w;
        RoomEditor alice{w, "alice", 1};
        RoomEditor bob{w, "bob", 2};
        alice.dial();
        bob.dial();
        alice.type("kept ");
        w.run(1s);
        w.disk.fail_flushes = 1;
        w.disk.keeps_failed = keeps;
        w.disk.flush_takes = 50ms;
        alice.type("lost");
        w.run(80ms);
        // The failed flush may have stored the change. Then the room has it, and all clients
        // receive it.
        CHECK(bob.has(typed(1, 5, "lost")) == keeps);
        CHECK(w.disk.loads == 2);
        w.run(1s);
        CHECK(alice.closed_with == 1013);
        CHECK(bob.closed_with == 0);
        CHECK((state_of(w.rooms()) == alice.document()) == keeps);
        CHECK(w.rooms().counters().lost_updates == 1);
        alice.dial();
        bob.type("!");
        w.run(1s);
        CHECK(alice.document() == bob.document());
        CHECK(alice.has(typed(1, 5, "lost")));
        CHECK(state_of(w.rooms()) == bob.document());
    }
}

TEST_CASE_METHOD(RoomOfTwo,
                 "RoomManager: a change that is appended during a failing flush is lost with it",
                 "[room][room_manager][sim]") {
    w.disk.fail_flushes = 1;
    w.disk.flush_takes = 50ms;
    alice.type("a");
    w.run(30ms);
    bob.type("b");
    w.run(1s);
    CHECK(alice.closed_with == 1013);
    CHECK(bob.closed_with == 1013);
    CHECK(w.rooms().counters().lost_updates == 2);
    w.dial(alice, bob);
    CHECK(alice.document() == bob.document());
    CHECK(alice.has(typed(2, 0, "b")));
}

TEST_CASE("RoomManager: with a full disk rooms are readable, and edits resume when space is free",
          "[room][room_manager][sim]") {
    RoomWorld w;
    RoomEditor alice{w, "alice", 1};
    RoomEditor bob{w, "bob", 2};
    alice.type("before");
    w.dial(alice);
    w.disk.full = true;
    alice.type("during");
    w.dial(bob);
    CHECK(alice.closed_with == 1013);
    CHECK(bob.has(typed(1, 0, "before")));
    CHECK_FALSE(bob.has(typed(1, 6, "during")));
    w.disk.full = false;
    w.dial(alice);
    CHECK(bob.has(typed(1, 6, "during")));
}

TEST_CASE("RoomManager: a room whose first change was rejected accepts the next one",
          "[room][room_manager][sim]") {
    RoomWorld w;
    RoomEditor alice{w, "alice", 1};
    w.dial(alice);
    // The history of alice's room has begun, and the flush of that fails.
    w.disk.refuses = true;
    w.disk.fail_flushes = 1;
    alice.type("x");
    w.run(1s);
    CHECK(alice.closed_with == 1013);
    CHECK(w.disk.fail_flushes == 0);
    w.disk.refuses = false;
    w.dial(alice);
    w.run(1s);
    CHECK(alice.closed_with == 0);
    CHECK(state_of(w.rooms()) == alice.document());
}

TEST_CASE_METHOD(RoomOfOne, "RoomManager: a flush that is never answered counts as failed",
                 "[room][room_manager][sim]") {
    w.disk.flush_takes = 1h;
    alice.type("x");
    w.run(29s);
    CHECK(alice.closed_with == 0);
    w.run(2s);
    CHECK(alice.closed_with == 1013);
    w.disk.flush_takes = 0s;
    w.dial(alice);
    CHECK(state_of(w.rooms()) == alice.document());
}

TEST_CASE("RoomManager: one flush stores all changes of a turn", "[room][room_manager][sim]") {
    RoomWorld w;
    w.world.network().latency(1ms, 1ms);
    RoomEditor alice{w, "alice", 1};
    w.dial(alice);
    const int before = w.disk.flushes;
    for (int i = 0; i < 8; ++i) alice.type("x");
    w.run(1s);
    CHECK(w.rooms().counters().updates == 8);
    CHECK(w.disk.flushes < before + 8);
}

// ---- saving and eviction -----------------------------------------------------------------------

TEST_CASE_METHOD(
    RoomOfOne,
    "RoomManager: a room is saved 5 s after its last change, and at most 30 s after the first",
    "[room][room_manager][sim]") {
    alice.type("x");
    w.run(4900ms);
    CHECK(w.disk.saves == 0);
    CHECK(w.rooms().stats("board")->dirty);
    w.run(200ms);
    CHECK(w.disk.saves == 1);
    CHECK_FALSE(w.rooms().stats("board")->dirty);
    for (int i = 0; i < 29; ++i) {
        alice.type("y");
        w.run(1s);
    }
    CHECK(w.disk.saves == 1);
    alice.type("y");
    w.run(1500ms);
    CHECK(w.disk.saves == 2);
}

TEST_CASE(
    "RoomManager: a room has one save at a time, and retries a failed one with growing delays",
    "[room][room_manager][sim]") {
    RoomWorld w;
    RoomEditor alice{w, "alice", 1};
    alice.dial();
    w.disk.save_takes = 20s;
    for (int i = 0; i < 75; ++i) {
        alice.type("y");
        w.run(1s);
    }
    CHECK(w.disk.saving_max == 1);
    CHECK(w.disk.saves == 2);
    w.run(5min);
    w.disk.save_takes = 0s;
    const int before = w.disk.saves;
    w.disk.fail_saves = 1000;
    alice.type("z");
    w.run(10min);
    CHECK(w.disk.saves - before > 10);
    CHECK(w.disk.saves - before < 40);
    CHECK(w.rooms().stats("board")->dirty);
    w.disk.fail_saves = 0;
    w.run(70s);
    CHECK_FALSE(w.rooms().stats("board")->dirty);
}

TEST_CASE("RoomManager loads at most loads_max rooms at a time, in their order",
          "[room][room_manager][sim]") {
    // The loads of rooms that the server opens leave one of the three to users.
    RoomWorld w{Seed{1}, {.loads_max = 3, .answer_within = 10s}};
    const auto each = [](auto&& f) {
        for (int i = 0; i < 12; ++i) f("room" + std::to_string(i));
    };
    each([&](const std::string& id) { REQUIRE(w.rooms().get_or_create_room(id)); });
    w.run(1s);
    CHECK(w.rooms().counters().loads == 12);
    // A failed flush loses the changes of all rooms.
    w.disk.fail_flushes = 1;
    each([&](const std::string& id) {
        REQUIRE_FALSE(w.rooms().apply_update(id, typed(1, 0, "x")));
    });
    w.disk.load_takes = 2s;
    w.disk.loading_max = 0;
    w.reported.clear();
    SECTION("the time for an answer begins with the load") {
        w.run(2500ms);
        CHECK(w.reported.size() == 1);  // the flush
        CHECK(w.rooms().stats("room0")->loaded);
        CHECK(w.rooms().stats("room1")->loaded);
        CHECK_FALSE(w.rooms().stats("room10")->loaded);
        REQUIRE(w.rooms().get_or_create_room("another"));
        w.run(10s);
        each([&](const std::string& id) { CHECK(w.rooms().stats(id)->loaded); });
        CHECK_FALSE(w.rooms().stats("another")->loaded);
        w.run(2s);
        CHECK(w.rooms().stats("another")->loaded);
        CHECK(w.reported.size() == 1);
        CHECK(w.disk.loading_max == 2);
    }
    SECTION("a load without an answer frees its place") {
        w.disk.hang_loads = 2;
        w.run(11s);
        CHECK(w.rooms().rooms() == 10);
        w.run(10s);
        CHECK(w.rooms().rooms() == 10);
        CHECK(w.rooms().stats("room11")->loaded);
    }
    SECTION("a room that is erased frees its place, whether its load waits or is under way") {
        w.run(1s);
        for (const char* const id : {"room0", "room5"})
            w.rooms().erase(
                id, Completion<PersistenceError>{[](std::optional<PersistenceError>) noexcept {}});
        w.run(1min);
        CHECK(w.rooms().rooms() == 10);
        CHECK((w.rooms().stats("room1")->loaded && w.rooms().stats("room11")->loaded));
    }
    SECTION("a stop does not wait for loads that have not begun") {
        w.run(1s);
        w.rooms().stop();
        w.run(1ms);
        CHECK(w.rooms().rooms() == 0);
        CHECK(w.reported.back() == "stopped: ");
        w.rooms().start();
        each([&](const std::string& id) { REQUIRE(w.rooms().get_or_create_room(id)); });
        w.run(1min);
        each([&](const std::string& id) { CHECK(w.rooms().stats(id)->loaded); });
    }
}

TEST_CASE("RoomManager: many saves do not delay a flush", "[room][room_manager][sim]") {
    RoomWorld w{Seed{1}, {.loads_max = 8}};
    w.disk.save_takes = 100ms;
    const auto edit = [&](std::uint64_t author) {
        for (int i = 0; i < 50; ++i) {
            const std::string board = "board" + std::to_string(i);
            REQUIRE(w.rooms().get_or_create_room(board));
            w.run(1ms);
            REQUIRE_FALSE(w.rooms().apply_update(board, typed(author, 0, "x")));
        }
    };
    edit(1);
    w.run(5s);
    CHECK(w.disk.saving == 4);
    w.run(3s);
    CHECK(w.disk.saves == 50);
    CHECK(w.disk.saving_max == 4);
    SECTION("a save includes changes that arrived while it waited") {
        edit(2);
        w.run(4500ms);
        for (int i = 0; i < 50; ++i) {
            const std::string board = "board" + std::to_string(i);
            REQUIRE_FALSE(w.rooms().apply_update(board, typed(3, 0, "x")));
        }
        w.run(1h);
        CHECK(w.rooms().rooms() == 0);
        CHECK(w.disk.saving_max == 4);
        REQUIRE(w.rooms().get_or_create_room("board49"));
        w.run(1s);
        const auto state = yjs::merge_updates(*w.rooms().get_state("board49"));
        REQUIRE(state);
        CHECK(yjs::validate(state->update)->structs == 3);
    }
    SECTION("failed saves free their place") {
        w.disk.fail_saves = 7;
        edit(2);
        w.run(10min);
        CHECK(w.disk.saves == 107);
        CHECK(w.disk.saving_max == 4);
    }
    SECTION("the limit also holds while the manager stops") {
        edit(2);
        w.run(1s);
        w.rooms().stop();
        w.run(1s);
        CHECK(w.disk.saving == 4);
        w.run(1s);
        CHECK(w.rooms().rooms() == 0);
        CHECK(w.disk.saves == 100);
        CHECK(w.disk.saving_max == 4);
    }
    SECTION("a stop saves all rooms, also if the storage accepts fewer saves at a time") {
        edit(2);
        w.disk.saves_max = 1;
        w.run(1s);
        w.rooms().stop();
        w.run(19s);
        CHECK(w.rooms().rooms() == 0);
        CHECK(w.reported.back() == "stopped: ");
        w.world.restart(w.server);
        for (int i = 0; i < 50; ++i) {
            const std::string board = "board" + std::to_string(i);
            const auto stored = loaded(w.disk.durable, board);
            REQUIRE((stored && *stored));
            CHECK((**stored).updates.empty());
        }
    }
    SECTION("no save waits for a room that was evicted") {
        w.disk.save_takes = 1h;
        edit(2);
        w.run(1min);
        w.rooms().stop();
        w.run(1min);
        CHECK(w.rooms().rooms() == 0);
    }
}

TEST_CASE_METHOD(RoomOfOne,
                 "RoomManager: a save covers applied changes, not those that wait for a flush",
                 "[room][room_manager][sim]") {
    alice.type("a");
    w.run(4500ms);
    w.disk.flush_takes = 1s;
    w.disk.save_takes = 1500ms;
    alice.type("b");  // waits when the save begins, and is durable when it ends
    w.run(2700ms);
    CHECK(w.disk.saves == 1);
    CHECK(w.reported == Recorded{});
    w.world.restart(w.server);
    RoomEditor reader{w, "reader", 2};
    reader.dial();
    w.run(2s);
    CHECK(reader.has(typed(1, 1, "b")));
}

TEST_CASE("RoomManager: a save that is never answered counts as failed",
          "[room][room_manager][sim]") {
    RoomWorld w;
    RoomEditor alice{w, "alice", 1};
    alice.dial();
    w.disk.save_takes = 24h;
    w.run(1s);
    alice.type("z");
    w.run(2min);
    CHECK(w.disk.saves > 2);
    w.disk.save_takes = 0s;
    w.run(2min);
    CHECK_FALSE(w.rooms().stats("board")->dirty);
}

TEST_CASE("RoomManager: a room is evicted at the first sweep 30 minutes after its last client left",
          "[room][room_manager][sim]") {
    RoomWorld w;
    RoomEditor alice{w, "alice", 1};
    w.run(4min);
    alice.dial();
    w.run(2min);
    alice.type("x");
    w.run(1s);
    alice.hang_up();
    w.run(30min);  // 36 minutes and a second: the next sweep is at 40
    CHECK(w.rooms().rooms() == 1);
    w.run(3min + 50s);
    CHECK(w.rooms().rooms() == 1);
    w.run(20s);
    CHECK(w.rooms().rooms() == 0);
    w.dial(alice);
    CHECK(w.disk.loads == 2);
    CHECK(state_of(w.rooms()) == alice.document());
}

TEST_CASE_METHOD(RoomOfOne, "RoomManager: a client that arrives before the sweep keeps the room",
                 "[room][room_manager][sim]") {
    alice.hang_up();
    w.run(29min);
    w.dial(alice);
    alice.hang_up();
    w.run(29min);
    CHECK(w.disk.loads == 1);
    CHECK(w.rooms().rooms() == 1);
    alice.dial();
    w.run(2h);
    CHECK(w.rooms().rooms() == 1);
    CHECK(alice.closed_with == 0);
}

TEST_CASE_METHOD(RoomOfOne, "RoomManager: a room that cannot be saved is kept while there is space",
                 "[room][room_manager][sim]") {
    w.disk.fail_saves = 1'000'000;
    alice.type("x");
    w.run(1s);
    alice.hang_up();
    w.run(3h);
    CHECK(w.rooms().rooms() == 1);
    w.disk.fail_saves = 0;
    w.run(2min);
    CHECK(w.rooms().rooms() == 0);
}

TEST_CASE("RoomManager: rooms whose saves fail are evicted for other rooms, and lose nothing",
          "[room][room_manager][regression][sim]") {
    const bool of_user = GENERATE(true, false);
    RoomOptions options;
    (of_user ? options.clients_per_user_max : options.rooms_max) = 3;
    RoomWorld w{Seed{1}, options};
    w.disk.fail_saves = 1'000'000;
    RoomEditor alice{w, "alice", 1};
    const auto visit = [&](int board) {
        w.requests["alice"] = {.room_id = "board" + std::to_string(board), .token = "alice"};
        w.dial(alice);
    };
    for (int board = 0; board < 3; ++board) {
        visit(board);
        alice.type("x");
        w.run(20s);
    }
    w.run(3h);
    REQUIRE(w.rooms().rooms() == 3);

    visit(3);
    CHECK(alice.closed_with == 0);
    CHECK(w.rooms().rooms() == 3);
    CHECK_FALSE(w.rooms().stats("board0"));  // unused for the longest time
    CHECK(stored_of(w.disk, "board0")->updates.size() == 1);
    visit(0);
    CHECK(alice.closed_with == 0);
    CHECK_FALSE(state_of(w.rooms(), "board0").empty());
    w.disk.fail_saves = 0;
    w.run(2min);
    CHECK(stored_of(w.disk, "board0")->updates.empty());
}

TEST_CASE("RoomManager: rooms whose saves are never answered are evicted for other rooms",
          "[room][room_manager][regression][sim]") {
    const bool of_user = GENERATE(true, false);
    RoomOptions options;
    (of_user ? options.clients_per_user_max : options.rooms_max) = of_user ? 800 : 400;
    RoomWorld w{Seed{1}, options};
    w.disk.save_takes = 24h;
    Recorded events;
    w.rooms().observer().events = &events;
    RoomEditor alice{w, "alice", 1};
    const auto visit = [&](int board) {
        w.requests["alice"] = {.room_id = "board" + std::to_string(board), .token = "alice"};
        alice.dial();
        w.run(100ms);
    };
    for (int board = 0; board < 400; ++board) {
        visit(board);
        alice.type("x");
        w.run(100ms);
    }
    alice.hang_up();
    w.run(2min);
    REQUIRE(w.rooms().rooms() == 400);
    for (int board = 400; board < 420; ++board) {
        visit(board);
        CHECK(alice.closed_with == 0);
    }
    CHECK(w.rooms().rooms() == 400);
    for (int board = 0; board < 400; ++board) {
        const std::string id = "board" + std::to_string(board);
        if (w.rooms().stats(id)) continue;
        CHECK_FALSE(stored_of(w.disk, id)->updates.empty());
        CHECK(std::ranges::count_if(events, [&](const std::string& event) {
                  return event.starts_with("changed " + id + " ");
              }) == 1);
    }
}

TEST_CASE("RoomManager: a room is evicted before one whose saves fail",
          "[room][room_manager][sim]") {
    RoomOptions options;
    options.rooms_max = 2;
    RoomWorld w{Seed{1}, options};
    w.disk.fail_saves = 1'000'000;
    RoomEditor alice{w, "alice", 1};
    RoomEditor bob{w, "bob", 2};
    const auto visits = [&](RoomEditor& who, const char* name, const char* board) {
        w.requests[name] = {.room_id = board, .token = name};
        w.dial(who);
        return [&] {
            who.hang_up();
            w.run(20s);
        };
    };
    const auto leave = visits(alice, "alice", "unsaved");
    alice.type("x");
    w.run(1s);
    leave();
    visits(bob, "bob", "saved")();
    visits(bob, "bob", "third");
    CHECK(w.rooms().stats("unsaved"));
    CHECK_FALSE(w.rooms().stats("saved"));
}

TEST_CASE("RoomManager reports the change of a room that is evicted before its save",
          "[room][room_manager][regression][sim]") {
    RoomOptions options;
    options.rooms_max = 1;
    RoomWorld w{Seed{1}, options};
    Recorded events;
    w.rooms().observer().events = &events;
    RoomEditor alice{w, "alice", 1};
    w.dial(alice);
    alice.type("x");
    w.run(1s);
    alice.hang_up();
    w.run(1s);
    REQUIRE(w.rooms().get_or_create_room("other"));
    w.run(1s);
    CHECK(events == Recorded{"loaded board 0", "joined board alice 1", "left board alice 0",
                             "changed board 0", "unloaded board 0", "loaded other 0"});
    w.rooms().stop();
    w.run(1s);
    CHECK(events.back() == "unloaded other 0");  // nothing of it has changed
}

TEST_CASE_METHOD(RoomOfOne, "RoomManager: a client may join while the last save is running",
                 "[room][room_manager][sim]") {
    RoomEditor bob{w, "bob", 2};
    w.disk.fail_saves = 1'000'000;
    alice.type("x");
    w.run(1s);
    alice.hang_up();
    w.run(40min);
    w.disk.fail_saves = 0;
    w.disk.save_takes = 20s;
    // The save before the eviction.
    REQUIRE(w.world.run_until([&] { return w.disk.saving == 1; }, 2min));
    w.dial(bob);
    CHECK(bob.has(typed(1, 0, "x")));
    w.run(10min);
    CHECK(w.rooms().rooms() == 1);
    CHECK(w.disk.loads == 1);
    bob.hang_up();
    w.run(40min);
    CHECK(w.rooms().rooms() == 0);
}

TEST_CASE_METHOD(RoomOfOne,
                 "RoomManager: a reader does not cause a save, and its room is not stored",
                 "[room][room_manager][sim]") {
    alice.hang_up();
    w.run(1h);
    CHECK(w.disk.saves == 0);
    CHECK(w.disk.flushes == 0);
    CHECK(w.rooms().rooms() == 0);
}

TEST_CASE_METHOD(RoomOfOne, "RoomManager: a load with changes after the snapshot causes a save",
                 "[room][room_manager][regression][sim]") {
    alice.type("saved");
    w.run(10s);
    REQUIRE(w.disk.saves == 1);
    SECTION("a flush that failed has stored them") {
        w.disk.fail_flushes = 1;
        w.disk.keeps_failed = true;
        alice.type("stored");
        w.run(100ms);
        REQUIRE(alice.closed_with == 1013);
        REQUIRE(w.disk.loads == 2);
    }
    SECTION("the server ended before it saved them") {
        alice.type("stored");
        w.run(100ms);
        w.world.restart(w.server);
        REQUIRE(w.rooms().get_or_create_room("board"));
    }
    w.run(1s);
    REQUIRE(w.disk.saves == 1);
    REQUIRE(loaded(w.disk.durable, "board").value()->updates.size() == 1);
    w.run(10s);
    CHECK(w.disk.saves == 2);
    CHECK(loaded(w.disk.durable, "board").value()->updates.empty());
    w.run(1h);
    CHECK(w.rooms().rooms() == 0);
    // A room that is saved needs no further save.
    w.dial(alice);
    CHECK(state_of(w.rooms()) == alice.document());
    w.run(10s);
    CHECK(w.disk.saves == 2);
}

TEST_CASE("RoomManager: a room that holds up the log is saved", "[room][room_manager][sim]") {
    RoomWorld w;
    RoomEditor alice{w, "alice", 1};
    w.requests["alice"] = {.room_id = "old", .token = "alice"};
    w.dial(alice);
    alice.type("x");
    w.run(1s);
    w.world.restart(w.server);  // never saved
    CHECK(w.disk.saves == 0);
    w.disk.lags = {"old"};
    RoomEditor bob{w, "bob", 2};
    w.dial(bob);
    bob.type("y");
    w.run(1s);
    CHECK(w.disk.saves == 1);  // the save of the old room, which no client has opened
    CHECK(w.rooms().rooms() == 2);
}

TEST_CASE("RoomManager saves the rooms that hold up the log one after the other, without a pause",
          "[room][room_manager][regression][sim]") {
    RoomOptions options;
    options.rooms_max = 2;
    RoomWorld w{Seed{1}, options};
    const std::vector<std::string> all{"a", "b", "c", "d", "e", "f", "g", "h"};
    for (const std::string& board : all) {
        REQUIRE(w.rooms().get_or_create_room(board));
        w.run(10ms);
        REQUIRE_FALSE(w.rooms().apply_update(board, typed(1, 0, "x")));
        w.run(10ms);
    }
    const auto unsaved = [&] {
        return std::ranges::count_if(
            all, [&](const auto& board) { return !stored_of(w.disk, board)->updates.empty(); });
    };
    REQUIRE(unsaved() == 8);
    REQUIRE(w.rooms().rooms() == 2);
    w.disk.load_takes = w.disk.save_takes = 20ms;
    const auto flush = [&] { static_cast<void>(w.rooms().apply_update("h", typed(2, 0, "y"))); };
    // The storage requests up to `most` of the rooms that are not saved.
    const auto request = [&](std::size_t most) {
        w.disk.before = [&w, &all, most](std::string_view call) {
            if (call != "rooms_to_save") return;
            w.disk.lags.clear();
            for (const std::string& board : all) {
                if (w.disk.lags.size() < most && !stored_of(w.disk, board)->updates.empty())
                    w.disk.lags.push_back(board);
            }
        };
    };
    SECTION("each room is saved, although only two are in memory") {
        request(GENERATE(as<std::size_t>{}, 1, 8));
        flush();
        w.run(900ms);
        CHECK(unsaved() == 0);
        CHECK(w.disk.saves == 8);
    }
    SECTION("a room that the storage requests again is saved once a second") {
        const auto most = GENERATE(as<std::size_t>{}, 1, 2);
        w.disk.before = [&, asked = std::size_t{0}](std::string_view call) mutable {
            // With 2, the storage does not request it in each second answer.
            if (call == "rooms_to_save" && asked++ % most == 0) w.disk.lags = {"a"};
        };
        for (std::uint64_t n = 0; n < 9; ++n) {
            static_cast<void>(w.rooms().apply_update("h", typed(3, n, "z")));
            w.run(100ms);
        }
        CHECK(w.disk.saves == 1);
    }
    SECTION("a room whose save is queued is not evicted for another one") {
        w.disk.lags = {"g", "a"};
        const int loads = w.disk.loads;
        flush();
        w.run(50ms);
        CHECK(stored_of(w.disk, "g")->updates.empty());
        CHECK(w.disk.loads == loads);
    }
    SECTION("a room that cannot be loaded is loaded once a second") {
        w.disk.before = [&](std::string_view call) {
            if (call == "rooms_to_save") w.disk.lags = {"a"};
        };
        w.disk.fail_loads = 1'000'000;
        const int loads = w.disk.loads;
        for (std::uint64_t n = 0; n < 9; ++n) {
            static_cast<void>(w.rooms().apply_update("h", typed(3, n, "z")));
            w.run(100ms);
        }
        CHECK(w.disk.loads == loads + 1);
    }
}

TEST_CASE("RoomManager saves up to four of the rooms that hold up the log at a time",
          "[room][room_manager][sim]") {
    RoomWorld w;
    std::vector<std::string> all;
    for (int n = 0; n < 40; ++n) all.push_back("room" + std::to_string(100 + n));
    for (const std::string& board : all) {
        REQUIRE(w.rooms().get_or_create_room(board));
        w.run(1ms);
        REQUIRE_FALSE(w.rooms().apply_update(board, typed(1, 0, "x")));
    }
    w.run(10ms);
    w.world.restart(w.server);  // no room is in memory
    const int loads = w.disk.loads;
    REQUIRE(w.disk.saves == 0);
    const auto unsaved = [&] {
        return std::ranges::count_if(
            all, [&](const auto& board) { return !stored_of(w.disk, board)->updates.empty(); });
    };
    w.disk.before = [&](std::string_view call) {
        if (call != "rooms_to_save") return;
        w.disk.lags.clear();
        for (const std::string& board : all) {
            if (!stored_of(w.disk, board)->updates.empty()) w.disk.lags.push_back(board);
        }
    };
    w.disk.load_takes = w.disk.save_takes = 100ms;
    const auto flush = [&] {
        w.rooms().erase("other", Completion<PersistenceError>{[](auto) noexcept {}});
    };
    SECTION("all of them in a quarter of the time") {
        flush();
        w.run(2s + 100ms);
        CHECK(unsaved() == 0);
        CHECK(w.disk.loads == loads + 40);
        CHECK(w.disk.loading_max == 4);
        CHECK(w.disk.saves == 40);
    }
    SECTION("some cannot be loaded, and delay no other one") {
        w.disk.fail_loads = 4;
        flush();
        w.run(2s);
        CHECK(unsaved() == 4);
        // They are loaded again, at most once a second.
        flush();
        w.run(1s);
        CHECK(unsaved() == 0);
        CHECK(w.disk.loads == loads + 44);
    }
    SECTION("loads that hang leave the other ones to clients") {
        w.disk.hang_loads = 1000;
        for (int n = 0; n < 50; ++n) {
            flush();
            w.run(100ms);
        }
        CHECK(w.disk.loads == loads + 4);
    }
    SECTION("loads that hung are repeated after those of all other rooms") {
        w.disk.hang_loads = 4;
        flush();
        w.run(w.options.answer_within + 1s + 50ms);
        CHECK(unsaved() == 20);
        for (int n = 0; n < 4; ++n)
            CHECK_FALSE(stored_of(w.disk, all.at(static_cast<std::size_t>(n)))->updates.empty());
        w.run(1s);
        CHECK(unsaved() == 0);
        CHECK(w.disk.loads == loads + 44);
    }
    SECTION("some cannot be saved, and delay no other one") {
        w.disk.fail_saves = 4;
        flush();
        w.run(2s + 100ms);
        CHECK(unsaved() <= 4);
        CHECK(w.disk.saves <= 48);
        w.run(10s);
        CHECK(unsaved() == 0);
    }
}

TEST_CASE("RoomManager: rooms that hold up the log leave some of loads_max to clients",
          "[room][room_manager][regression][sim]") {
    RoomOptions options;
    const auto [loads_max, loads] =
        GENERATE(table<std::size_t, int>({{1, 1}, {4, 2}, {8, 4}, {96, 6}}));
    options.loads_max = loads_max;
    RoomWorld w{Seed{1}, options};
    w.disk.hang_loads = 1000;
    w.disk.lags = {"a", "b", "c", "d", "e", "f", "g"};
    w.rooms().erase("other", Completion<PersistenceError>{[](auto) noexcept {}});  // one flush
    w.run(100ms);
    CHECK(w.disk.loads == loads);
}

TEST_CASE("RoomManager does not save a room without a history, which the storage requests",
          "[room][room_manager][regression][sim]") {
    RoomWorld w;
    int requests = 0;
    w.disk.before = [&](std::string_view call) {
        if (call == "rooms_to_save") ++requests, w.disk.lags = {"gone"};
    };
    const auto erase = [&](const char* board) {
        w.rooms().erase(board, Completion<PersistenceError>{[](auto) noexcept {}});
    };
    SECTION("it is not stored") {}
    SECTION("it is in memory") {
        REQUIRE(w.rooms().get_or_create_room("gone"));
        w.run(10ms);
    }
    SECTION("it is being erased") {
        w.disk.flush_takes = 100ms;
        erase("other");
        w.run(50ms);
        erase("gone");
        w.run(60ms);
        CHECK(w.rooms().rooms() == 0);
    }
    erase("other");
    w.run(3s);
    CHECK(requests != 0);
    CHECK(w.disk.saves == 0);
    CHECK(w.rooms().counters().storage_failures == 0);
}

TEST_CASE("RoomManager: a room whose saves fail delays no other one after it was loaded again",
          "[room][room_manager][regression][sim]") {
    RoomOptions options;
    options.loads_max = 1;
    RoomWorld w{Seed{1}, options};
    for (const char* board : {"a", "b"}) {
        REQUIRE(w.rooms().get_or_create_room(board));
        w.run(10ms);
        REQUIRE_FALSE(w.rooms().apply_update(board, typed(1, 0, "x")));
    }
    w.disk.fail_saves = 1'000'000;
    w.run(3min);  // the next retries are in 30 s or more
    w.disk.fail_saves = 0;
    const int loads = w.disk.loads;
    w.disk.before = [&](std::string_view call) {
        if (call == "rooms_to_save") w.disk.lags = {"a", "c"};
    };
    // The flush fails for the first room, so it is loaded again.
    w.disk.load_takes = 100ms;
    w.disk.rejected = {"a"};
    static_cast<void>(w.rooms().apply_update("a", typed(1, 1, "y")));
    w.run(1s);
    CHECK(w.disk.loads == loads + 2);
}

TEST_CASE(
    "RoomManager drops the changes of the rooms that a flush reports, in any order, and no others",
    "[room][room_manager][sim]") {
    RoomWorld w;
    const std::vector<std::string> boards{"a", "b", "c", "d", "e"};
    for (const std::string& board : boards) REQUIRE(w.rooms().get_or_create_room(board));
    w.run(10ms);
    w.disk.rejected = {"d", "nobody", "a", "e"};
    w.disk.load_takes = 1s;
    const int flushes = w.disk.flushes;
    const int loads = w.disk.loads;
    for (const std::string& board : boards)
        REQUIRE_FALSE(w.rooms().apply_update(board, typed(1, 0, "x")));
    w.run(10ms);
    CHECK(w.disk.flushes == flushes + 1);
    CHECK(w.rooms().counters().lost_updates == 3);
    CHECK(w.disk.loads == loads + 3);
    for (const std::string& board : boards) {
        const bool is_dropped = board == "a" || board == "d" || board == "e";
        CHECK(w.rooms().stats(board)->loaded != is_dropped);
    }
}

TEST_CASE("RoomManager reports the error of a room whose change failed and whose history ended",
          "[room][room_manager][regression][sim]") {
    RoomWorld w;
    for (const char* board : {"a", "b"}) REQUIRE(w.rooms().get_or_create_room(board));
    w.run(10ms);
    for (int i = 0; i < 20; ++i)
        for (const char* board : {"b", "a"}) w.disk.rejected.emplace_back(board);
    for (const char* board : {"a", "b"})
        REQUIRE_FALSE(w.rooms().apply_update(board, typed(1, 0, "x")));
    w.run(10ms);
    // The end of a history, which the other calls report, is not a failure.
    CHECK(w.rooms().counters().storage_failures == 2);
}

TEST_CASE("RoomManager: a room without changes is evicted although the storage cannot save it",
          "[room][room_manager][regression][sim]") {
    RoomWorld w;
    REQUIRE(w.rooms().get_or_create_room("board"));
    w.run(10ms);
    REQUIRE_FALSE(w.rooms().apply_update("board", typed(1, 0, "x")));
    w.run(1min);
    REQUIRE(w.disk.saves == 1);
    w.disk.fail_saves = 1'000'000;
    w.disk.lags = {"board"};
    w.rooms().erase("other", Completion<PersistenceError>{[](auto) noexcept {}});  // one flush
    w.run(10ms);
    REQUIRE(w.disk.saves == 2);
    SECTION("at the first sweep that is unload_after after its last activity") {
        w.run(1h);
        CHECK(w.disk.saves == 2);
        CHECK(w.rooms().rooms() == 0);
    }
    SECTION("by a stop, without an error") {
        w.rooms().stop();
        w.run(10ms);
        CHECK(w.reported.back() == "stopped: ");
    }
}

// ---- stop, restart -----------------------------------------------------------------------------

TEST_CASE("RoomManager::stop flushes, saves, closes clients with 1001 and notifies the observer",
          "[room][room_manager][sim]") {
    RoomWorld w;
    RoomEditor alice{w, "alice", 1};
    RoomEditor bob{w, "bob", 2};
    w.requests["bob"] = {.room_id = "other", .token = "bob"};
    w.dial(alice, bob);
    w.disk.flush_takes = 500ms;
    w.disk.save_takes = 1s;
    alice.type("x");
    bob.type("y");
    w.run(100ms);
    w.rooms().stop();
    w.run(100ms);
    CHECK(alice.closed_with == 1001);
    CHECK(w.reported.empty());
    w.run(5s);
    CHECK(w.reported == Recorded{"stopped: "});
    CHECK(w.rooms().rooms() == 0);
    CHECK(w.disk.saves == 2);
    RoomEditor late{w, "late", 3};
    w.dial(late);
    CHECK(late.closed_with == 1001);
    w.disk.flush_takes = w.disk.save_takes = 0s;
    w.world.restart(w.server);
    w.dial(late);
    CHECK(late.document() == alice.document());
}

TEST_CASE_METHOD(RoomOfOne,
                 "RoomManager::stop ends after stop_within although the storage never answers",
                 "[room][room_manager][sim]") {
    alice.type("x");
    w.run(1s);
    w.disk.save_takes = 1h;
    w.rooms().stop();
    w.run(19s);
    CHECK(w.reported.empty());
    w.run(2s);
    CHECK(w.reported == Recorded{"stopped: there was no answer in time"});
    CHECK(w.rooms().rooms() == 0);
}

TEST_CASE("RoomManager::stop: a client that does not read the close is no failure",
          "[room][room_manager][sim]") {
    RoomWorld w{Seed{1}, {.stop_within = 1s}};
    RoomEditor alice{w, "alice", 1};
    w.dial(alice);
    alice.type("x");
    w.run(1s);
    alice.stall(true);
    w.rooms().stop();
    w.run(500ms);
    CHECK(w.rooms().rooms() == 0);
    CHECK(w.reported.empty());
    w.run(1s);
    CHECK(w.reported.back() == "stopped: ");
}

TEST_CASE_METHOD(RoomOfOne, "RoomManager::stop reports a failed save",
                 "[room][room_manager][sim]") {
    alice.type("x");
    w.run(1s);
    SECTION("that has failed until the time for it is over") {
        w.disk.fail_saves = 1'000'000;
        w.rooms().stop();
        w.run(19s);
        CHECK(w.rooms().rooms() == 1);
        CHECK((w.disk.saves > 15 && w.disk.saves < 45));
        w.run(1s);
    }
    SECTION("that would fail again, at once") {
        w.disk.save_error = RoomErrc::update_too_large;
        w.disk.fail_saves = 1;
        w.rooms().stop();
        w.run(100ms);
    }
    CHECK(w.rooms().rooms() == 0);
    CHECK(w.reported.back() == "stopped: " + w.disk.save_error.message());
    w.disk.fail_saves = 0;
    // The manager can be started again, and the flushed changes are there.
    w.rooms().start();
    w.dial(alice);
    CHECK(state_of(w.rooms()) == alice.document());
}

TEST_CASE_METHOD(RoomOfTwo, "RoomManager: a visible change survives a crash",
                 "[room][room_manager][sim]") {
    alice.type("x");
    w.run(100ms);
    REQUIRE(bob.updates == 1);
    w.world.restart(w.server);
    RoomEditor carol{w, "carol", 3};
    w.dial(carol);
    CHECK(carol.document() == alice.document());
    CHECK(w.disk.saves == 0);
}

// ---- histories ---------------------------------------------------------------------------------

TEST_CASE_METHOD(RoomOfOne,
                 "RoomManager: only a client that sends another epoch is closed, with 4409",
                 "[room][room_manager][sim]") {
    CHECK(w.rooms().stats("board")->epoch.empty());
    alice.type("x");
    w.run(1s);
    const std::string epoch = w.rooms().stats("board")->epoch;
    CHECK(epoch.size() == 32);
    RoomEditor bob{w, "bob", 2};
    w.requests["bob"] = {.room_id = "board", .token = "bob", .epoch = epoch};
    w.dial(bob);
    CHECK(bob.synced);
    w.requests["bob"].epoch = std::string(32, '0');
    w.dial(bob);
    CHECK(bob.closed_with == 4409);
    w.world.restart(w.server);
    w.requests["bob"].epoch = epoch;
    w.dial(bob);
    CHECK(bob.synced);
}

TEST_CASE("RoomManager: a client with a separate history is merged, and reported as a divergence",
          "[room][room_manager][sim]") {
    RoomWorld w;
    RoomEditor alice{w, "alice", 1};
    RoomEditor bob{w, "bob", 2};
    alice.type("x");
    w.dial(alice);
    bob.type("y");
    w.dial(bob);
    CHECK(w.reported == Recorded{"divergence bob"});
    CHECK(alice.document() == bob.document());
    w.dial(bob);
    CHECK(w.reported.size() == 1);
}

// ---- commands ----------------------------------------------------------------------------------

TEST_CASE("RoomManager: the server's own edits, frames and closes", "[room][room_manager][sim]") {
    RoomWorld w;
    TestRooms& rooms = w.rooms();
    CHECK(rooms.apply_update("board", typed(9, 0, "x")) == RoomErrc::unknown_room);
    w.disk.load_takes = 1s;
    const auto stats = rooms.get_or_create_room("board");
    REQUIRE(stats);
    CHECK_FALSE(stats->loaded);
    CHECK(rooms.apply_update("board", typed(9, 0, "x")) == RoomErrc::not_loaded);
    w.run(2s);
    CHECK_FALSE(rooms.apply_update("board", typed(9, 0, "x")));
    CHECK(rooms.apply_update("board", BytesView{}) == YjsErrc::malformed_update);
    RoomEditor alice{w, "alice", 1};
    RoomEditor bob{w, "bob", 2};
    w.dial(alice);
    const RoomClientId first = w.last_client;
    w.dial(bob);
    CHECK(bob.has(typed(9, 0, "x")));
    CHECK_FALSE(rooms.apply_update("board", typed(9, 1, "y"), first));
    w.run(1s);
    CHECK(bob.has(typed(9, 1, "y")));
    CHECK_FALSE(alice.has(typed(9, 1, "y")));
    const auto frames = bob.frames;
    CHECK(rooms.broadcast(
        "board", YjsProtocol{}.write({part::RoomMessage::Kind::query_awareness, {}}), first));
    CHECK_FALSE(rooms.broadcast("nowhere", BytesView{}));
    w.run(1s);
    CHECK(bob.frames == frames + 1);
    // A client that is not slow also receives a frame that is longer than the budget of a slow one.
    const Bytes why(w.options.client_bytes_max + 1, std::byte{'x'});
    CHECK(rooms.broadcast("board", YjsProtocol{}.write({part::RoomMessage::Kind::denied, why}),
                          first));
    w.run(1s);
    CHECK(bob.closed_with == 0);
    CHECK(bob.denials.size() == 1);
    CHECK(rooms.remove_client(first));
    CHECK_FALSE(rooms.remove_client(first));
    w.run(1s);
    CHECK(alice.closed_with == 1000);
    CHECK(rooms.stats("board")->clients == 1);
    CHECK_FALSE(rooms.get_or_create_room(std::string(101, 'x')));
    CHECK_FALSE(rooms.get_or_create_room(""));
}

TEST_CASE("RoomManager: a room of a document of words", "[room][room_manager][sim]") {
    sim::World world{Seed{5}};
    sim::Host& server = world.host("server");
    RoomManager rooms{MemoryRooms{}, EveryoneEdits{}, RoomOptions{}, NoObserver{}, WordsDocument{}};
    server.attach(rooms);
    rooms.start();
    REQUIRE(rooms.get_or_create_room("log"));
    world.run_for(1s);
    CHECK_FALSE(rooms.apply_update("log", as_bytes("first")));
    CHECK_FALSE(rooms.apply_update("log", as_bytes("second")));
    CHECK_FALSE(rooms.apply_update("log", as_bytes("first")));
    world.run_for(1s);
    CHECK(rooms.get_state("log") == std::vector<Bytes>{to_bytes("first second")});
    world.run_for(2h);
    CHECK(rooms.rooms() == 0);
    REQUIRE(rooms.get_or_create_room("log"));
    world.run_for(1s);
    CHECK(rooms.get_state("log") == std::vector<Bytes>{to_bytes("first second")});
}
