// SPDX-License-Identifier: MIT
// Goal: RoomManager does not have the defects that users of other collaboration servers
// reported. Method: each report as a scenario in a simulated world.
#include <belay/room/room_manager.hpp>

#include <algorithm>

#include "support/catch.hpp"
#include "support/room/disk_rooms.hpp"
#include "support/room/served_room.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

/// Options by which a room is evicted soon after its last client has left.
RoomOptions hasty() {
    RoomOptions options;
    options.save_after = 1s;
    options.unload_after = 1s;
    return options;
}

struct QuicklyEvictedRoom {
    /// Alice writes this. It is saved, and the room is evicted.
    void alice_wrote(std::string_view text) {
        alice.type(text);
        alice.dial();
        w.run(5s);
        alice.hang_up();
        w.run(1min);
    }

    RoomWorld w{Seed{1}, hasty()};
    RoomEditor alice{w, "alice", 1};
};

}  // namespace

TEST_CASE_METHOD(QuicklyEvictedRoom,
                 "RoomManager evicts a room only when its latest change is saved",
                 "[room][reported_defects][sim]") {
    w.disk.save_takes = 10s;
    w.dial(alice);
    alice.type("one");
    w.run(2s);
    REQUIRE(w.disk.saving == 1);
    alice.type("two");
    w.run(100ms);
    alice.hang_up();
    for (int i = 0; i < 30; ++i) {
        w.run(1s);
        RoomEditor bob{w, "bob" + std::to_string(i), 2};
        w.dial(bob);
        REQUIRE(bob.document() == alice.document());
    }
    w.run(1min);
    CHECK(w.rooms().rooms() == 0);
    CHECK(w.disk.saves == 2);
}

TEST_CASE_METHOD(QuicklyEvictedRoom,
                 "RoomManager saves at stop, and coalesces changes while a save is running",
                 "[room][reported_defects][sim]") {
    w.disk.save_takes = 20s;  // slower than changes come
    w.dial(alice);
    for (int i = 0; i < 100; ++i) {
        alice.type("x");
        w.run(1100ms);
    }
    CHECK(w.disk.saving_max == 1);
    CHECK(w.disk.saves <= 7);
    w.disk.save_takes = 1s;
    w.rooms().stop();
    w.run(30s);
    CHECK(w.reported.back() == "stopped: ");
    const auto stored = stored_of(w.disk);
    REQUIRE(stored);
    CHECK(stored->updates.empty());
    CHECK(stored->snapshot == std::vector<Bytes>{alice.document()});
}

TEST_CASE_METHOD(
    QuicklyEvictedRoom,
    "RoomManager closes clients of a room that fails to load, and never saves it as empty",
    "[room][reported_defects][sim]") {
    alice_wrote("of worth");
    REQUIRE(w.rooms().rooms() == 0);
    const int saves = w.disk.saves;
    w.disk.fail_loads = 1;
    RoomEditor bob{w, "bob", 2};
    w.dial(bob);
    CHECK(bob.closed_with == 1013);
    CHECK_FALSE(bob.synced);
    CHECK(w.rooms().rooms() == 0);
    w.run(1min);
    CHECK(w.disk.saves == saves);
    w.dial(bob);
    CHECK(bob.document() == alice.document());
}

TEST_CASE_METHOD(QuicklyEvictedRoom,
                 "RoomManager never has two copies of a room while the first is evicted",
                 "[room][reported_defects][sim]") {
    w.disk.save_takes = w.disk.load_takes = 3s;
    RoomEditor bob{w, "bob", 2};
    for (int i = 0; i < 40; ++i) {
        // Alice dials at different moments between the end of a connection and the eviction of the
        // room.
        alice.dial();
        w.run(4s);
        alice.type("a");
        w.run(100ms);
        alice.hang_up();
        w.run(i * 250ms);
        alice.dial();
        bob.dial();
        w.run(4s);
        bob.type("b");
        w.run(100ms);
        REQUIRE(w.rooms().rooms() == 1);
        REQUIRE(alice.document() == bob.document());
        alice.hang_up();
        bob.hang_up();
        w.run(1s);
    }
}

TEST_CASE_METHOD(
    QuicklyEvictedRoom,
    "RoomManager sends no frame before the document is loaded, and evicts an unused room",
    "[room][reported_defects][sim]") {
    alice_wrote("a");
    w.disk.load_takes = 5s;
    RoomEditor bob{w, "bob", 2};
    bob.dial();
    w.run(4900ms);
    CHECK(bob.frames == 0);
    w.run(1s);
    CHECK(bob.synced);
    CHECK(bob.document() == alice.document());
    bob.hang_up();
    w.run(1min);
    CHECK(w.rooms().rooms() == 0);
    CHECK(w.rooms().clients() == 0);
}

