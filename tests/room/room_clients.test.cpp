// SPDX-License-Identifier: MIT
// Goal: a slow, misbehaving, unauthorized or disconnected client affects only itself. Method:
// such clients together with a good one, in simulated worlds.
#include <belay/room/room_manager.hpp>

#include <algorithm>

#include <belay/room/protocols.hpp>

#include "support/catch.hpp"
#include "support/room/served_room.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;
using Kind = part::RoomMessage::Kind;

namespace {
Bytes raw_bytes(std::initializer_list<int> values) {
    Bytes bytes;
    for (const int v : values) bytes.push_back(static_cast<std::byte>(v));
    return bytes;
}
}  // namespace

// ---- rights ------------------------------------------------------------------------------------

TEST_CASE("RoomManager: a rejected client receives the upgrade and a close code, but no data",
          "[room][room_clients][sim]") {
    RoomWorld w;
    w.rights.grants[""] = Grant{};
    w.rights.grants["mallory"] = Grant{.user = "mallory"};
    w.requests["anon"] = {.room_id = "board"};
    RoomEditor anon{w, "anon", 1};
    RoomEditor mallory{w, "mallory", 2};
    w.dial(anon, mallory);
    CHECK(anon.closed_with == 4001);
    CHECK(mallory.closed_with == 4003);
    CHECK(anon.frames + mallory.frames == 0);
    CHECK_FALSE(mallory.online());
    CHECK(w.disk.loads == 0);
    CHECK(w.rooms().rooms() == 0);
    CHECK(w.rooms().clients() == 0);
    std::sort(w.reported.begin(), w.reported.end());
    CHECK(w.reported ==
          std::vector<std::string>{"rejected board : the client is not known",
                                   "rejected board mallory: the client has no right to "
                                   "this room"});
}

TEST_CASE("RoomManager: close codes at which Yjs's own clients stop reconnecting",
          "[room][room_clients][sim]") {
    RoomWorld w{Seed{1}, {.close_codes = yjs_close_codes()}};
    w.rights.grants["anon"] = Grant{};
    w.rights.grants["mallory"] = Grant{.user = "mallory"};
    RoomEditor anon{w, "anon", 1};
    RoomEditor mallory{w, "mallory", 2};
    w.dial(anon, mallory);
    CHECK(anon.closed_with == 4401);
    CHECK(mallory.closed_with == 4403);
}

TEST_CASE("RoomManager: the token is checked before the upgrade; a check that hangs ends in 1013",
          "[room][room_clients][sim]") {
    RoomWorld w;
    RoomEditor alice{w, "alice", 1};
    w.rights.takes = 5s;
    alice.dial();
    w.run(4s);
    CHECK(alice.frames == 0);
    CHECK(w.disk.loads == 0);
    w.run(2s);
    CHECK(alice.synced);
    w.rights.takes = 1h;
    alice.dial();
    w.run(9s);
    CHECK(alice.closed_with == 0);
    w.run(2s);
    CHECK(alice.closed_with == 1013);
    w.rights.drops = true;
    w.dial(alice);
    CHECK(alice.closed_with == 1013);
}

TEST_CASE("RoomManager: a viewer or commenter receives the document and cannot change it",
          "[room][room_clients][sim]") {
    for (const Access access : {Access::view, Access::comment}) {
        RoomWorld w;
        w.rights.grants["viewer"] = Grant{"viewer", access, forever};
        RoomEditor alice{w, "alice", 1};
        RoomEditor viewer{w, "viewer", 2};
        alice.dial();
        viewer.type("offline");
        w.dial(viewer);
        CHECK(viewer.questions == 0);
        viewer.type("graffiti");
        viewer.type("again");
        viewer.say({Kind::state, typed(2, 0, "offline")});
        alice.type("x");
        w.run(1s);
        CHECK(viewer.has(typed(1, 0, "x")));
        CHECK(alice.updates == 0);
        CHECK(viewer.closed_with == 0);
        CHECK(viewer.denials.size() == 1);
        CHECK(w.rooms().counters().denied == 3);
        CHECK(w.rooms().counters().denials.of(RoomErrc::forbidden) == 3);
    }
}

TEST_CASE_METHOD(RoomOfTwo,
                 "RoomManager::reauthorize: downgrade, upgrade and revocation while connected",
                 "[room][room_clients][sim]") {
    w.rights.grants["bob"] = Grant{"bob", Access::view, forever};
    CHECK(w.rooms().reauthorize("board") == 2);
    CHECK(w.rooms().reauthorize("nowhere") == 0);
    w.run(1s);
    bob.type("no");
    w.run(1s);
    CHECK(alice.updates == 0);
    CHECK(bob.denials.size() == 1);
    // When bob may edit, the server requests what bob wrote before.
    w.rights.grants["bob"].access = Access::edit;
    CHECK(w.rooms().reauthorize("board") == 2);
    w.run(1s);
    CHECK(bob.questions == 2);
    CHECK(alice.document() == bob.document());
    w.rights.grants["bob"].access = Access::none;
    CHECK(w.rooms().reauthorize("board") == 2);
    w.run(1s);
    CHECK(bob.closed_with == 4003);
    CHECK(alice.closed_with == 0);
    // An empty room id means all rooms.
    w.rights.grants["alice"] = Grant{.user = "alice"};
    CHECK(w.rooms().reauthorize("") == 1);
    w.run(1s);
    CHECK(alice.closed_with == 4003);
}

