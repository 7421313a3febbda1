// SPDX-License-Identifier: MIT
// Goal: a storage that answers slowly, or not at all, holds no client without a limit of time, and
// a user with many rooms delays no other user.
// Method: loads of more rooms than loads_max in a simulated world.
#include <belay/room/room_manager.hpp>

#include <cstddef>
#include <deque>
#include <string>
#include <string_view>

#include "support/catch.hpp"
#include "support/room/hocuspocus_client.hpp"
#include "support/room/room_editors.hpp"
#include "support/room/room_world.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

/// More rooms than loads_max, each with a client that waits for its load.
struct ManyRooms : RoomEditors {
    explicit ManyRooms(const RoomOptions& options) : w{Seed{1}, options} {
        for (int i = 0; i < 8; ++i) {
            const std::string name = "user" + std::to_string(i);
            add(w, name, {.room_id = "room" + std::to_string(i), .token = name});
        }
    }
    // The clients end before their world.
    ~ManyRooms() { all.clear(); }
    ManyRooms(const ManyRooms&) = delete;
    ManyRooms& operator=(const ManyRooms&) = delete;

    RoomWorld w;
};

/// One client of a user for each of its rooms, which dials at once.
struct ManyRoomsOfOne : RoomEditors {
    ManyRoomsOfOne(RoomWorld& world, const RoomRequest& request, int rooms) {
        for (int i = 0; i < rooms; ++i) {
            const std::string host = request.token + request.ip + "-" + std::to_string(i);
            RoomRequest own = request;
            if (own.room_id.empty()) own.room_id = host;
            add(world, host, std::move(own)).dial();
        }
    }
};

[[nodiscard]] RoomOptions two_loads() {
    RoomOptions options;
    options.loads_max = 2;
    options.answer_within = 5s;
    return options;
}

/// A client that has joined one document, and waits for the loads of others, a second each.
void join_and_wait(RoomWorld& w, HocuspocusClient& client, const std::string& token, int others) {
    client.enter({"first"});
    w.disk.load_takes = 1s;
    for (int i = 0; i < others; ++i) client.token("board" + std::to_string(i), token);
}

}  // namespace

TEST_CASE("RoomManager rejects a load that waits for loads_max for too long",
          "[room][room_loads][sim]") {
    ManyRooms m{two_loads()};
    RoomWorld& w = m.w;
    w.disk.hang_loads = 1000;
    m.dial();
    // Two loads time out after 5 s, and two after 10 s. Each time, the next two begin. The last two
    // wait for longer than 10 s.
    w.run(9s);
    CHECK(m.closed_with(1013) == 2);
    CHECK(w.rooms().counters().loads_rejected == 0);
    w.run(1500ms);
    CHECK(m.closed_with(1013) == 6);
    const RoomCounters& counters = w.rooms().counters();
    CHECK(counters.loads_rejected == 2);
    CHECK(counters.loads == 6);
    CHECK(counters.storage_failures == 6);
    CHECK(counters.reasons.of(RoomErrc::not_loaded) == 6);
    const std::vector<PersistenceError>& failures = w.rooms().observer().failures;
    REQUIRE(failures.size() == 6);
    CHECK(failures.back().code == RoomErrc::storage_busy);
    CHECK(failures.back().what == "the load waited for loads_max for twice answer_within");
    CHECK(w.reported.back().ends_with(": the room is not loaded"));
    w.run(5s);
    CHECK(m.closed_with(1013) == 8);
    CHECK(w.rooms().clients() == 0);
    CHECK(w.rooms().rooms() == 0);
    // The storage answers again: every client joins.
    w.disk.hang_loads = 0;
    m.dial();
    w.run(1s);
    CHECK(m.synced() == 8);
    CHECK(counters.loads_rejected == 2);
}