TEST_CASE_METHOD(QuicklyEvictedRoom,
                 "RoomManager does not save a room for a client that only reads",
                 "[room][reported_defects][sim]") {
    alice_wrote("a");
    const int saves = w.disk.saves;
    const int flushes = w.disk.flushes;
    w.rights.grants["eve"] = Grant{"eve", Access::view, forever};
    RoomEditor eve{w, "eve", 2};
    eve.dial();
    w.run(5s);
    eve.hang_up();
    w.run(1min);
    CHECK(w.rooms().rooms() == 0);
    CHECK(w.disk.saves == saves);
    CHECK(w.disk.flushes == flushes);
}

TEST_CASE_METHOD(RoomOfOne, "RoomManager requests and stores only the difference after a restart",
                 "[room][reported_defects][sim]") {
    for (int i = 0; i < 100; ++i) alice.type(std::string(100, 'x'));
    w.run(1min);
    for (int i = 0; i < 5; ++i) {
        w.world.restart(w.server);
        const int flushes = w.disk.flushes;
        w.dial(alice);
        REQUIRE(alice.synced);
        // The client sent the difference, which was empty.
        CHECK(w.rooms().counters().updates == 0);
        CHECK(w.rooms().counters().unchanged == 1);
        CHECK(w.disk.flushes == flushes);
    }
    alice.hang_up();
    alice.type("y");
    w.dial(alice);
    CHECK(w.rooms().counters().updates == 1);
    const auto stored = stored_of(w.disk);
    REQUIRE(stored);
    REQUIRE(stored->updates.size() == 1);
    CHECK(stored->updates.front().size() < 30);
}

TEST_CASE("YjsDocument merges 5000 small changes ten times, not at each change",
          "[room][reported_defects][unit]") {
    YjsDocument document;
    std::size_t merges = 0;
    std::size_t before = 0;
    for (std::uint64_t i = 0; i < 5000; ++i) {
        const Bytes update = typed(1, i, "x");
        REQUIRE(document.check(update).value_or(false));
        REQUIRE_FALSE(document.apply(update));
        const std::size_t now = document.status().pending_updates;
        if (now < before) ++merges;
        before = now;
    }
    CHECK(merges == 10);
}

TEST_CASE("RoomManager bounds the log and the snapshot of a room with 3000 small changes",
          "[room][reported_defects][sim]") {
    sim::World world{Seed{1}};
    using Rooms = RoomManager<JournalRoomsOnDisk, EveryoneEdits>;
    sim::Host& server = world.host("server", [&](sim::Host& h) {
        auto opened = open_rooms(h.disk());
        REQUIRE(opened);
        auto rooms = std::make_unique<Rooms>(std::move(*opened), EveryoneEdits{});
        h.attach(*rooms);
        rooms->start();
        h.listen(1, [r = rooms.get()](sim::Accepted a) {
            r->accept(Coded<sim::Accepted>{std::move(a)}, YjsProtocol{}, {.room_id = "board"});
        });
        return rooms;
    });
    RoomEditor alice{world, "alice", 1};
    alice.dial();
    world.run_for(1s);
    std::uint64_t most = 0;
    for (int i = 0; i < 3000; ++i) {
        alice.type("x");
        world.run_for(100ms);
        most = std::max(most, server.process<Rooms>()->persistence().status().log_bytes);
    }
    // The log holds the changes of 30 s, in files of 4 KiB.
    CHECK(most < 10 * 4096);
    // Letters that were typed one by one are stored as one text.
    world.run_for(1min);
    CHECK(server.disk().contents(DiskRooms::file("board")).size() < 3000 + 300);
}

TEST_CASE_METHOD(
    QuicklyEvictedRoom,
    "RoomManager keeps the epoch over evictions and restarts, so content is not doubled",
    "[room][reported_defects][sim]") {
    w.dial(alice);
    alice.type("once");
    w.run(5s);
    const Bytes before = alice.document();
    for (int i = 0; i < 10; ++i) {
        alice.hang_up();
        if (i % 2 == 0) {
            w.run(1min);
            REQUIRE(w.rooms().rooms() == 0);
        } else {
            w.world.restart(w.server);
        }
        w.dial(alice);
        REQUIRE(alice.synced);
        REQUIRE(alice.document() == before);
        REQUIRE(state_of(w.rooms()) == before);
    }
    CHECK(std::count(w.reported.begin(), w.reported.end(), "divergence alice") == 0);
    // A document that was begun elsewhere is reported as a divergence.
    RoomEditor bob{w, "bob", 2};
    bob.type("elsewhere");
    w.dial(bob);
    CHECK(std::count(w.reported.begin(), w.reported.end(), "divergence bob") == 1);
    // It is reported once, although the client sends a state vector with an invented author again
    // and again.
    for (int i = 0; i < 100; ++i)
        bob.say({part::RoomMessage::Kind::state_vector,
                 Bytes{std::byte{1}, std::byte{99}, std::byte{1}}});
    w.run(1s);
    CHECK(w.rooms().counters().divergences > 1);
    CHECK(std::count(w.reported.begin(), w.reported.end(), "divergence bob") == 1);
}