TEST_CASE(
    "RoomManager::reauthorize: a hanging check of a client that is not admitted yet ends in 1013",
    "[room][room_clients][sim]") {
    RoomWorld w;
    RoomEditor alice{w, "alice", 1};
    w.disk.load_takes = 5s;
    w.dial(alice);
    w.rights.takes = 1h;
    CHECK(w.rooms().reauthorize("board") == 1);
    w.run(6s);
    CHECK(alice.synced);
    w.run(10s);
    CHECK(alice.closed_with == 1013);
}

TEST_CASE("RoomManager::reauthorize checks at most a tenth of waiting_max at a time",
          "[room][room_clients][sim]") {
    // The clients of one room may use two of the three checks.
    RoomWorld w{Seed{1}, {.waiting_max = 30}};
    std::vector<std::unique_ptr<RoomEditor>> editors;
    for (std::uint64_t i = 1; i <= 7; ++i) {
        editors.push_back(std::make_unique<RoomEditor>(w, "e" + std::to_string(i), i));
        editors.back()->dial();
        w.run(1s);  // they arrive in this order
    }
    SECTION("clients that wait for their check have no deadline, and new ones are checked first") {
        w.rights.takes = 6s;
        w.rights.waiting_max = 3;
        CHECK(w.rooms().reauthorize("") == 7);
        CHECK(w.rooms().reauthorize("") == 7);  // they are checked once
        w.run(1s);
        RoomEditor late{w, "late", 8};
        late.dial();
        w.run(7s);
        CHECK(late.synced);
        w.run(30s);
        CHECK(w.rights.waiting_most == 3);
        CHECK(w.rights.checks == 7 + 7 + 1);
        for (const auto& editor : editors) CHECK(editor->online());
    }
    SECTION("all are checked, also if it is called faster than the authorizer answers") {
        w.rights.takes = 500ms;
        w.rights.grants["e7"] = Grant{.user = "e7"};
        for (int i = 0; i < 50; ++i) {
            CHECK(w.rooms().reauthorize("board") >= 6);
            w.run(100ms);
        }
        CHECK(editors.back()->closed_with == 4003);
        CHECK(editors.front()->online());
        CHECK(w.rights.waiting_most == 2);
    }
    SECTION("a client that leaves during its check frees its place, as does one that waits") {
        w.rights.hangs = true;
        CHECK(w.rooms().reauthorize("board") == 7);
        w.run(1s);
        w.rights.hangs = false;
        w.rights.grants["e4"] = Grant{.user = "e4"};
        for (const std::size_t i : {2U, 0U, 1U}) {
            editors[i]->hang_up();
            w.run(1s);
        }
        CHECK(editors[3]->closed_with == 4003);
        CHECK(w.rights.checks == 7 + 2 + 4);
        w.run(20s);
        for (const std::size_t i : {4U, 5U, 6U}) CHECK(editors[i]->online());
    }
    SECTION("a check that throws ends its client, and no other one") {
        w.rights.before = [calls = 0](std::string_view) mutable {
            if (++calls <= 2) throw CallableThrew{};
        };
        CHECK(w.rooms().reauthorize("board") == 7);
        w.run(1s);
        CHECK(w.thrown != 0);
        int online = 0;
        for (const auto& editor : editors) online += editor->online() ? 1 : 0;
        CHECK(online == 5);
    }
}

TEST_CASE("RoomManager: a client is closed when its grant expires", "[room][room_clients][sim]") {
    RoomWorld w;
    w.rights.grants["alice"] = Grant{"alice", Access::edit, 1min};
    RoomEditor alice{w, "alice", 1};
    alice.dial();
    w.run(59s);
    CHECK(alice.closed_with == 0);
    w.run(2s);
    CHECK(alice.closed_with == 4001);
}

// ---- limits ------------------------------------------------------------------------------------