TEST_CASE("RoomManager: a storage that answers slowly delays a client by a bounded time",
          "[room][room_loads][sim]") {
    ManyRooms m{two_loads()};
    m.w.disk.load_takes = 4s;
    m.dial();
    // Each client is admitted or closed within three times answer_within.
    m.w.run(15s + 100ms);
    CHECK(m.synced() == 6);
    CHECK(m.closed_with(1013) == 2);
    // Those that dial again join later.
    for (const auto& one : m.all) {
        if (one->closed_with == 1013) one->dial();
    }
    m.w.run(5s);
    CHECK(m.synced() == 8);
}

TEST_CASE(
    "RoomManager: clients of a room that is loaded again are closed when the load is rejected",
    "[room][room_loads][sim]") {
    ManyRooms m{two_loads()};
    RoomWorld& w = m.w;
    m.dial();
    w.run(1s);
    REQUIRE(m.synced() == 8);
    // A failed flush loses the changes of all rooms.
    w.disk.fail_flushes = 1;
    w.disk.hang_loads = 6;
    for (int i = 0; i < 8; ++i) {
        REQUIRE_FALSE(w.rooms().apply_update("room" + std::to_string(i), typed(9, 0, "x")));
    }
    w.run(11s);
    CHECK(m.closed_with(1013) == 6);
    CHECK(w.rooms().counters().loads_rejected == 2);
    w.run(5s);
    CHECK(m.closed_with(1013) == 8);
    m.dial();
    w.run(1s);
    CHECK(m.synced() == 8);
}

TEST_CASE("RoomManager loads the rooms of users in turn, however many rooms one user opens",
          "[room][room_loads][sim]") {
    RoomOptions options;
    options.loads_max = 4;
    RoomWorld w{Seed{1}, options};
    w.disk.load_takes = 100ms;
    w.rights.grants["nobody"] = Grant{"", Access::edit, forever};
    // The loads of other users begin after at most one load, and take as long as one.
    const auto joins_soon = [&](const ManyRoomsOfOne& other) {
        const int loads = w.disk.loads;
        w.run(300ms);
        CHECK(other.synced() == static_cast<long>(other.all.size()));
        CHECK(w.disk.loads <= loads + 12);
    };
    SECTION("users with a name") {
        const ManyRoomsOfOne eve{w, {.token = "eve"}, 500};
        w.run(50ms);
        joins_soon(ManyRoomsOfOne{w, {.token = "ada"}, 1});
        joins_soon(ManyRoomsOfOne{w, {.token = "bob"}, 2});
        CHECK(eve.synced() < 40);
        // No room of the first user is refused.
        w.run(18s);
        CHECK(eve.synced() == 500);
        CHECK(w.rooms().counters().rejected == 0);
    }
    SECTION("users without a name by their addresses") {
        const ManyRoomsOfOne eve{w, {.token = "nobody", .ip = "192.0.2.1"}, 100};
        w.run(50ms);
        joins_soon(ManyRoomsOfOne{w, {.token = "nobody", .ip = "192.0.2.2"}, 1});
        CHECK(eve.synced() < 30);
    }
    SECTION("a room that another user has opened") {
        const ManyRoomsOfOne eve{w, {.token = "eve"}, 100};
        w.run(50ms);
        joins_soon(ManyRoomsOfOne{w, {.room_id = "eve-99", .token = "ada"}, 1});
        CHECK(eve.synced() < 30);
        CHECK(eve.all[99]->synced);
        w.run(4s);
        CHECK(eve.synced() == 100);
        CHECK(w.disk.loads == 100);
    }
}