TEST_CASE("RoomManager enforces expired, downgraded and revoked grants of open connections",
          "[room][reported_defects][sim]") {
    RoomWorld w;
    w.rights.grants["alice"] = Grant{"alice", Access::edit, 60s};
    RoomEditor alice{w, "alice", 1};
    RoomEditor bob{w, "bob", 2};
    alice.dial();
    bob.dial();
    w.run(59s);
    CHECK(alice.online());
    w.run(2s);
    CHECK(alice.closed_with == 4001);
    w.rights.grants["bob"] = Grant{"bob", Access::view, forever};
    CHECK(w.rooms().reauthorize("board") == 1);
    w.run(1s);
    bob.type("no");
    w.run(1s);
    CHECK(bob.online());
    CHECK(state_of(w.rooms()) == Bytes(2));
    w.rights.grants["bob"] = Grant{"bob", Access::none, forever};
    CHECK(w.rooms().reauthorize("board") == 1);
    w.run(1s);
    CHECK(bob.closed_with == 4003);
}

TEST_CASE("RoomManager sends pieces, and closes a client with 4413 for a larger frame",
          "[room][reported_defects][sim]") {
    RoomWorld w{Seed{1}, {.frame_bytes_max = 2000, .client_bytes_max = 16 << 10}};
    w.world.network().window_bytes(1 << 20);
    RoomEditor alice{w, "alice", 1};
    RoomEditor bob{w, "bob", 2};
    w.dial(alice, bob);
    // Frames of the server are never longer than the limit that a client may have.
    for (int i = 0; i < 100; ++i) {
        alice.type(std::string(1500, 'x'));
        w.run(10ms);
    }
    w.run(1s);
    RoomEditor late{w, "late", 3};
    late.dial();
    w.run(2s);
    CHECK(late.document() == alice.document());
    CHECK(w.taken["late"].longest <= 1024 + 16);
    // A client that sends a frame above the limit is closed with 4413, which no network failure
    // has. Other clients stay.
    alice.type(std::string(3000, 'x'));
    w.run(1s);
    CHECK(alice.closed_with == 4413);
    CHECK(bob.online());
}

TEST_CASE("RoomManager bounds the bytes that it holds for a slow client",
          "[room][reported_defects][sim]") {
    RoomWorld w{Seed{1}, {.client_bytes_max = 5000}};
    w.world.network().window_bytes(1000);
    RoomEditor alice{w, "alice", 1};
    RoomEditor slow{w, "slow", 2};
    w.dial(alice, slow);
    slow.stall(true);
    for (int i = 0; i < 200; ++i) {
        alice.type(std::string(500, 'x'));
        w.run(50ms);
    }
    const std::size_t taken = w.taken["slow"].bytes;
    slow.stall(false);
    w.run(3s);
    // The server kept nothing of the 100 kB for it: it receives the difference in parts, each one
    // when its connection has accepted the part before.
    CHECK(w.taken["slow"].bytes - taken <= 100'000 + 5000);
    CHECK(w.taken["slow"].longest <= 2500);
    CHECK(slow.closed_with == 0);
    CHECK(slow.document() == alice.document());
}

TEST_CASE("RoomManager keeps a room open when one of its clients sends invalid frames",
          "[room][reported_defects][sim]") {
    RoomWorld w;
    RoomEditor alice{w, "alice", 1};
    RoomEditor bob{w, "bob", 2};
    RoomEditor mallory{w, "mallory", 3};
    alice.dial();
    bob.dial();
    for (int i = 0; i < 256; ++i) {
        mallory.dial();
        w.run(100ms);
        const auto byte = static_cast<std::byte>(i);
        mallory.raw({byte, byte, byte});
        w.run(100ms);
        alice.type("x");
        w.run(1min);  // after it, a user that has sent a malformed frame may join again
        REQUIRE(bob.document() == alice.document());
    }
    CHECK(alice.closed_with + bob.closed_with == 0);
    // The types from 4 to 127 are the application's own.
    CHECK(w.rooms().counters().rejected == 132);
    CHECK(w.rooms().counters().stateless == 124);
}

TEST_CASE_METHOD(RoomOfTwo, "RoomManager removes the cursors of a client that has left",
                 "[room][reported_defects][sim]") {
    // Several awareness ids of one connection.
    for (const std::uint64_t id : {11U, 12U, 13U})
        bob.say({part::RoomMessage::Kind::awareness, awareness_of(id, 5, "{}")});
    w.run(1s);
    REQUIRE(alice.present.size() == 3);
    SECTION("that closes its connection") { bob.hang_up(); }
    SECTION("whose host is unreachable") {
        w.world.network().partition(w.server, bob.host());
        w.run(46s);
    }
    w.run(1s);
    CHECK(alice.present.empty());
    // A late frame over another connection does not show the removed cursors again.
    RoomEditor late{w, "late", 3};
    w.requests["late"] = {.room_id = "board", .token = "bob"};
    w.dial(late);
    late.show("{}");
    late.say({part::RoomMessage::Kind::awareness, awareness_of(11, 5, "{}")});
    w.run(1s);
    CHECK(alice.present == std::map<std::uint64_t, std::string>{{3, "{}"}});
}