TEST_CASE("RoomManager: a bad frame affects only its sender", "[room][room_clients][sim]") {
    RoomWorld w{Seed{1}, {.frame_bytes_max = 1000}};
    RoomEditor alice{w, "alice", 1};
    RoomEditor mallory{w, "mallory", 2};
    alice.dial();
    struct Case {
        Bytes frame;
        int code;
    };
    const std::vector<Case> cases{
        {raw_bytes({0, 3, 0}), 1003},  // unknown step
        {raw_bytes({0, 7, 0}), 1003},
        {raw_bytes({}), 1007},                  // empty frame
        {raw_bytes({0, 2, 50, 1}), 1007},       // a length beyond the end
        {raw_bytes({0, 2, 1, 1}), 1007},        // no valid update
        {raw_bytes({0, 0, 1, 9}), 1007},        // no valid state vector
        {raw_bytes({3, 0}), 1007},              // bytes after the end
        {raw_bytes({1, 1, 9}), 1007},           // no valid awareness message
        {raw_bytes({1, 4, 1, 5, 1, 0}), 1007},  // an awareness state that is not JSON
        {raw_bytes({1, 6, 1, 5, 1, 2, '{', 'x'}), 1007},
        {YjsProtocol{}.write({Kind::awareness, awareness_of(5, std::uint64_t{1} << 32, "{}")}),
         1007},
        {Bytes(2000), 4413},
    };
    for (const Case& c : cases) {
        w.dial(mallory);
        REQUIRE(mallory.synced);
        mallory.raw(c.frame);
        w.run(3s);
        // A user that would be rejected again waits for a minute.
        if (c.code != 1003) w.run(1min);
        CHECK(mallory.closed_with == c.code);
        CHECK_FALSE(mallory.online());
    }
    CHECK(alice.online());
    CHECK(alice.updates == 0);
    CHECK(w.rooms().stats("board")->clients == 1);
    CHECK(w.rooms().counters().rejected == cases.size());
}

TEST_CASE("RoomManager: limits on clients, rooms, clients per room and waiting clients",
          "[room][room_clients][sim]") {
    RoomWorld w{Seed{1},
                {.rooms_max = 2, .clients_max = 4, .clients_per_room_max = 2, .waiting_max = 2}};
    std::vector<std::unique_ptr<RoomEditor>> editors;
    const auto come = [&](const std::string& name, const std::string& board) -> RoomEditor& {
        w.requests[name] = {.room_id = board, .token = name};
        editors.push_back(std::make_unique<RoomEditor>(w, name, editors.size() + 1));
        editors.back()->dial();
        w.run(1s);
        return *editors.back();
    };
    CHECK(come("a", "one").synced);
    CHECK(come("b", "one").synced);
    RoomEditor& third = come("c", "one");
    CHECK(third.closed_with == 1013);
    w.run(3s);
    CHECK(come("d", "two").synced);
    CHECK(come("e", "three").closed_with == 1013);
    w.run(3s);
    CHECK(come("f", "").closed_with == 4003);
    w.run(3s);
    CHECK(come("g", std::string(101, 'x')).closed_with == 4003);
    w.run(3s);
    w.rights.takes = 1h;  // from here on, clients wait for their admission
    come("h", "two");
    come("i", "two");
    CHECK(come("j", "two").closed_with == 1013);
    CHECK(w.rooms().clients() <= 6);
    w.run(20s);
    CHECK(w.rooms().clients() == 3);
    CHECK(w.rooms().rooms() == 2);
}

TEST_CASE("RoomManager at rooms_max evicts the saved room that has been idle for longest",
          "[room][room_clients][sim]") {
    RoomWorld w{Seed{1}, {.rooms_max = 3}};
    RoomEditor alice{w, "alice", 1};
    w.dial(alice);  // of "board"
    const auto has = [&](const char* board) { return w.rooms().stats(board).has_value(); };
    for (const char* const board : {"a", "b"}) {
        REQUIRE(w.rooms().get_or_create_room(board));
        w.run(1s);
    }
    SECTION("and no other one") {
        REQUIRE(w.rooms().get_or_create_room("a"));  // counts as activity
        w.run(1s);
        REQUIRE(w.rooms().get_or_create_room("c"));
        w.run(1s);
        CHECK((has("a") && !has("b") && has("c") && has("board")));
        CHECK(w.rooms().counters().evictions.of(RoomErrc::too_many) == 1);
        CHECK(alice.online());
        RoomEditor bob{w, "bob", 2};
        w.requests["bob"] = {.room_id = "d", .token = "bob"};
        w.dial(bob);
        CHECK(bob.synced);
        CHECK((!has("a") && has("c") && has("d")));
    }
    SECTION("and refuses a room while each one has clients, or is being stored") {
        for (const char* const board : {"a", "b"})
            REQUIRE_FALSE(w.rooms().apply_update(board, typed(2, 0, "x")));
        CHECK(w.rooms().get_or_create_room("c").error() == RoomErrc::too_many);
        w.disk.save_takes = 2s;
        w.run(6s);
        REQUIRE(w.disk.saving == 2);
        CHECK(w.rooms().get_or_create_room("c").error() == RoomErrc::too_many);
        w.run(2s);
        CHECK(w.rooms().get_or_create_room("c"));
        CHECK(!has("a"));
        w.run(1s);
        CHECK(w.rooms().get_or_create_room("d"));
        CHECK(w.rooms().get_or_create_room("e"));
        CHECK(w.rooms().get_or_create_room("f").error() == RoomErrc::too_many);  // both are loading
        w.run(1s);
        CHECK(w.rooms().rooms() == 3);
        CHECK(alice.online());
    }
    SECTION("and not a room with a client that has not joined yet") {
        w.disk.load_takes = 5s;
        RoomEditor bob{w, "bob", 2};
        w.requests["bob"] = {.room_id = "c", .token = "bob"};
        w.dial(bob);
        CHECK((has("c") && !has("a")));
        CHECK(w.rooms().get_or_create_room("d"));
        CHECK((has("c") && !has("b")));
        CHECK(w.rooms().get_or_create_room("e").error() == RoomErrc::too_many);
        w.run(10s);
        CHECK(bob.synced);
    }
}