TEST_CASE("RoomManager: a user whose loads hang leaves some of loads_max to other users",
          "[room][room_loads][sim]") {
    RoomOptions options;
    options.loads_max = 8;
    RoomWorld w{Seed{1}, options};
    w.disk.hang_loads = 8;
    const ManyRoomsOfOne eve{w, {.token = "eve"}, 100};
    w.run(50ms);
    CHECK(w.disk.loads == 6);
    // The two other loads are for users who have none: one load for each of them.
    w.disk.hang_loads = 2;
    const ManyRoomsOfOne mallory{w, {.token = "mallory"}, 100};
    w.run(50ms);
    CHECK(w.disk.loads == 7);
    const ManyRoomsOfOne bob{w, {.token = "bob"}, 1};
    w.run(50ms);
    CHECK(w.disk.loads == 8);
    // When a load is answered, another user's load begins.
    w.disk.hang_loads = 0;
    w.run(options.answer_within - 200ms);
    CHECK(eve.synced() + mallory.synced() + bob.synced() == 0);
    w.disk.load_takes = 10ms;
    w.run(400ms);
    CHECK(bob.closed_with(1013) == 1);
    const ManyRoomsOfOne ada{w, {.token = "ada"}, 1};
    w.run(50ms);
    CHECK(ada.synced() == 1);
    w.run(4s);
    CHECK(eve.synced() == 94);
    CHECK(mallory.synced() == 99);
}

TEST_CASE("RoomManager: a user whose load hangs takes no other load while others have none free",
          "[room][room_loads][sim]") {
    RoomOptions options;
    options.loads_max = 4;
    RoomWorld w{Seed{1}, options};
    w.disk.hang_loads = 3;
    const ManyRoomsOfOne eve{w, {.token = "eve"}, 100};
    w.run(50ms);
    w.disk.load_takes = 10ms;
    for (int i = 0; i < 3; ++i) {
        const ManyRoomsOfOne other{w, {.token = "user" + std::to_string(i)}, 10};
        w.run(150ms);
        CHECK(other.synced() == 10);
    }
    CHECK(eve.synced() == 0);
}

TEST_CASE("RoomManager: exports delay no join, and end in a stop",
          "[room][room_loads][regression][sim]") {
    RoomOptions options;
    options.loads_max = 4;
    options.answer_within = 5s;
    RoomWorld w{Seed{1}, options};
    int exported = 0;
    std::vector<std::error_code> failed;
    const auto export_rooms = [&](int first, int count) {
        for (int n = first; n < first + count; ++n)
            w.rooms().export_room("old" + std::to_string(n),
                                  Completion<Result<std::optional<StoredRoom>, PersistenceError>>{
                                      [&](auto answer) noexcept {
                                          answer->has_value()
                                              ? void(++exported)
                                              : failed.push_back(answer->error().code);
                                      }});
    };
    w.disk.load_takes = 100ms;
    SECTION("that hang") {
        w.disk.hang_loads = 10;
        export_rooms(0, 10);
        w.run(50ms);
        const ManyRoomsOfOne ada{w, {.token = "ada"}, 5};
        w.run(600ms);
        CHECK(ada.synced() == 5);
        w.run(5s);
        CHECK(failed == std::vector<std::error_code>(10, RoomErrc::no_answer));
        CHECK(w.rooms().counters().loads == 5);
    }
    SECTION("a stop ends the exports that wait") {
        w.disk.hang_loads = 10;
        export_rooms(0, 10);
        w.run(50ms);
        w.rooms().stop();
        w.run(6s);
        CHECK(failed.size() == 10);
        CHECK(w.reported.back() == "stopped: ");
        w.disk.hang_loads = 0;
        w.rooms().start();
        export_rooms(0, 10);
        w.run(400ms);
        CHECK(exported == 10);
    }
    SECTION("the time of a load begins after the erase that it waited for") {
        w.disk.flush_takes = 4s;
        w.disk.load_takes = 3s;
        w.rooms().erase("old0", Completion<PersistenceError>{[](auto) noexcept {}});
        export_rooms(0, 1);
        w.run(8s);
        CHECK(exported == 1);
    }
}

