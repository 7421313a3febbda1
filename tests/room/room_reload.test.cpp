// SPDX-License-Identifier: MIT
// Goal: a client does not stay unread for ever while its room is reloaded, and its messages
// meanwhile count. Method: loads that hang after a failed flush, in simulated worlds.
#include <belay/room/room_manager.hpp>

#include <algorithm>

#include "support/catch.hpp"
#include "support/room/hocuspocus_client.hpp"
#include "support/room/room_world.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

constexpr const char* close_frame = "07";

/// A room with a client of each protocol, which is loaded again for this long, or for ever.
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

TEST_CASE("RoomManager: a reload that never ends closes its clients with 1013",
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
    "RoomManager: a client whose connection ends during a reload is removed as soon as at other "
    "times",
    "[room][room_reload][sim]") {
    Reload r{forever, {.answer_within = 1h}};
    for (RoomEditor* const one : {&r.bob, &r.carol})
        r.w.world.network().partition(r.w.server, one->host());
    r.w.run(1min);
    CHECK(r.w.rooms().clients() == 0);
    // A client that sends during the reload does not delay the end of another one.
    Reload flood{forever, {.answer_within = 1h, .client_bytes_max = 1000}};
    for (int i = 0; i < 100; ++i) {
        flood.bob.type(std::string(100, 'b'));
        flood.carol.type(std::string(100, 'c'));
    }
    flood.w.run(1min);
    CHECK(flood.w.rooms().clients() == 0);
}