TEST_CASE("RoomManager: no_limit admits any number of clients", "[room][room_clients][sim]") {
    RoomWorld w{Seed{1}, {.clients_max = no_limit, .waiting_max = 2}};
    RoomEditor ada{w, "ada", 1};
    RoomEditor bob = RoomEditor::addressed(w, "bob", 2);
    RoomEditor carol{w, "carol", 3};
    for (RoomEditor* const one : {&ada, &bob, &carol}) {
        one->dial();
        w.run(1s);
    }
    CHECK(w.rooms().clients() == 3);
}

TEST_CASE("RoomManager: a client that sends too much is read later", "[room][room_clients][sim]") {
    RoomWorld w{Seed{1}, {.read_rate_max = 1'600}};
    w.world.network().window_bytes(1 << 20);
    RoomEditor alice{w, "alice", 1};
    RoomEditor mallory{w, "mallory", 2};
    alice.dial();
    mallory.dial();
    w.run(5s);
    for (int i = 0; i < 200; ++i) mallory.type("x");
    w.run(1s);
    CHECK(w.rooms().counters().updates >= 20);
    CHECK(w.rooms().counters().updates <= 60);
    alice.type("y");
    w.run(100ms);
    CHECK(mallory.online());
    CHECK(state_of(w.rooms()).size() > 2);
    const auto before = w.rooms().counters().updates;
    w.run(5s);
    CHECK(w.rooms().counters().updates - before >= 15);
    CHECK(w.rooms().counters().updates - before <= 35);
    w.run(1min);
    CHECK(w.rooms().counters().updates == 201);
    CHECK(alice.document() == mallory.document());
}

TEST_CASE("RoomManager: a full document rejects changes with a message, and keeps its editors",
          "[room][room_clients][sim]") {
    sim::World world{Seed{3}};
    std::vector<std::string> reported;
    RoomScript disk;
    sim::Host& server = world.host("server");
    RoomManager rooms{ScriptedRooms{disk, server}, EveryoneEdits{}, RoomOptions{},
                      RoomRecorder{&reported}, YjsDocument{{.bytes_max = 100}}};
    server.attach(rooms);
    rooms.start();
    REQUIRE(rooms.get_or_create_room("board"));
    world.run_for(1s);
    CHECK_FALSE(rooms.apply_update("board", typed(1, 0, std::string(50, 'x'))));
    world.run_for(1s);
    CHECK(rooms.apply_update("board", typed(2, 0, std::string(80, 'x'))) == YjsErrc::document_full);
}

// ---- slow and dead clients ---------------------------------------------------------------------

TEST_CASE("RoomManager: a slow reader delays no other client, and receives a difference in parts",
          "[room][room_clients][sim]") {
    RoomWorld w{Seed{1}, {.client_bytes_max = 20'000}};
    w.world.network().window_bytes(4096);
    RoomEditor alice{w, "alice", 1};
    RoomEditor bob{w, "bob", 2};
    RoomEditor slow{w, "slow", 3};
    w.dial(alice, bob, slow);
    slow.stall(true);
    for (int i = 0; i < 1000; ++i) {
        alice.type(std::string(100, 'x'));
        w.run(10ms);
    }
    CHECK(bob.document() == alice.document());
    CHECK(slow.updates == 0);
    CHECK(w.rooms().counters().resyncs == 0);
    const auto frames = slow.frames;
    slow.stall(false);
    w.run(2s);
    // 100 kB exceed the budget also in one update: it receives pieces of many edits each, after the
    // edits that waited for it.
    CHECK(slow.closed_with == 0);
    CHECK(slow.frames - frames < 300);
    CHECK(w.taken["slow"].longest <= 20'000);
    CHECK(w.rooms().counters().resyncs == 1);
    CHECK(slow.document() == alice.document());
    // Many updates can be merged to a small one.
    slow.stall(true);
    for (int i = 0; i < 2000; ++i) {
        alice.type("y");
        bob.type("z");
        w.run(5ms);
    }
    slow.stall(false);
    w.run(2s);
    CHECK(slow.closed_with == 0);
    CHECK(w.rooms().counters().resyncs == 2);
    CHECK(slow.document() == alice.document());
    alice.type("!");
    w.run(1s);
    CHECK(slow.document() == alice.document());
}

TEST_CASE("RoomManager: bytes that wait in a slow reader's connection count towards its budget",
          "[room][room_clients][sim]") {
    RoomWorld w{Seed{1}, {.client_bytes_max = 100'000}};
    RoomEditor alice{w, "alice", 1};
    RoomEditor slow{w, "slow", 3};
    w.dial(alice, slow);
    const auto types = [&](int times) {
        for (int i = 0; i < times; ++i) {
            alice.type(std::string(1000, 'x'));
            w.run(50ms);
        }
    };
    const auto taken = [&] { return w.taken["slow"].bytes; };
    slow.stall(true);
    types(10);  // some of these wait in the client's mailbox
    const std::size_t before = taken();
    types(170);
    CHECK(taken() - before <= 50'000);
    slow.stall(false);
    while (w.rooms().counters().resyncs == 0) w.run(1ms);
    slow.stall(true);
    w.run(1s);
    // The difference that it missed, and the edits made meanwhile, count towards the budget, too.
    const std::size_t stalled = taken();
    types(200);
    CHECK(taken() - stalled <= 50'000);
    slow.stall(false);
    w.run(2s);
    CHECK(slow.closed_with == 0);
    CHECK(slow.document() == alice.document());
}

TEST_CASE(
    "RoomManager: awareness for a slow reader is dropped first, and arrives later as one message",
    "[room][room_clients][sim]") {
    RoomWorld w;
    w.world.network().window_bytes(2000);
    RoomEditor alice{w, "alice", 1};
    RoomEditor slow{w, "slow", 3};
    w.dial(alice, slow);
    slow.stall(true);
    for (int i = 0; i < 500; ++i) {
        alice.show("{\"x\":" + std::to_string(i) + ",\"p\":\"" + std::string(100, 'p') + "\"}");
        w.run(20ms);
    }
    CHECK(w.rooms().counters().awareness_dropped > 300);
    slow.stall(false);
    w.run(2s);
    CHECK(slow.present[1].starts_with("{\"x\":499"));
    CHECK(slow.closed_with == 0);
}

TEST_CASE("RoomManager: a slow reader that has missed updates still receives awareness",
          "[room][room_clients][sim]") {
    RoomWorld w{Seed{1}, {.client_bytes_max = 2000}};
    w.world.network().window_bytes(4096);
    RoomEditor alice{w, "alice", 1};
    RoomEditor slow{w, "slow", 3};
    w.dial(alice, slow);
    slow.stall(true);
    for (int i = 0; i < 1000; ++i) {
        alice.type("y");
        w.run(5ms);
    }
    alice.show("{}");
    w.run(1s);
    slow.stall(false);
    w.run(1s);
    CHECK(w.rooms().counters().resyncs == 1);
    CHECK(slow.document() == alice.document());
    CHECK(slow.present.contains(1));
}

TEST_CASE("RoomManager: a client that accepts nothing for too long is closed",
          "[room][room_clients][sim]") {
    RoomWorld w;
    w.world.network().window_bytes(2000);
    RoomEditor alice{w, "alice", 1};
    RoomEditor slow{w, "slow", 3};
    w.dial(alice, slow);
    slow.stall(true);
    for (int i = 0; i < 60; ++i) {
        alice.type(std::string(500, 'x'));
        w.run(1s);
    }
    CHECK(w.rooms().stats("board")->clients == 1);
    CHECK(w.rooms().clients() == 1);
}

TEST_CASE("RoomManager: dead clients are removed, also from the awareness of others",
          "[room][room_clients][sim]") {
    RoomWorld w;
    RoomEditor alice{w, "alice", 1};
    RoomEditor dead{w, "dead", 2};
    w.dial(alice, dead);
    dead.show("{}");
    alice.show("{}");
    w.run(1s);
    CHECK(alice.present.size() == 2);
    w.world.network().partition(w.server, dead.host());
    w.run(1min);
    CHECK(w.rooms().stats("board")->clients == 1);
    CHECK(alice.present.count(2) == 0);
    CHECK(alice.online());
}

TEST_CASE("RoomManager: a client that sends only pongs stays connected",
          "[room][room_clients][sim]") {
    RoomWorld w;
    RoomEditor alice{w, "alice", 1};
    RoomEditor silent{w, "mute", 2};
    alice.dial();
    silent.answers_queries = false;
    silent.dial();
    w.run(5min);
    // Yjs's client dials again if it has received nothing for 30 s.
    CHECK(alice.queries >= 12);
    CHECK(alice.online());
    CHECK_FALSE(silent.online());
    CHECK(w.rooms().stats("board")->clients == 1);
}

TEST_CASE("RoomManager: a client that leaves before it is admitted leaves no state",
          "[room][room_clients][sim]") {
    RoomWorld w;
    w.disk.load_takes = 5s;
    w.rights.takes = 5s;
    RoomEditor alice{w, "alice", 1};
    for (const Duration when : {1s, 6s, 11s}) {
        alice.dial();
        w.run(when);
        alice.hang_up();
        w.run(2min);
        CHECK(w.rooms().clients() == 0);
        REQUIRE(w.rooms().stats("board"));
        CHECK(w.rooms().stats("board")->clients == 0);
    }
}

// ---- awareness ---------------------------------------------------------------------------------

TEST_CASE_METHOD(
    RoomOfOne,
    "RoomManager: awareness is echoed, sent to later clients, and removed with its client",
    "[room][room_clients][sim]") {
    RoomEditor bob{w, "bob", 2};
    alice.show("{\"name\":\"a\"}");
    w.run(1s);
    CHECK(alice.present == std::map<std::uint64_t, std::string>{{1, "{\"name\":\"a\"}"}});
    w.dial(bob);
    CHECK(bob.present == alice.present);
    alice.hang_up();
    w.run(1s);
    CHECK(bob.present.empty());
    // A late frame about a client that has left does not show it again.
    bob.say({Kind::awareness, awareness_of(1, 1, "{}")});
    w.run(1s);
    CHECK(bob.present.empty());
    const auto frames = bob.frames;
    bob.say({Kind::query_awareness, {}});
    w.run(1s);
    CHECK(bob.frames == frames + 1);
}

TEST_CASE_METHOD(RoomOfTwo, "RoomManager: awareness that is not renewed is removed after 30 s",
                 "[room][room_clients][sim]") {
    alice.show("{}");
    w.run(29s);
    CHECK(bob.present.size() == 1);
    alice.relays_clock = false;
    w.run(2s);
    CHECK(bob.present.empty());
    alice.show("{}");
    w.run(1s);
    CHECK(bob.present.size() == 1);
}

TEST_CASE("RoomManager: an awareness id belongs to one connection", "[room][room_clients][sim]") {
    RoomWorld w;
    RoomEditor alice{w, "alice", 1};
    RoomEditor mallory{w, "mallory", 2};
    RoomEditor bob{w, "bob", 3};
    w.dial(alice, mallory, bob);
    alice.show("{\"name\":\"a\"}");
    w.run(1s);
    mallory.say({Kind::awareness, awareness_of(1, 1000, "{\"name\":\"m\"}")});
    mallory.say({Kind::awareness, awareness_of(1, 1, "null")});
    mallory.say({Kind::awareness, awareness_of(1, 9, "null")});
    w.run(1s);
    CHECK(bob.present[1] == "{\"name\":\"a\"}");
    // A new connection of the same user takes over the id. The end of the old connection does not
    // remove it.
    RoomEditor again{w, "again", 1};
    w.requests["again"] = {.room_id = "board", .token = "alice"};
    w.dial(again);
    again.say({Kind::awareness, awareness_of(1, 2, "{\"name\":\"b\"}")});
    w.run(1s);
    CHECK(bob.present[1] == "{\"name\":\"b\"}");
    alice.hang_up();
    w.run(1s);
    CHECK(bob.present[1] == "{\"name\":\"b\"}");
    // While its user dials again, no other user can take the id.
    again.hang_up();
    w.run(1s);
    CHECK_FALSE(bob.present.contains(1));
    mallory.say({Kind::awareness, awareness_of(1, 1000, "{\"name\":\"m\"}")});
    w.run(1s);
    CHECK_FALSE(bob.present.contains(1));
    w.dial(alice);
    alice.show("{\"name\":\"c\"}");
    w.run(1s);
    CHECK(bob.present[1] == "{\"name\":\"c\"}");
}

TEST_CASE("RoomManager: a client has at most eight awareness ids", "[room][room_clients][sim]") {
    RoomWorld w;
    RoomEditor mallory{w, "mallory", 1};
    RoomEditor alice{w, "alice", 1'000};
    w.dial(mallory, alice);
    for (std::uint64_t id = 1; id < 100; ++id)
        mallory.say({Kind::awareness, awareness_of(id, 1, "{}")});
    w.run(1s);
    CHECK(alice.present.size() == detail::awareness_ids_max);
    for (std::uint64_t id = 1; id < 100; ++id) {
        mallory.say({Kind::awareness, awareness_of(id, 2, "null")});
        mallory.say({Kind::awareness, awareness_of(id + 100, 1, "{}")});
    }
    w.run(1s);
    CHECK(alice.present.empty());
}

TEST_CASE("RoomManager: a reader that stalls at random times ends with the right awareness states",
          "[room][room_clients][sim]") {
    for (std::uint64_t seed = 1; seed <= 10; ++seed) {
        RoomWorld w{Seed{seed}, {.client_bytes_max = 16 << 10}};
        w.world.network().window_bytes(1000 * seed);
        const auto editors = joined_editors(w, 30);
        RoomEditor slow{w, "slow", 100};
        slow.dial();
        Random bits{Seed{seed}};
        const auto below = [&](std::uint64_t count) { return uniform_upto(bits, count - 1); };
        for (int i = 0; i < 2000; ++i) {
            RoomEditor& e = *editors[below(editors.size())];
            switch (below(50)) {
                case 0:
                    e.hang_up();
                    break;
                case 1:
                    e.dial();
                    break;
                case 2:
                    slow.say({Kind::query_awareness, {}});
                    break;
                case 3:
                case 4:
                    slow.stall(below(3) != 0);
                    break;
                default:
                    e.show('"' + std::to_string(i) + std::string(below(500), 'x') + '"');
            }
            w.run(5ms);
        }
        slow.stall(false);
        w.run(3s);
        RoomEditor late{w, "late", 101};
        w.dial(late);
        CHECK(slow.online());
        CHECK(slow.present.size() > 10);
        CHECK(slow.present == late.present);
        CHECK(w.taken["slow"].longest <= 1024);
    }
}

TEST_CASE("RoomManager: the awareness states of one client share one limit of bytes",
          "[room][room_clients][sim]") {
    RoomWorld w{Seed{1}, {.awareness_bytes_max = 1000}};
    RoomEditor alice{w, "alice", 1};
    RoomEditor mallory{w, "mallory", 2};
    w.dial(alice, mallory);
    const auto state = [](std::size_t bytes) { return '"' + std::string(bytes - 2, 'x') + '"'; };
    alice.show(state(1000));
    mallory.say({Kind::awareness, awareness_of(10, 1, state(600))});
    mallory.say({Kind::awareness, awareness_of(11, 1, state(400))});
    w.run(1s);
    CHECK(alice.present.size() == 3);
    // Bytes that one id frees are available to another id, in any order of the ids in a message.
    Bytes swapped{std::byte{2}};
    for (const Bytes& one : {awareness_of(11, 2, state(600)), awareness_of(10, 2, state(400))})
        swapped.insert(swapped.end(), one.begin() + 1, one.end());
    mallory.say({Kind::awareness, swapped});
    mallory.say({Kind::awareness, awareness_of(10, 3, "null")});
    mallory.say({Kind::awareness, awareness_of(12, 1, state(400))});
    // Repeated states of other clients are not counted, and are not its own.
    mallory.say({Kind::awareness, awareness_of(1, 1, state(1000))});
    mallory.say({Kind::awareness, awareness_of(13, 1, state(2))});
    w.run(1s);
    CHECK(mallory.online());
    CHECK(alice.present.size() == 3);
    CHECK_FALSE(alice.present.contains(13));
    mallory.say({Kind::awareness, awareness_of(11, 3, state(601))});
    w.run(1s);
    CHECK(mallory.online());
    CHECK(mallory.denials.size() == 1);
    CHECK(alice.present[11] == state(600));
}

TEST_CASE("RoomManager: one piece of awareness waits for a stalled client, in a room of any size",
          "[room][room_clients][sim]") {
    RoomWorld w;
    constexpr std::size_t window = 32 << 10;
    w.world.network().window_bytes(window);
    const auto state = [&](char c) {
        return '"' + std::string(w.options.awareness_bytes_max - 2, c) + '"';
    };
    const auto editors = joined_editors(w, 100);
    w.run(1s);
    for (const auto& e : editors) e->show(state('a'));
    w.run(5s);
    for (const auto& e : editors) REQUIRE(e->present.size() == 100);
    RoomEditor& quick = *editors.front();
    std::map<std::string, Taken> before = w.taken;
    for (const auto& e : editors) {
        if (e.get() != &quick) e->stall(true);
        e->say({Kind::query_awareness, {}});
    }
    w.run(1s);
    for (const char c : {'b', 'c'}) {
        for (const auto& e : editors) e->show(state(c));
        w.run(5s);
        for (const auto& [id, output] : quick.present) REQUIRE(output[1] == c);
    }
    // Eight frames have arrived at the client unread, and the transport accepts one beyond its
    // window.
    std::size_t waiting_max = 0;
    for (const auto& e : editors) {
        if (e.get() == &quick) continue;
        const std::string name{e->host().name()};
        waiting_max = std::max(waiting_max, w.taken[name].bytes - before[name].bytes);
    }
    CHECK(waiting_max <= window + 9 * detail::piece_bytes(w.options));
    CHECK(quick.present.size() == 100);
    before = w.taken;
    for (const auto& e : editors) e->stall(false);
    w.run(5s);
    const std::size_t all = 100 * w.options.awareness_bytes_max;
    for (const auto& e : editors) {
        const std::string name{e->host().name()};
        CHECK(e->online());
        CHECK(e->present.size() == 100);
        CHECK(e->present == quick.present);
        CHECK(w.taken[name].longest <= detail::piece_bytes(w.options));
        CHECK(w.taken[name].bytes - before[name].bytes <= 3 * all);
    }
}

TEST_CASE("RoomManager: a slow reader receives awareness removals that it missed",
          "[room][room_clients][sim]") {
    RoomWorld w;
    w.world.network().window_bytes(2000);
    RoomEditor alice{w, "alice", 1};
    RoomEditor bob{w, "bob", 2};
    RoomEditor slow{w, "slow", 3};
    w.dial(alice, bob, slow);
    bob.show("{}");
    w.run(1s);
    CHECK(slow.present.contains(2));
    slow.stall(true);
    for (int i = 0; i < 100; ++i) {
        alice.show("{\"x\":" + std::to_string(i) + ",\"p\":\"" + std::string(100, 'p') + "\"}");
        w.run(20ms);
    }
    for (int i = 0; i < 300; ++i) {  // until even a close has no space
        alice.show("1");
        w.run(20ms);
    }
    bob.hang_up();
    w.run(1s);
    slow.stall(false);
    w.run(2s);
    CHECK(slow.present == std::map<std::uint64_t, std::string>{{1, "1"}});
}

TEST_CASE("RoomManager: an option decides whether viewers are visible",
          "[room][room_clients][sim]") {
    for (const bool observed : {true, false}) {
        RoomWorld w{Seed{1}, {.viewers_awareness = observed}};
        w.rights.grants["viewer"] = Grant{"viewer", Access::view, forever};
        RoomEditor alice{w, "alice", 1};
        RoomEditor viewer{w, "viewer", 2};
        w.dial(alice, viewer);
        alice.show("{}");
        viewer.show("{}");
        w.run(1s);
        CHECK(alice.present.size() == (observed ? 2 : 1));
        CHECK(viewer.present.count(1) == 1);
        // Alice becomes a viewer and then an editor again.
        w.rights.grants["alice"] = Grant{"alice", Access::view, forever};
        w.rooms().reauthorize("board");
        w.run(1s);
        CHECK(viewer.present.count(1) == (observed ? 1 : 0));
        RoomEditor late{w, "late", 3};
        w.dial(late);
        CHECK(late.present.count(1) == (observed ? 1 : 0));
        w.rights.grants["alice"] = Grant{"alice", Access::edit, forever};
        w.rooms().reauthorize("board");
        w.run(1s);
        for (int i = 0; i < 3; ++i) alice.show("{}");
        w.run(1s);
        CHECK(viewer.present.count(1) == 1);
    }
}

TEST_CASE("RoomManager counts aborted upgrades, and notifies no observer",
          "[room][room_clients][sim]") {
    RoomWorld w;
    const auto accept = [&](const char* who, AbortedUpgrade transport = {}) {
        w.rooms().accept(transport, YjsProtocol{}, w.request_of(who));
        w.run(1min);
    };
    accept("alice");
    CHECK(w.rooms().counters().upgrades_aborted == 1);
    CHECK(w.reported.empty());
    // The client is rejected, and has gone before it could read the reason.
    w.rights.grants["bob"] = {"bob", Access::none, forever};
    accept("bob");
    CHECK(w.rooms().counters().upgrades_aborted == 2);
    // The server gives up these upgrades.
    accept("carol", {.gone = false});
    accept("bob", {.gone = false});
    CHECK(w.rooms().counters().upgrades_aborted == 2);
    CHECK(w.rooms().counters().joined == 0);
    CHECK(w.rooms().clients() == 0);
    w.rooms().accept(AbortedUpgrade{}, HocuspocusProtocol{}, w.request_of("dora"));
    w.rooms().accept(AbortedUpgrade{.gone = false}, HocuspocusProtocol{}, w.request_of("dora"));
    w.run(1min);
    CHECK(w.rooms().counters().upgrades_aborted == 3);
    CHECK(w.rooms().clients() == 0);
    // A client that was admitted, or that has read the reason of its rejection, was upgraded.
    RoomEditor alice{w, "alice", 1};
    RoomEditor bob{w, "bob", 2};
    w.dial(alice, bob);
    alice.hang_up();
    w.run(1min);
    CHECK(bob.closed_with == 4003);
    CHECK(w.rooms().counters().joined == 1);
    CHECK(w.rooms().counters().upgrades_aborted == 3);
}