TEST_CASE("RoomManager: loads that calls of the server cause leave a quarter of loads_max to users",
          "[room][room_loads][regression][sim]") {
    RoomOptions options;
    options.loads_max = 4;
    options.answer_within = 5s;
    std::vector<std::error_code> imported;
    RoomWorld w{Seed{1}, options};
    const bool imports = GENERATE(true, false);
    const auto call = [&](const std::string& board) {
        if (!imports) CHECK(w.rooms().get_or_create_room(board));
        if (!imports) return;
        w.rooms().import_room(board, {.updates = {typed(1, 0, "x")}},
                              Completion<PersistenceError>{
                                  [&](auto answer) noexcept { imported.push_back(answer->code); }});
    };
    const auto call_all = [&](int first, int count) {
        for (int n = first; n < first + count; ++n) call("old" + std::to_string(n));
    };
    SECTION("of new rooms") {
        w.disk.hang_loads = 3;
        call_all(0, 10);
        w.run(50ms);
        CHECK(w.disk.loads == 3);
        w.disk.load_takes = 100ms;
        const ManyRoomsOfOne ada{w, {.token = "ada"}, 5};
        w.run(600ms);
        CHECK(ada.synced() == 5);
        // Three loads hang for answer_within. Then the others are answered.
        w.run(6s);
        CHECK(w.rooms().counters().storage_failures == 3);
        CHECK(w.rooms().counters().loads_rejected == 0);
        if (imports) CHECK(imported.size() == 10);
        call_all(20, 10);
        w.run(400ms);
        CHECK(w.rooms().stats("old29")->loaded);
    }
    SECTION("of rooms that are loaded again") {
        call_all(0, 10);
        w.run(1s);
        if (GENERATE(false, true)) {
            // After a restart, the storage opens the rooms first, for saves.
            for (int n = 0; n < 10; ++n)
                static_cast<void>(
                    w.rooms().apply_update("old" + std::to_string(n), typed(2, 0, "y")));
            w.rooms().stop();
            w.run(1s);
            w.rooms().start();
            w.disk.before = [&](std::string_view name) {
                if (name != "rooms_to_save") return;
                for (int n = 0; n < 10; ++n) w.disk.lags.push_back("old" + std::to_string(n));
            };
            CHECK(w.rooms().get_or_create_room("other"));
            w.run(1s);
            static_cast<void>(w.rooms().apply_update("other", typed(3, 0, "z")));
            w.run(2s);
            w.disk.before = nullptr;
            CHECK(w.rooms().rooms() == 11);
            w.run(2s);
            call_all(0, 10);
            w.run(1s);
        }
        w.disk.fail_flushes = 1;
        w.disk.hang_loads = 4;
        for (int n = 0; n < 10; ++n)
            REQUIRE_FALSE(w.rooms().apply_update("old" + std::to_string(n), typed(9, 0, "x")));
        w.run(50ms);
        w.disk.hang_loads = 0;
        w.disk.load_takes = 100ms;
        const ManyRoomsOfOne ada{w, {.token = "ada"}, 5};
        w.run(600ms);
        CHECK(ada.synced() == 5);
    }
}

TEST_CASE("RoomManager: a call for rooms that wait for their user takes one of the loads left",
          "[room][room_loads][regression][sim]") {
    RoomOptions options;
    options.loads_max = 8;
    RoomWorld w{Seed{1}, options};
    w.disk.hang_loads = 7;
    const ManyRoomsOfOne eve{w, {.token = "eve"}, 10};
    w.run(50ms);
    for (int n = 0; n < 10; ++n) CHECK(w.rooms().get_or_create_room("eve-" + std::to_string(n)));
    w.run(50ms);
    CHECK(w.disk.loads == 7);
    const ManyRoomsOfOne ada{w, {.token = "ada"}, 5};
    w.run(50ms);
    CHECK(ada.synced() == 5);
}