TEST_CASE("RoomManager: pings during a reload keep a client alive", "[room][room_reload][sim]") {
    // The server received the last message of "ada" almost 20 s before the reload. After 45 s of
    // silence a client ends.
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

TEST_CASE("RoomManager: a reload does not delay messages that wait to be sent",
          "[room][room_reload][sim]") {
    RoomWorld w{Seed{1}, {.answer_within = 40s}};
    w.world.network().window_bytes(500);
    RoomEditor ada{w, "ada", 1};
    RoomEditor slow{w, "slow", 2};
    w.dial(ada, slow);
    slow.stall(true);
    Bytes last;
    for (int i = 0; i < 20; ++i) {
        last = ada.type(std::string(100, 'a'));
        w.run(100ms);
    }
    w.disk.fail_flushes = 1;
    w.disk.load_takes = 35s;
    ada.type("lost");
    w.run(100ms);
    REQUIRE_FALSE(w.rooms().stats("board")->loaded);
    REQUIRE_FALSE(slow.has(last));
    slow.stall(false);
    w.run(5s);
    CHECK_FALSE(w.rooms().stats("board")->loaded);
    CHECK(slow.has(last));
}

TEST_CASE("hocuspocus: pings during a check keep a client alive",
          "[room][room_reload][hocuspocus][sim]") {
    RoomWorld w{Seed{1}, {.check_within = 2min}};
    RoomEditor ada = RoomEditor::addressed(w, "ada", 1);
    HocuspocusClient eve{w, "eve"};
    ada.dial();
    eve.dial();
    eve.token("board", "eve");
    w.run(1s);
    w.rights.hangs = true;
    for (int i = 0; i < 8; ++i) eve.token("doc" + std::to_string(i), "eve");
    for (int i = 0; i < 6; ++i) {
        w.run(18s);
        eve.send("0a");
    }
    CHECK(eve.open());
    w.run(1min);
    CHECK_FALSE(eve.open());
}

TEST_CASE("RoomManager: changes sent before a disconnect are applied, also after a reload",
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

TEST_CASE("hocuspocus: changes sent before a document was closed are applied, also after a reload",
          "[room][room_reload][hocuspocus][sim]") {
    const bool opened_again = GENERATE(true, false);
    const bool hangs_up = GENERATE(true, false);
    CAPTURE(opened_again, hangs_up);
    Reload r{5s};
    HocuspocusClient eve{r.w, "eve"};
    r.w.run(10s);
    r.w.disk.load_takes = {};
    eve.enter({"board", "other"});
    r.ada.dial();
    r.w.run(1s);
    r.w.disk.fail_flushes = 1;
    r.w.disk.load_takes = 5s;
    r.ada.type("lost again");
    r.w.run(1s);
    REQUIRE_FALSE(r.w.rooms().stats("board")->loaded);
    REQUIRE(r.w.rooms().stats("board")->clients == 3);
    static_cast<void>(eve.received());
    r.w.events.clear();
    eve.send("board", update_frame(9, 0, "last words"));
    eve.send("board", close_frame);
    if (opened_again) {
        eve.token("board", "eve");
        eve.send("board", ask_state);
    }
    r.w.run(100ms);
    r.bob.show("{}");
    r.w.run(100ms);
    CHECK(eve.received().empty());
    if (hangs_up) eve.hang_up();
    r.w.run(10s);
    CHECK(r.bob.has(typed(9, 0, "last words")));
    const bool stays = opened_again && !hangs_up;
    const auto events = [&](std::string_view start) {
        return std::count_if(r.w.events.begin(), r.w.events.end(),
                             [&](const std::string& event) { return event.starts_with(start); });
    };
    CHECK(events("left board eve ") - events("joined board eve ") == (stays ? 0 : 1));
    CHECK(r.w.rooms().stats("board")->clients == (stays ? 3 : 2));
    if (hangs_up) return;
    // Frames for the user before are not sent to the next one.
    const Frames received = eve.received();
    CHECK(count_of(received, "05626f6172640801") == 0);
    CHECK(count_of(received, "05626f61726402020a726561642d7772697465") == (stays ? 1 : 0));
    CHECK(received.empty() == !stays);
    if (stays) CHECK(received.front() == "05626f61726402020a726561642d7772697465");
    eve.send("other", update_frame(9, 0, "still"));
    r.w.run(1s);
    CHECK(eve.received() == Frames{"056f746865720801"});
}

TEST_CASE(
    "hocuspocus: changes sent before a document was closed are applied, also just after admission",
    "[room][room_reload][hocuspocus][sim]") {
    // The document is admitted while nothing of its connection is read, because it has sent too
    // much.
    const bool hangs_up = GENERATE(true, false);
    CAPTURE(hangs_up);
    RoomWorld w{Seed{1}, {.read_rate_max = 10 << 10}};
    RoomEditor bob{w, "bob", 2};
    HocuspocusClient eve{w, "eve"};
    eve.enter({"other"});
    w.run(10s);
    w.rights.takes = 300ms;
    const std::uint64_t updates = 15;
    eve.token("board", "eve");
    for (std::uint64_t i = 0; i < updates; ++i) eve.send("board", update_frame(9, i, "x"));
    w.run(100ms);
    eve.send("board", close_frame);
    if (hangs_up) {
        w.run(10ms);
        REQUIRE(eve.unsent() == 0);
        eve.hang_up();
    }
    w.run(5s);
    w.rights.takes = {};
    CHECK(w.rooms().counters().updates == updates);
    w.dial(bob);
    CHECK(bob.has(typed(9, updates - 1, "x")));
    CHECK(w.rooms().stats("board")->clients == 1);
}

TEST_CASE("hocuspocus: closed documents with unread changes are bounded",
          "[room][room_reload][hocuspocus][sim]") {
    constexpr std::uint64_t most = 16;  // of a connection
    RoomWorld w{Seed{1}, {.clients_per_user_max = 20 * most}};
    RoomEditor ada{w, "ada", 1};
    HocuspocusClient eve{w, "eve"};
    const auto name = [](std::uint64_t i) {
        return std::string("board\0", 6) + static_cast<char>('a' + i);
    };
    eve.enter({});
    for (std::uint64_t i = 0; i < most; ++i) eve.token(name(i), "eve");
    w.run(1s);
    REQUIRE(eve.received().size() == most);
    w.dial(ada);
    w.disk.fail_flushes = 1;
    w.disk.load_takes = 5s;
    ada.type("lost");
    w.run(1s);
    REQUIRE_FALSE(w.rooms().stats("board")->loaded);
    for (std::uint64_t i = 0; i < most; ++i) {
        eve.send(name(i), update_frame(9 + i, 0, "last words"));
        eve.send(name(i), close_frame);
    }
    // The closed documents do not delay others.
    for (std::uint64_t i = 0; i <= most; ++i) eve.token(name(i), "eve");
    w.run(11s);
    const Frames received = eve.received();
    CHECK(w.rooms().counters().reasons.of(RoomErrc::too_many_documents) == 1);
    CHECK(std::count_if(received.begin(), received.end(), [](const std::string& f) {
              return f.ends_with("646f6e6c79") || f.ends_with("7772697465");
          }) == most);
    CHECK(w.rooms().stats("board")->clients == most);
    w.dial(ada);
    for (std::uint64_t i = 0; i < most; ++i) CHECK(ada.has(typed(9 + i, 0, "last words")));
    eve.send(name(0), close_frame);
    eve.token(name(most), "eve");
    w.run(1s);
    CHECK(w.rooms().stats("board")->clients == most + 1);
}

namespace {

/// A room with an editor, which is evicted while its save is under way.
struct EvictedWhileSaving {
    explicit EvictedWhileSaving(std::string_view cause, RoomOptions options = {})
        : w{Seed{1}, options} {
        w.disk.save_takes = 20s;
        w.dial(ada);
        ada.type("one");
        w.run(6s);
        REQUIRE(w.disk.saving == 1);
        if (cause == "a failed reload") {
            w.disk.fail_flushes = w.disk.fail_loads = 1;
        } else if (cause == "an exception") {
            w.document_before = [this](std::string_view name) {
                if (name == "document.apply" && w.thrown == 0) throw CallableThrew{};
            };
        }
        if (cause == "an erase")
            w.rooms().erase("board", [](std::optional<PersistenceError>) noexcept {});
        else
            ada.type("two");
        w.run(1s);
        w.document_before = {};
        REQUIRE(w.rooms().rooms() == 0);
        REQUIRE(w.disk.saving == 1);
    }

    RoomWorld w;
    RoomEditor ada{w, "ada", 1};
};

}  // namespace

TEST_CASE("RoomManager: a room that was evicted during its save is not saved again before its end",
          "[room][room_reload][fault][sim]") {
    const auto cause = GENERATE(as<std::string>{}, "a failed reload", "an exception", "an erase");
    CAPTURE(cause);
    EvictedWhileSaving r{cause};
    r.w.dial(r.ada);
    const Bytes last = r.ada.type("three");
    r.w.run(10s);
    CHECK(r.w.rooms().stats("board")->dirty);
    CHECK(r.w.disk.saves == 1);
    r.w.run(1min);
    CHECK(r.w.disk.saves == 2);
    CHECK(r.w.disk.saving_max == 1);
    CHECK_FALSE(r.w.rooms().stats("board")->dirty);
    r.w.world.restart(r.w.server);
    RoomEditor bob{r.w, "bob", 2};
    r.w.dial(bob);
    CHECK(bob.has(last));
}

TEST_CASE("RoomManager: the save of a room that was evicted meanwhile counts until it has ended",
          "[room][room_reload][fault][sim]") {
    EvictedWhileSaving r{"a failed reload", {.loads_max = 1}};
    r.w.requests["bob"] = {.room_id = "other", .token = "bob"};
    RoomEditor bob{r.w, "bob", 2};
    r.w.dial(bob);
    bob.type("x");
    r.w.run(10s);
    CHECK(r.w.disk.saves == 1);
    r.w.run(1min);
    CHECK(r.w.disk.saves == 2);
    CHECK(r.w.disk.saving_max == 1);
}

TEST_CASE("RoomManager: a save that never ends delays that of a later load by answer_within",
          "[room][room_reload][fault][sim]") {
    EvictedWhileSaving r{"a failed reload", {.loads_max = 1, .answer_within = 12s}};
    r.w.disk.save_takes = {};
    r.w.dial(r.ada);
    r.ada.type("three");
    r.w.run(7s);
    CHECK(r.w.disk.saves == 1);
    r.w.run(4s);
    CHECK(r.w.disk.saves == 2);
    CHECK_FALSE(r.w.rooms().stats("board")->dirty);
}

TEST_CASE("RoomManager: failed flushes fill no outbox, and reload a room after growing delays",
          "[room][room_reload][sim]") {
    RoomWorld w{Seed{1}, {.client_bytes_max = 100'000}};
    // Each difference contains all deletions.
    Bytes holes = typed(77, 0, std::string(20'000, 'x'));
    holes.pop_back();
    for (const unsigned n : {1U, 77U, 10'000U}) yjs::append_varuint(holes, n);
    for (std::uint64_t i = 0; i < 20'000; i += 2) {
        yjs::append_varuint(holes, i);
        yjs::append_varuint(holes, 1);
    }
    w.rooms().import_room("board", {.updates = {holes}},
                          Completion<PersistenceError>{[](auto) noexcept {}});
    w.run(2s);
    RoomEditor ada{w, "ada", 1};
    RoomEditor bob{w, "bob", 2};
    RoomEditor carol{w, "carol", 3};
    w.world.network().window_bytes(20'000);
    w.dial(ada, bob, carol);
    bob.stall(true);
    const std::size_t before = w.taken["bob"].bytes;
    const int loads = w.disk.loads;
    for (int i = 0; i < 40; ++i) {
        w.disk.fail_flushes = 1;
        ada.dial();
        w.run(100ms);
        ada.type("x");
        w.run(400ms);
        ada.hang_up();
    }
    // The room is loaded again at once, after 1 s, after 2 s, and then every 4 s.
    CHECK(w.disk.loads - loads >= 4);
    CHECK(w.disk.loads - loads <= 8);
    w.disk.fail_flushes = 0;
    bob.stall(false);
    w.dial(ada);
    w.run(10s);
    // At most one difference for each of these reloads; without the delays, there were 40.
    CHECK(w.taken["bob"].bytes - before <= 8 * 32'000);
    CHECK(bob.closed_with == 0);
    CHECK(ada.synced);
    CHECK(bob.document() == state_of(w.rooms()));
    CHECK(carol.document() == state_of(w.rooms()));
    // Later, the first failure reloads the room at once again.
    w.run(2min);
    w.disk.fail_flushes = 1;
    ada.type("y");
    w.run(100ms);
    CHECK(w.rooms().stats("board")->loaded);
}

TEST_CASE("RoomManager: a backup of a document above its limits is restored into an empty room",
          "[room][room_reload][regression]") {
    sim::World world{Seed{3}};
    std::vector<std::string> reported;
    RoomScript disk;
    sim::Host& server = world.host("server");
    RoomManager rooms{ScriptedRooms{disk, server}, EveryoneEdits{}, RoomOptions{},
                      RoomRecorder{&reported}, YjsDocument{{.clients_max = 8}}};
    server.attach(rooms);
    rooms.start();
    std::vector<Bytes> parts;
    for (std::uint64_t author = 1; author <= 16; ++author) parts.push_back(typed(author, 0, "x"));
    std::optional<PersistenceError> answer;
    const auto import_parts = [&] {
        answer.reset();
        rooms.import_room(
            "board", {.updates = parts},
            Completion<PersistenceError>{
                [&](std::optional<PersistenceError> e) noexcept { answer = std::move(e); }});
        world.run_for(1s);
    };
    import_parts();
    REQUIRE((answer && !*answer));
    CHECK_FALSE(rooms.apply_update("board", typed(17, 0, "x")));
    world.run_for(1s);
    for (std::uint64_t author = 18; author <= 30; ++author) parts.push_back(typed(author, 0, "x"));
    import_parts();
    CHECK((answer && answer->code == YjsErrc::document_full));
}