TEST_CASE("RoomManager: users load rooms in the order of arrival, and not of their names",
          "[room][room_loads][regression][sim]") {
    const bool ascending = GENERATE(true, false);
    RoomOptions options;
    options.loads_max = 1;
    RoomWorld w{Seed{1}, options};
    w.disk.load_takes = 100ms;
    std::vector<ManyRoomsOfOne> others;
    const auto arrive = [&] {
        const std::size_t number = others.size();
        const std::size_t digits = ascending ? 100 + number : 999 - number;
        others.emplace_back(w, RoomRequest{.token = "m" + std::to_string(digits)}, 1);
    };
    for (int i = 0; i < 5; ++i) arrive();
    w.run(150ms);
    const ManyRoomsOfOne victim{w, {.token = "b"}, 1};
    // New users arrive as fast as loads end.
    for (int i = 0; i < 8; ++i) {
        arrive();
        w.run(95ms);
    }
    CHECK(victim.synced() == 1);
}

TEST_CASE("RoomManager loads the rooms of users without a name and an address in turn",
          "[room][room_loads][sim]") {
    RoomOptions options;
    options.loads_max = 1;
    RoomWorld w{Seed{1}, options};
    w.disk.load_takes = 100ms;
    w.rights.grants["nobody"] = Grant{"", Access::edit, forever};
    w.requests["one"] = {};
    HocuspocusClient eve{w, "one"};
    eve.dial();
    for (int i = 0; i < 8; ++i) eve.token("board" + std::to_string(i), "nobody");
    w.run(50ms);
    const ManyRoomsOfOne other{w, {.token = "nobody"}, 1};
    w.run(400ms);
    CHECK(other.synced() == 1);
    CHECK(w.disk.loads <= 5);
    w.run(1s);
    CHECK(w.disk.loads == 9);
}

TEST_CASE("RoomManager: hanging reloads of a connection without a user delay no other connection",
          "[room][room_loads][sim][regression]") {
    RoomOptions options;
    options.loads_max = 4;
    RoomWorld w{Seed{1}, options};
    w.rights.grants["nobody"] = Grant{"", Access::edit, forever};
    w.requests["one"] = {};
    HocuspocusClient eve{w, "one"};
    eve.dial();
    const auto each_room = [](auto&& f) {
        for (int i = 0; i < 8; ++i) f("board" + std::to_string(i));
    };
    const bool by_server = GENERATE(false, true);
    if (by_server) {
        each_room([&](const std::string& board) {
            static_cast<void>(w.rooms().get_or_create_room(board));
        });
        w.run(1s);
    }
    each_room([&](const std::string& board) { eve.token(board, "nobody"); });
    w.run(1s);
    REQUIRE(w.disk.loads == 8);
    // The flush with its edits fails, so all of its rooms are loaded again.
    w.disk.flush_takes = 100ms;
    w.disk.fail_flushes = 1;
    w.disk.hang_loads = 8;
    each_room([&](const std::string& board) { eve.send(board, update_frame(1, 0, "a")); });
    w.run(1s);
    CHECK(w.disk.loads == 8 + 3);
    w.disk.hang_loads = 0;
    const ManyRoomsOfOne other{w, {.token = "nobody"}, 1};
    w.run(1s);
    CHECK(other.synced() == 1);
}

TEST_CASE("RoomManager: a full waiting list closes a client of the user who has most clients in it",
          "[room][room_loads][sim]") {
    RoomOptions options;
    options.loads_max = 1;
    options.waiting_max = 10;
    RoomWorld w{Seed{1}, options};
    w.disk.load_takes = 100ms;
    const ManyRoomsOfOne eve{w, {.token = "eve", .ip = "192.0.2.1"}, 10};
    w.run(50ms);
    CHECK(w.rooms().clients() == 10);
    const ManyRoomsOfOne ada{w, {.token = "ada", .ip = "192.0.2.2"}, 2};
    w.run(50ms);
    CHECK(ada.closed_with(1013) == 0);
    CHECK(eve.closed_with(1013) == 2);
    CHECK(w.rooms().counters().reasons.of(RoomErrc::too_many_waiting) == 2);
    // Clients of the user who has most clients waiting take no place of another user.
    for (const auto& one : eve.all) {
        if (one->closed_with == 1013) one->dial();
    }
    w.run(50ms);
    CHECK(ada.closed_with(1013) == 0);
    w.run(3s);
    CHECK(ada.synced() == 2);
    CHECK(eve.synced() >= 8);
}

TEST_CASE("RoomManager: the only waiting client of a user is never closed for another one",
          "[room][room_loads][sim]") {
    RoomOptions options;
    options.loads_max = 1;
    options.waiting_max = 3;
    RoomWorld w{Seed{1}, options};
    w.disk.load_takes = 1s;
    const ManyRoomsOfOne ada{w, {.token = "ada"}, 1};
    const ManyRoomsOfOne bob{w, {.token = "bob"}, 1};
    const ManyRoomsOfOne eve{w, {.token = "eve"}, 1};
    w.run(50ms);
    const ManyRoomsOfOne late{w, {.token = "late"}, 1};
    w.run(50ms);
    CHECK(late.closed_with(1013) == 1);
    w.run(4s);
    CHECK(ada.synced() + bob.synced() + eve.synced() == 3);
}

TEST_CASE(
    "RoomManager closes the connection of a document that it rejects, so that its client dials "
    "again",
    "[room][room_loads][sim]") {
    RoomOptions options;
    options.waiting_max = 6;
    RoomWorld w{Seed{1}, options};
    HocuspocusClient eve{w, "one"};
    join_and_wait(w, eve, "one", 6);
    w.run(100ms);
    CHECK(w.rooms().clients() == 7);
    const ManyRoomsOfOne ada{w, {.token = "ada", .ip = "192.0.2.2"}, 1};
    w.run(2s);
    CHECK(ada.synced() == 1);
    // A client does not ask again for a document that was denied.
    CHECK(eve.closed_with == 1013);
    CHECK(eve.received().empty());
}

TEST_CASE("RoomManager: clients without a token close no document of a user with few waiting ones",
          "[room][room_loads][regression][sim]") {
    RoomOptions options;
    options.waiting_max = 30;
    RoomWorld w{Seed{1}, options};
    HocuspocusClient eve{w, "eve"};
    join_and_wait(w, eve, "eve", 3);
    w.run(50ms);
    // Without a token, each from an address of its own.
    for (int i = 0; i < 40; ++i) {
        w.rooms().accept(AbortedUpgrade{.gone = false}, HocuspocusProtocol{},
                         {.ip = "192.0.2." + std::to_string(i)});
    }
    w.run(50ms);
    CHECK(eve.closed_with == 0);
    w.run(2s);
    CHECK(eve.received().size() == 3);
}

namespace {

/// Users request rooms, each of which is erased while its load is under way.
void erase_during_loads(RoomWorld& w, int rooms) {
    for (int i = 0; i < rooms; ++i) {
        const std::string board = "erased" + std::to_string(i);
        const ManyRoomsOfOne user{w, {.room_id = board, .token = "user" + std::to_string(i)}, 1};
        w.run(20ms);
        REQUIRE(w.rooms().rooms() == 1);
        w.rooms().erase(board, [](std::optional<PersistenceError>) noexcept {});
        w.run(10ms);
    }
    REQUIRE(w.rooms().rooms() == 0);
}

}  // namespace

TEST_CASE("RoomManager: the loads of evicted rooms count for loads_max until the storage answers",
          "[room][room_loads][sim][regression]") {
    RoomWorld w{Seed{1}, two_loads()};
    w.disk.load_takes = 3s;
    erase_during_loads(w, 8);
    const ManyRoomsOfOne ada{w, {.token = "ada"}, 1};
    w.run(2s);
    CHECK(w.disk.loads == 2);
    CHECK(ada.synced() == 0);
    // The two loads have ended, and a third one begins and ends.
    w.run(4s);
    CHECK(w.disk.loads == 3);
    CHECK(w.disk.loading_max == 2);
    CHECK(ada.synced() == 1);
    CHECK(w.rooms().counters().storage_failures == 0);
}

TEST_CASE("RoomManager: the load of an evicted room that hangs ends after answer_within",
          "[room][room_loads][sim][regression]") {
    RoomWorld w{Seed{1}, two_loads()};
    w.disk.hang_loads = 2;
    erase_during_loads(w, 2);
    const ManyRoomsOfOne ada{w, {.token = "ada"}, 1};
    w.run(4900ms);
    CHECK(ada.synced() == 0);
    w.run(1s);
    CHECK(ada.synced() == 1);
    // The late answers are ignored.
    w.disk.hung.clear();
    w.run(1s);
    CHECK(w.rooms().rooms() == 1);
}

TEST_CASE("RoomManager: the load of an evicted room counts for its user until the storage answers",
          "[room][room_loads][sim][regression]") {
    RoomOptions options;
    options.loads_max = 4;
    RoomWorld w{Seed{1}, options};
    w.disk.hang_loads = 3;
    const ManyRoomsOfOne eve{w, {.token = "eve"}, 3};
    w.run(50ms);
    for (const auto& one : eve.all) {
        w.rooms().erase(one->host().name(), [](std::optional<PersistenceError>) noexcept {});
        one->hang_up();
    }
    w.run(50ms);
    REQUIRE(w.rooms().rooms() == 0);
    const ManyRoomsOfOne again{w, {.token = "eve", .ip = "again"}, 2};
    const ManyRoomsOfOne ada{w, {.token = "ada"}, 1};
    w.run(50ms);
    CHECK(again.synced() == 0);
    CHECK(ada.synced() == 1);
    w.disk.hung.clear();
    w.run(50ms);
    CHECK(again.synced() == 2);
}

TEST_CASE("FairQueue: work of several users leaves the turns of all of them",
          "[room][room_loads][unit]") {
    const Instant now{};
    detail::Accounts accounts{now};
    const auto ada = accounts.of("ada", "", 0);
    const auto bob = accounts.of("bob", "", 0);
    detail::FairQueue<int> queue{64};
    // Work of which no number is held ends at once.
    const auto take = [&] {
        const std::uint64_t number = queue.next_number();
        const int item = queue.take_next();
        queue.remove(number);
        return item;
    };
    const std::uint64_t one = queue.push(1, ada);
    for (int again = 0; again < 3; ++again) {
        queue.share(one, ada);
        queue.share(one, bob);
    }
    queue.push(2, bob);
    CHECK(take() == 1);
    CHECK(take() == 2);
    CHECK_FALSE(queue.has_next());
    // A user who has had a turn is after the other users.
    queue.push(1, ada);
    queue.push(2, ada);
    queue.push(3, bob);
    CHECK(take() == 1);
    CHECK(take() == 3);
    CHECK(take() == 2);
    // Work that is removed leaves the turns of all its users. A user without other work has no
    // turn.
    const std::uint64_t removed = queue.push(1, ada);
    queue.share(removed, bob);
    queue.push(2, bob);
    queue.remove(removed);
    queue.share(removed, ada);
    CHECK(take() == 2);
    CHECK(queue.empty());
    CHECK_FALSE(queue.has_next());
    // Work without a user begins whenever a place is free, and counts for no user.
    const detail::Ref<detail::Account> nobody{};
    for (int i = 0; i < 63; ++i) queue.begin(nobody);
    CHECK(queue.may_begin(nobody));
    CHECK(queue.may_begin(ada));
    queue.begin(nobody);
    CHECK_FALSE(queue.may_begin(nobody));
    CHECK_FALSE(queue.may_begin(ada));
}
