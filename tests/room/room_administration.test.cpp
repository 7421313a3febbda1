// SPDX-License-Identifier: MIT
// Goal: rooms can be erased, reset, listed, exported and imported at any time, and each call is
// answered once, when it is done. Method: servers in simulated worlds; over a log, a crash at
// every operation of a scripted workload.
#include <belay/room/room_manager.hpp>

#include <belay/drive/manual_loop.hpp>

#include "support/catch.hpp"
#include "support/room/disk_rooms.hpp"
#include "support/room/served_room.hpp"
#include "support/room/words_document.hpp"
#include "support/seeds.hpp"
#include "support/worlds/explored.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;
using Recorded = std::vector<std::string>;

namespace {

/// Records the answers of calls, in their order.
struct Answered {
    Recorded answers{};
    std::optional<part::LoadedRoom> room{};
    std::optional<part::ListedRooms> rooms{};

    [[nodiscard]] Completion<PersistenceError> error(std::string call) {
        return Completion<PersistenceError>{
            [this, c = std::move(call)](std::optional<PersistenceError> e) noexcept {
                answers.push_back(c + ": " + (!e ? "dropped" : *e ? e->code.message() : "done"));
            }};
    }
    [[nodiscard]] Completion<part::LoadedRoom> content() {
        return Completion<part::LoadedRoom>{
            [this](std::optional<part::LoadedRoom> found) noexcept { room = std::move(found); }};
    }
    [[nodiscard]] Completion<part::ListedRooms> list() {
        return Completion<part::ListedRooms>{
            [this](std::optional<part::ListedRooms> found) noexcept { rooms = std::move(found); }};
    }
};

/// Calls, and rooms with one client or two. The calls outlive the rooms, because a manager that
/// ends answers the calls that it drops.
struct Calls {
    Answered calls{};
};
struct RoomOfOneWithCalls : Calls, RoomOfOne {};
struct RoomOfTwoWithCalls : Calls, RoomOfTwo {};

bool has(const StoredRoom& room, BytesView update) {
    YjsDocument document;
    for (const auto* part : {&room.snapshot, &room.updates}) {
        for (const Bytes& u : *part) static_cast<void>(document.apply(u));
    }
    static_cast<void>(document.state_vector());
    return !document.check(update).value_or(true);
}
std::string epoch_of(TestRooms& rooms) { return rooms.stats("board")->epoch; }

}  // namespace

// ---- erase -------------------------------------------------------------------------------------

TEST_CASE_METHOD(
    RoomOfTwoWithCalls,
    "RoomManager::erase deletes a room and its storage, and closes its clients with 4410",
    "[room][room_administration][sim]") {
    const Bytes answers = alice.type("secret");
    w.run(10s);
    REQUIRE(w.disk.saves == 1);
    alice.type("more");
    w.run(1s);
    w.rooms().erase("board", calls.error("erase"));
    w.run(1s);
    CHECK(calls.answers == Recorded{"erase: done"});
    CHECK(alice.closed_with == 4410);
    CHECK(bob.closed_with == 4410);
    CHECK_FALSE(stored_of(w.disk));
    CHECK(w.rooms().rooms() == 0);
    CHECK(w.rooms().clients() == 0);
    CHECK(w.reported == Recorded{});
    w.run(1min);
    CHECK(w.disk.saves == 1);
    RoomEditor carol{w, "carol", 3};
    w.dial(carol);
    CHECK(carol.synced);
    CHECK_FALSE(carol.has(answers));
    w.world.restart(w.server);
    CHECK_FALSE(stored_of(w.disk));
}

TEST_CASE_METHOD(
    RoomOfOneWithCalls,
    "RoomManager::erase: a missing room, two calls at once, a bad id, a stopped manager",
    "[room][room_administration][sim]") {
    alice.type("x");
    w.run(1s);
    w.rooms().erase("nowhere", calls.error("nowhere"));
    w.rooms().erase("board", calls.error("once"));
    w.rooms().erase("board", calls.error("twice"));
    w.rooms().erase("", calls.error("empty"));
    CHECK(calls.answers == Recorded{});  // never inside of the call
    w.run(1s);
    CHECK(calls.answers.size() == 4);
    CHECK(calls.answers.front().starts_with("empty: the id of the room is not"));
    CHECK(calls.answers.back() == "twice: done");
    CHECK_FALSE(stored_of(w.disk));
    w.rooms().stop();
    w.rooms().erase("board", calls.error("stopping"));
    w.run(1s);
    w.rooms().erase("board", calls.error("stopped"));
    w.run(1s);
    CHECK(calls.answers.size() == 6);
    CHECK(calls.answers[4] == "stopping: the rooms are stopped");
    CHECK(calls.answers[5] == "stopped: the rooms are stopped");
}

TEST_CASE("RoomManager::erase during a load", "[room][room_administration][sim]") {
    RoomWorld w;
    Answered calls;
    RoomEditor alice{w, "alice", 1};
    alice.type("x");
    w.dial(alice);
    w.world.restart(w.server);
    w.disk.load_takes = 10s;
    RoomEditor bob{w, "bob", 2};
    w.dial(bob);
    w.rooms().erase("board", calls.error("erase"));
    w.run(1s);
    CHECK(calls.answers == Recorded{"erase: done"});
    CHECK(bob.closed_with == 4410);
    CHECK_FALSE(stored_of(w.disk));
    w.run(1min);
    CHECK(w.rooms().rooms() == 0);
    CHECK_FALSE(stored_of(w.disk));
}

TEST_CASE_METHOD(RoomOfOneWithCalls,
                 "RoomManager::erase during a save: the late answer of the save restores nothing",
                 "[room][room_administration][sim]") {
    w.disk.save_takes = 10s;
    alice.type("x");
    w.run(6s);
    REQUIRE(w.disk.saving == 1);
    w.rooms().erase("board", calls.error("erase"));
    w.run(1s);
    CHECK(calls.answers == Recorded{"erase: done"});
    w.run(1min);
    CHECK(w.disk.saving == 0);
    CHECK_FALSE(stored_of(w.disk));
    CHECK(w.reported == Recorded{});
}

TEST_CASE("RoomManager::erase of a room that is saved before its eviction",
          "[room][room_administration][sim]") {
    RoomOptions options;
    options.save_after = 2h;
    RoomWorld w{Seed{1}, options};
    Answered calls;
    RoomEditor alice{w, "alice", 1};
    w.dial(alice);
    alice.type("x");
    w.run(1s);
    alice.hang_up();
    w.disk.save_takes = 10s;
    w.run(35min + 3s);
    REQUIRE(w.disk.saving == 1);
    w.rooms().erase("board", calls.error("erase"));
    w.run(1min);
    CHECK(calls.answers == Recorded{"erase: done"});
    CHECK(w.rooms().rooms() == 0);
    CHECK_FALSE(stored_of(w.disk));
}

TEST_CASE_METHOD(RoomOfOneWithCalls, "RoomManager::erase with changes that are being flushed",
                 "[room][room_administration][sim]") {
    w.disk.flush_takes = 3s;
    alice.type("under way");
    w.run(1s);
    alice.type("waits");
    w.run(100ms);
    w.rooms().import_room("board", {.updates = {typed(9, 0, "import")}}, calls.error("import"));
    w.rooms().erase("board", calls.error("erase"));
    w.run(1s);
    CHECK(calls.answers == Recorded{"import: the room was erased"});
    CHECK(alice.closed_with == 4410);
    w.run(10s);
    CHECK(calls.answers.back() == "erase: done");
    CHECK_FALSE(stored_of(w.disk));
}

TEST_CASE_METHOD(
    RoomOfOneWithCalls,
    "RoomManager::erase: a client that arrives before it is durable waits, then gets an empty room",
    "[room][room_administration][sim]") {
    const Bytes answers = alice.type("secret");
    w.run(1s);
    w.disk.flush_takes = 5s;
    w.rooms().erase("board", calls.error("erase"));
    w.run(1s);
    RoomEditor bob{w, "bob", 2};
    w.dial(bob);
    CHECK_FALSE(bob.synced);
    CHECK(w.disk.loads == 1);
    w.run(5s);
    CHECK(calls.answers == Recorded{"erase: done"});
    CHECK(bob.synced);
    CHECK_FALSE(bob.has(answers));
    // A second erase also ends the clients that wait for the first one.
    bob.type("mine");
    w.run(10s);
    w.rooms().erase("board", calls.error("again"));
    w.run(1s);
    RoomEditor carol{w, "carol", 3};
    w.dial(carol);
    w.rooms().erase("board", calls.error("and again"));
    w.run(1s);
    CHECK(carol.closed_with == 4410);
    w.run(20s);
    CHECK(calls.answers == Recorded{"erase: done", "again: done", "and again: done"});
    CHECK_FALSE(stored_of(w.disk));
}

TEST_CASE_METHOD(RoomOfOneWithCalls,
                 "RoomManager::erase that fails or is rejected leaves the room as it is stored",
                 "[room][room_administration][sim]") {
    const Bytes answers = alice.type("x");
    w.run(1s);
    w.disk.full = true;
    w.rooms().erase("board", calls.error("full"));
    w.rooms().reset("board", calls.error("reset"));
    w.run(1s);
    CHECK(alice.online());
    w.disk.full = false;
    w.disk.fail_flushes = 1;
    w.rooms().erase("board", calls.error("fails"));
    w.run(1s);
    CHECK(alice.closed_with == 4410);
    REQUIRE(calls.answers.size() == 3);
    CHECK(calls.answers[0].starts_with("full: No space"));
    CHECK(calls.answers[1].starts_with("reset: No space"));
    CHECK(calls.answers[2].starts_with("fails: Input"));
    CHECK(w.reported.size() == 3);
    RoomEditor bob{w, "bob", 2};
    w.dial(bob);
    CHECK(bob.has(answers));
}

TEST_CASE("RoomManager::stop answers pending calls before it reports that it has stopped",
          "[room][room_administration][sim]") {
    RoomWorld w;
    w.disk.flush_takes = 2s;
    Answered calls;
    w.rooms().erase("a", calls.error("erase"));
    w.rooms().import_room("b", {.updates = {typed(1, 0, "x")}}, calls.error("import"));
    w.run(100ms);
    w.rooms().stop();
    w.run(1s);
    CHECK(w.reported == Recorded{});
    w.run(10s);
    CHECK(calls.answers == Recorded{"import: done", "erase: done"});
    CHECK(w.reported == Recorded{"stopped: "});
}

TEST_CASE("RoomManager::stop ends calls that are never answered",
          "[room][room_administration][sim]") {
    RoomWorld w;
    Answered calls;
    w.disk.hang_lists = true;
    w.disk.hang_loads = 1;
    w.disk.flush_takes = 25s;
    w.rooms().erase("a", calls.error("erase"));
    w.rooms().list("", 10, calls.list());
    w.rooms().export_room("b", calls.content());
    w.run(1s);
    w.rooms().stop();
    w.run(19s);
    CHECK(w.reported == Recorded{});
    w.run(2s);
    CHECK(calls.answers == Recorded{"erase: there was no answer in time"});
    REQUIRE((calls.rooms && calls.room));
    CHECK(calls.rooms->error().code == RoomErrc::no_answer);
    CHECK(calls.room->error().code == RoomErrc::no_answer);
    CHECK(w.reported == Recorded{"stopped: "});
}

TEST_CASE_METHOD(RoomOfOneWithCalls,
                 "RoomManager: after a stop that ended an erase, no client sees the erased content",
                 "[room][room_administration][regression][sim]") {
    const Bytes secret = alice.type("secret");
    w.run(10s);
    w.disk.flush_takes = 25s;
    w.rooms().erase("board", calls.error("erase"));
    w.run(1s);
    w.rooms().stop();
    w.run(21s);
    CHECK(calls.answers == Recorded{"erase: there was no answer in time"});
    w.disk.flush_takes = {};
    w.rooms().start();
    RoomEditor bob{w, "bob", 2};
    w.requests["bob"] = {.room_id = "board", .token = "bob"};
    w.dial(bob);
    CHECK(bob.frames == 0);
    w.run(5s);
    CHECK(bob.synced);
    CHECK_FALSE(bob.has(secret));
}

TEST_CASE_METHOD(
    RoomOfOneWithCalls,
    "RoomManager: the first flush after a stop stores the erase or reset that waited for one",
    "[room][room_administration][regression][sim]") {
    const Bytes secret = alice.type("secret");
    w.run(10s);
    w.disk.flush_takes = 25s;
    alice.type("x");
    w.run(10ms);
    const bool erases = GENERATE(true, false);
    if (erases) w.rooms().erase("board", calls.error("call"));
    if (!erases) w.rooms().reset("board", calls.error("call"));
    w.run(1s);
    w.rooms().stop();
    w.run(21s);
    CHECK(calls.answers == Recorded{"call: there was no answer in time"});
    const bool at_once = GENERATE(true, false);
    if (!at_once) w.run(30s);
    w.disk.flush_takes = {};
    w.rooms().start();
    if (at_once) w.run(10s);
    RoomEditor bob{w, "bob", 2};
    w.requests["bob"] = {.room_id = "board", .token = "bob"};
    w.dial(bob);
    w.run(5s);
    CHECK(bob.synced);
    CHECK_FALSE(bob.has(secret));
    CHECK(stored_of(w.disk).has_value() != erases);
}

TEST_CASE_METHOD(
    RoomOfOneWithCalls,
    "RoomManager: one flush stores an erase that has failed, also if it fails for another room",
    "[room][room_administration][sim]") {
    w.disk.fail_flushes = 1;
    w.rooms().erase("board", calls.error("erase"));
    w.run(1s);
    CHECK(calls.answers.at(0).starts_with("erase: Input"));
    w.disk.rejected = {"other"};
    REQUIRE(w.rooms().get_or_create_room("board"));
    const int before = w.disk.flushes;
    w.run(1s);
    CHECK(w.disk.flushes == before + 1);
    w.run(1h);
    REQUIRE(w.rooms().rooms() == 0);
    REQUIRE(w.rooms().get_or_create_room("board"));
    w.run(1s);
    CHECK(w.disk.flushes == before + 1);
}

TEST_CASE("RoomManager: a history that began with a rejected change ends no stored one later",
          "[room][room_administration][regression][sim]") {
    RoomWorld w;
    RoomEditor alice{w, "alice", 1};
    w.disk.refuses = true;
    w.disk.fail_flushes = 1;
    w.dial(alice);
    alice.type("x");
    w.run(1s);
    REQUIRE(w.disk.flushes == 1);  // of the reset alone
    alice.hang_up();
    w.run(1h);
    REQUIRE(w.rooms().rooms() == 0);
    w.disk.refuses = false;
    // A flush that fails may store its reset later, so the load waits for one that succeeds.
    const int before = w.disk.flushes;
    REQUIRE(w.rooms().get_or_create_room("board"));
    w.run(1s);
    CHECK(w.disk.flushes == before + 1);
    w.run(1h);
    REQUIRE(w.rooms().get_or_create_room("board"));
    w.run(1s);
    CHECK(w.disk.flushes == before + 1);
}

TEST_CASE("RoomManager: a room whose erase is never stored does not end the erases of others",
          "[room][room_administration][sim]") {
    Answered calls;
    RoomWorld w{Seed{1}, {.rooms_max = 1}};
    w.disk.rejected = {"board1"};
    const auto erase = [&](const std::string& board) {
        w.rooms().erase(board, calls.error(board));
        w.run(1s);
        return calls.answers.back();
    };
    CHECK(erase("other") == "other: done");
    CHECK(erase("board1") == "board1: Input/output error");
    for (int i = 0; i < 4; ++i) CHECK(erase("other") == "other: done");
}

TEST_CASE("RoomManager: at most 10,000 failed erases and resets wait for a flush",
          "[room][room_administration][sim]") {
    constexpr int most = 10'000;
    constexpr int at_a_time = 100;  // calls may wait
    Answered calls;
    RoomWorld w{Seed{1}};
    const auto begin = [&](int number) {
        const std::string board = "board" + std::to_string(number);
        if (number % 2 == 0)
            w.rooms().erase(board, calls.error(board));
        else
            w.rooms().reset(board, calls.error(board));
    };
    const auto call = [&](int number) {
        begin(number);
        w.run(100ms);
        return calls.answers.back();
    };
    const std::string full = make_error_code(RoomErrc::too_many).message();
    const std::string failed = ": Input/output error";
    w.disk.fail_flushes = 1000;
    for (int i = 0; i < most; i += at_a_time) {
        for (int n = i; n < i + at_a_time; ++n) begin(n);
        w.run(100ms);
    }
    REQUIRE(calls.answers.size() == most);
    for (const std::string& answer : calls.answers) REQUIRE(answer.ends_with(failed));
    // The storage does not receive these two calls, but each one begins a flush of all failed
    // calls.
    const int flushes = w.disk.flushes;
    CHECK(call(most).ends_with(full));
    CHECK(call(most + 1).ends_with(full));
    CHECK(w.disk.flushes == flushes + 2);
    // A room that already waits for its flush takes no more space.
    CHECK(call(0) == "board0" + failed);
    // After a flush that fails for one room, the calls for the other rooms are done. All calls that
    // are rejected at one time begin one flush.
    w.disk.fail_flushes = 0;
    w.disk.rejected = {"board1"};
    for (int i = 0; i < 3; ++i) begin(most + i);
    w.run(1s);
    CHECK(w.disk.flushes <= flushes + 5);
    CHECK(calls.answers.back().ends_with(full));
    CHECK(call(most) == "board10000: done");
    CHECK(call(1) == "board1" + failed);
    // The call for the rejected room is done, as those for all others are.
    w.disk.rejected.clear();
    CHECK(call(2) == "board2: done");
    const int settled = w.disk.flushes;
    for (int i = 0; i < 3; ++i) CHECK(w.rooms().get_or_create_room("board" + std::to_string(i)));
    w.run(1s);
    CHECK(w.disk.flushes == settled);
}

// ---- reset -------------------------------------------------------------------------------------

TEST_CASE_METHOD(RoomOfOneWithCalls,
                 "RoomManager::reset closes clients with 4409, also one that sends the old epoch",
                 "[room][room_administration][sim]") {
    const Bytes answers = alice.type("old");
    w.run(10s);
    const std::string first = epoch_of(w.rooms());
    w.rooms().reset("board", calls.error("reset"));
    w.run(1s);
    CHECK(calls.answers == Recorded{"reset: done"});
    CHECK(alice.closed_with == 4409);
    CHECK(w.rooms().rooms() == 0);
    REQUIRE(stored_of(w.disk));
    CHECK(stored_of(w.disk)->updates.empty());
    CHECK(stored_of(w.disk)->snapshot.empty());

    w.requests["bob"] = {.room_id = "board", .token = "bob", .epoch = first};
    RoomEditor bob{w, "bob", 2};
    w.dial(bob);
    CHECK(bob.closed_with == 4409);
    const std::string second = epoch_of(w.rooms());
    CHECK(second != first);
    w.requests["bob"].epoch = second;
    w.dial(bob);
    CHECK(bob.synced);
    CHECK_FALSE(bob.has(answers));
    bob.type("new");
    w.run(1s);
    // A client that sends no epoch joins, and is reported as a divergence because its document
    // began apart.
    w.dial(alice);
    CHECK(bob.has(answers));
    CHECK(w.rooms().counters().divergences == 1);
}

TEST_CASE("RoomManager::reset: a client that waits for a load is closed with 1013, and may return",
          "[room][room_administration][sim]") {
    RoomWorld w;
    Answered calls;
    w.disk.load_takes = 5s;
    RoomEditor alice{w, "alice", 1};
    w.dial(alice);
    w.rooms().reset("board", calls.error("reset"));
    w.run(1s);
    CHECK(alice.closed_with == 1013);
    alice.dial();
    w.run(10s);
    CHECK(alice.synced);
    CHECK(calls.answers == Recorded{"reset: done"});
    CHECK_FALSE(epoch_of(w.rooms()).empty());
}

// ---- list --------------------------------------------------------------------------------------

TEST_CASE("RoomManager::list returns the stored rooms page by page",
          "[room][room_administration][sim]") {
    RoomWorld w;
    Answered calls;
    for (int i = 0; i < 2500; ++i)
        REQUIRE(!w.disk.durable.reset("room" + std::to_string(10'000 + i), Id{}));
    REQUIRE_FALSE(flushed(w.disk.durable));
    std::string after;
    std::vector<std::size_t> pages;
    for (int i = 0; i < 4; ++i) {
        w.rooms().list(after, 1000, calls.list());
        w.run(1s);
        REQUIRE((calls.rooms && *calls.rooms));
        pages.push_back((*calls.rooms)->size());
        if (pages.back() != 0) after = (*calls.rooms)->back();
    }
    CHECK(pages == std::vector<std::size_t>{1000, 1000, 500, 0});
    for (const std::size_t count : {std::size_t{0}, std::size_t{1001}}) {
        w.rooms().list("", count, calls.list());
        w.run(1s);
        CHECK(calls.rooms->error().code == std::errc::invalid_argument);
    }
    CHECK(w.rooms().rooms() == 0);
}

TEST_CASE("RoomManager::list: a storage that hangs, and more calls than the limit",
          "[room][room_administration][sim]") {
    RoomWorld w{Seed{1}};
    Answered calls;
    w.run(2h);  // the time limit begins with the call
    w.disk.hang_lists = true;
    for (int i = 0; i < 100; ++i) w.rooms().list("", 1, calls.list());
    w.run(29s);
    CHECK_FALSE(calls.rooms);
    w.rooms().erase("a", calls.error("one more"));
    w.run(100ms);
    CHECK(calls.answers == Recorded{"one more: there are too many rooms or calls"});
    w.run(2s);
    REQUIRE(calls.rooms);
    CHECK(calls.rooms->error().code == RoomErrc::no_answer);
    w.rooms().erase("a", calls.error("then"));
    w.run(1s);
    CHECK(calls.answers.back() == "then: done");
    w.disk.hung_lists.clear();
    w.run(1s);
}

// ---- export and import -------------------------------------------------------------------------

TEST_CASE_METHOD(RoomOfOneWithCalls,
                 "RoomManager::export_room: a loaded, an unloaded, a missing and a damaged room",
                 "[room][room_administration][sim]") {
    alice.type("one ");
    alice.type("two");
    w.run(1s);
    w.rooms().export_room("board", calls.content());
    w.run(1s);
    REQUIRE((calls.room && *calls.room && **calls.room));
    const StoredRoom here = ***calls.room;
    CHECK(here.snapshot == std::vector<Bytes>{alice.document()});
    CHECK(here.updates.empty());
    CHECK(here.epoch == stored_of(w.disk)->epoch);

    w.world.restart(w.server);
    w.rooms().export_room("board", calls.content());
    w.run(1s);
    REQUIRE((calls.room && *calls.room && **calls.room));
    CHECK((***calls.room).snapshot == here.snapshot);
    CHECK((***calls.room).epoch == here.epoch);
    CHECK(w.rooms().rooms() == 0);

    w.rooms().export_room("nowhere", calls.content());
    w.run(1s);
    CHECK((calls.room && *calls.room && !**calls.room));
    static_cast<void>(w.rooms().get_or_create_room("empty"));
    w.run(1s);
    w.rooms().export_room("empty", calls.content());
    w.run(1s);
    CHECK((calls.room && *calls.room && !**calls.room));
    w.disk.fail_loads = 1;
    w.rooms().export_room("board", calls.content());
    w.run(1s);
    CHECK(calls.room->error().code == RoomErrc::snapshot_damaged);
    CHECK(w.rooms().rooms() == 1);
}

TEST_CASE_METHOD(RoomOfOneWithCalls,
                 "RoomManager::export_room waits until an earlier erase or reset is stored",
                 "[room][room_administration][sim]") {
    const bool erases = GENERATE(true, false);
    const bool stops = GENERATE(true, false);
    CAPTURE(erases, stops);
    const Bytes update = alice.type("one");
    w.run(1s);
    const Id epoch = stored_of(w.disk)->epoch;
    w.disk.flush_takes = 3s;
    if (erases)
        w.rooms().erase("board", calls.error("change"));
    else
        w.rooms().reset("board", calls.error("change"));
    w.run(1s);
    w.rooms().export_room("board", calls.content());
    if (stops) w.rooms().stop();
    w.run(1s);
    CHECK_FALSE(calls.room);
    w.run(2s);
    CHECK(calls.answers == Recorded{"change: done"});
    REQUIRE((calls.room && *calls.room));
    CHECK((**calls.room).has_value() == !erases);
    if (!erases) CHECK((***calls.room).epoch != epoch);
    if (!erases) CHECK_FALSE(has(***calls.room, update));
    CHECK(w.rooms().rooms() == 0);
    if (stops) CHECK(w.reported.back() == "stopped: ");
}

TEST_CASE_METHOD(RoomOfOneWithCalls,
                 "RoomManager::export_room fails with the erase that it waits for",
                 "[room][room_administration][sim][fault]") {
    w.disk.keeps_failed = GENERATE(true, false);
    CAPTURE(w.disk.keeps_failed);
    alice.type("one");
    w.run(1s);
    w.disk.fail_flushes = 1;
    w.rooms().erase("board", calls.error("erase"));
    w.rooms().export_room("board", calls.content());
    w.run(1s);
    CHECK(calls.answers.size() == 1);
    REQUIRE((calls.room && !*calls.room));
    CHECK(calls.room->error().code == std::errc::io_error);
    // The result of the next flush decides whether the room is erased.
    w.disk.flush_takes = 3s;
    calls.room.reset();
    w.rooms().export_room("board", calls.content());
    w.run(2s);
    CHECK_FALSE(calls.room);
    w.run(2s);
    REQUIRE((calls.room && *calls.room));
    CHECK((**calls.room).has_value() == stored_of(w.disk).has_value());
}

TEST_CASE_METHOD(RoomOfOneWithCalls,
                 "RoomManager: an import waits until an earlier erase is stored; a list does not",
                 "[room][room_administration][sim]") {
    const Bytes erased = alice.type("one");
    w.run(1s);
    w.disk.flush_takes = 3s;
    w.rooms().erase("board", calls.error("erase"));
    w.rooms().import_room("board", {.updates = {typed(7, 0, "seven")}}, calls.error("import"));
    w.rooms().list("", 10, calls.list());
    w.run(1s);
    CHECK(calls.answers == Recorded{});
    REQUIRE((calls.rooms && *calls.rooms));
    CHECK(**calls.rooms == Recorded{"board"});
    w.run(7s);
    CHECK(calls.answers == Recorded{"erase: done", "import: done"});
    REQUIRE(stored_of(w.disk));
    CHECK(has(*stored_of(w.disk), typed(7, 0, "seven")));
    CHECK_FALSE(has(*stored_of(w.disk), erased));
}

TEST_CASE_METHOD(RoomOfOneWithCalls,
                 "RoomManager::import_room restores an exported room with its epoch",
                 "[room][room_administration][sim]") {
    alice.type("to keep");
    w.run(1s);
    const std::string epoch = epoch_of(w.rooms());
    w.rooms().export_room("board", calls.content());
    w.run(1s);
    w.rooms().erase("board", calls.error("erase"));
    w.run(1s);
    w.disk.flush_takes = 3s;
    w.rooms().import_room("board", ***calls.room, calls.error("import"));
    w.run(2s);
    CHECK(calls.answers == Recorded{"erase: done"});  // durable first
    w.run(2s);
    CHECK(calls.answers.back() == "import: done");
    CHECK(epoch_of(w.rooms()) == epoch);
    CHECK(state_of(w.rooms()) == alice.document());
    w.world.restart(w.server);
    w.requests["alice"] = {.room_id = "board", .token = "alice", .epoch = epoch};
    w.dial(alice);
    CHECK(alice.synced);
    CHECK(state_of(w.rooms()) == alice.document());
}

TEST_CASE_METHOD(
    RoomOfOneWithCalls,
    "RoomManager::import_room into an existing room merges, and sends the changes to its clients",
    "[room][room_administration][sim]") {
    const Bytes mine = alice.type("mine");
    w.run(1s);
    const std::string epoch = epoch_of(w.rooms());
    const std::uint64_t updates = w.rooms().counters().updates;
    StoredRoom content{.epoch = Id{std::byte{9}},
                       .snapshot = {mine, typed(7, 0, "theirs")},
                       .updates = {typed(8, 0, "others'")}};
    w.rooms().import_room("board", content, calls.error("import"));
    w.run(1s);
    CHECK(calls.answers == Recorded{"import: done"});
    CHECK(alice.has(typed(7, 0, "theirs")));
    CHECK(alice.has(typed(8, 0, "others'")));
    CHECK(alice.has(mine));
    CHECK(epoch_of(w.rooms()) == epoch);
    CHECK(w.rooms().counters().updates == updates + 2);
    // Nothing new: nothing is stored.
    const int flushes = w.disk.flushes;
    w.rooms().import_room("board", content, calls.error("again"));
    w.run(1s);
    CHECK(calls.answers.back() == "again: done");
    CHECK(w.disk.flushes == flushes);
}

TEST_CASE("RoomManager::import_room stores no part of a rejected import",
          "[room][room_administration][sim]") {
    RoomOptions options;
    options.unflushed_bytes_max = 4000;
    RoomWorld w{Seed{1}, options};
    Answered calls;
    w.rooms().import_room("board", {.updates = {typed(5, 0, "good"), Bytes(5, std::byte{255})}},
                          calls.error("malformed"));
    w.rooms().import_room("board", {.updates = {typed(1, 0, std::string(5000, 'x'))}},
                          calls.error("long"));
    w.rooms().import_room("board", {.updates = {typed(1, 0, std::string(2500, 'x'))}},
                          calls.error("first"));
    w.rooms().import_room("board", {.updates = {typed(2, 0, std::string(2500, 'x'))}},
                          calls.error("second"));
    CHECK(w.disk.flushes == 0);
    w.run(1s);
    CHECK(calls.answers == Recorded{"long: the update is beyond a limit",
                                    "second: the update is beyond a limit",
                                    "malformed: the update is malformed", "first: done"});
    REQUIRE(stored_of(w.disk));
    CHECK_FALSE(has(*stored_of(w.disk), typed(5, 0, "good")));
    w.disk.refuses = true;
    w.rooms().import_room("board", {.updates = {typed(3, 0, "x")}}, calls.error("full"));
    w.run(1s);
    CHECK(calls.answers.back() == "full: the change could not be made durable");
    w.disk.refuses = false;
    w.disk.fail_flushes = 1;
    w.rooms().import_room("board", {.updates = {typed(3, 0, "x")}}, calls.error("fails"));
    w.run(1s);
    CHECK(calls.answers.back().starts_with("fails: Input"));
    CHECK_FALSE(has(*stored_of(w.disk), typed(3, 0, "x")));
}

namespace {

/// A storage that has lost a record of each room.
struct LossyRooms : MemoryRooms {
    void load(std::string_view id, Completion<part::LoadedRoom> done) {
        driver::Question<part::LoadedRoom> loaded;
        MemoryRooms::load(id, loaded.ask());
        part::LoadedRoom found = *loaded.take();
        if (found && *found) (*found)->loss = {RoomErrc::record_damaged, "the log", {}};
        done(std::move(found));
    }
};

}  // namespace

TEST_CASE("RoomManager::import_room rejects a room that may lack changes",
          "[room][room_administration][unit]") {
    ManualLoop loop;
    Answered calls;
    RoomManager rooms{LossyRooms{}, EveryoneEdits{}, RoomOptions{}};
    loop.attach(rooms);
    rooms.start();
    StoredRoom content{.updates = {typed(1, 0, "x")}, .loss = {RoomErrc::record_damaged, {}, {}}};
    rooms.import_room("a", content, calls.error("lossy"));
    loop.poll();
    CHECK(calls.answers ==
          Recorded{"lossy: " + std::error_code{RoomErrc::record_damaged}.message()});
    CHECK(rooms.rooms() == 0);
    // The caller accepts the loss.
    content.loss = {};
    rooms.import_room("a", content, calls.error("accepted"));
    loop.poll();
    CHECK(calls.answers.back() == "accepted: done");
    // An export of a room that is not in memory has the loss, too.
    MemoryRooms stored;
    REQUIRE(!stored.reset("b", Id{std::byte{1}}));
    REQUIRE(!stored.append("b", typed(1, 0, "x")));
    stored.flush([](const auto&) noexcept {});
    RoomManager others{LossyRooms{std::move(stored)}, EveryoneEdits{}, RoomOptions{}};
    loop.attach(others);
    others.start();
    others.export_room("b", calls.content());
    loop.poll();
    REQUIRE((calls.room && *calls.room && **calls.room));
    CHECK((**calls.room)->loss.code == RoomErrc::record_damaged);
}

TEST_CASE("RoomManager::import_room into a document that would be too large",
          "[room][room_administration][unit]") {
    ManualLoop loop;
    Answered calls;
    YjsDocumentOptions small;
    small.bytes_max = 100;
    RoomManager rooms{MemoryRooms{}, EveryoneEdits{}, RoomOptions{}, NoObserver{},
                      YjsDocument{small}};
    loop.attach(rooms);
    rooms.start();
    const StoredRoom large{
        .updates = {typed(1, 0, std::string(60, 'x')), typed(2, 0, std::string(60, 'y'))}};
    rooms.import_room("a", {.updates = {typed(3, 0, "z")}}, calls.error("small"));
    loop.poll();
    const auto before = *rooms.get_state("a");
    rooms.import_room("a", large, calls.error("large"));
    loop.poll();
    CHECK(*rooms.get_state("a") == before);
    // An empty room accepts a backup of any document, as a load does.
    rooms.import_room("b", large, calls.error("empty"));
    loop.poll();
    CHECK(calls.answers == Recorded{"small: done", "large: the document is full", "empty: done"});
}

TEST_CASE("RoomManager::import_room: the room cannot be loaded, or is erased meanwhile",
          "[room][room_administration][sim]") {
    RoomWorld w;
    Answered calls;
    w.disk.fail_loads = 1;
    w.rooms().import_room("board", {.updates = {typed(1, 0, "x")}}, calls.error("damaged"));
    w.run(1s);
    CHECK(calls.answers == Recorded{"damaged: the stored snapshot is damaged"});
    CHECK(w.rooms().rooms() == 0);
    w.disk.load_takes = 5s;
    w.rooms().import_room("board", {.updates = {typed(1, 0, "x")}}, calls.error("import"));
    w.run(1s);
    w.rooms().erase("board", calls.error("erase"));
    w.rooms().import_room("board", {.updates = {typed(2, 0, "y")}}, calls.error("after"));
    w.run(10s);
    CHECK(calls.answers == Recorded{"damaged: the stored snapshot is damaged",
                                    "import: the room was erased", "erase: done", "after: done"});
    CHECK(has(*stored_of(w.disk), typed(2, 0, "y")));
    CHECK_FALSE(has(*stored_of(w.disk), typed(1, 0, "x")));
}

TEST_CASE("RoomManager over documents of words: export and import",
          "[room][room_administration][unit]") {
    ManualLoop loop;
    Answered calls;
    RoomManager rooms{MemoryRooms{}, EveryoneEdits{}, RoomOptions{}, NoObserver{}, WordsDocument{}};
    loop.attach(rooms);
    rooms.start();
    rooms.import_room("a", {.updates = {to_bytes("b"), to_bytes("a"), to_bytes("b")}},
                      calls.error("import"));
    for (int i = 0; i < 3; ++i) loop.poll();
    rooms.export_room("a", calls.content());
    loop.poll();
    CHECK(calls.answers == Recorded{"import: done"});
    CHECK((***calls.room).snapshot == std::vector<Bytes>{to_bytes("a b")});
}

// ---- answers -----------------------------------------------------------------------------------

TEST_CASE("RoomManager: a completion may call the manager, and destroy it",
          "[room][room_administration][unit]") {
    ManualLoop loop;
    Answered calls;
    using Rooms = RoomManager<MemoryRooms, EveryoneEdits>;
    auto rooms = std::make_unique<Rooms>(MemoryRooms{}, EveryoneEdits{});
    loop.attach(*rooms);
    rooms->start();
    rooms->erase("a", Completion<PersistenceError>{[&](auto) noexcept {
                     rooms->erase(
                         "b", Completion<PersistenceError>{[&](auto) noexcept { rooms.reset(); }});
                 }});
    for (int i = 0; i < 5; ++i) loop.poll();
    CHECK(rooms == nullptr);
}

TEST_CASE("RoomManager: its destructor drops calls that were not answered",
          "[room][room_administration][unit]") {
    Answered calls;
    ManualLoop loop;
    {
        RoomManager rooms{MemoryRooms{}, EveryoneEdits{}};
        loop.attach(rooms);
        rooms.start();
        rooms.erase("a", calls.error("erase"));
        rooms.import_room("b", {}, calls.error("import"));
    }
    CHECK(calls.answers.size() == 2);
}

// ---- under faults ------------------------------------------------------------------------------

namespace {

/// Editors type in a room that is erased, reset, imported and exported, under faults of the server
/// and of its storage.
class AdministrationUnderFaults {
public:
    explicit AdministrationUnderFaults(sim::World& world) : w_{world, options()} {
        w_.disk.host.emplace(world, "storage");
        w_.disk.flush_takes = some_ms("a flush takes", 800);
        w_.disk.load_takes = some_ms("a load takes", 800);
        w_.disk.save_takes = some_ms("a save takes", 3000);
    }
    bool run() {
        for (int i = 0; i < 100; ++i) {
            if (w_.server.alive()) act();
            w_.run(some_ms("until the next act", 500));
        }
        w_.world.heal();
        w_.run(1min);
        w_.world.sometimes("an erase fails", failed_ != 0);
        w_.world.sometimes("an erase succeeds", erased_ != 0);
        if (!w_.world.require("each call is answered once", answered_ == asked_)) return false;
        if (!w_.world.require("nothing that was erased is stored", wrong_ == 0)) return false;
        w_.rooms().stop();
        w_.run(1min);
        return w_.world.require("it stops", w_.reported.back() == "stopped: ");
    }

private:
    [[nodiscard]] static RoomOptions options() {
        RoomOptions options;
        options.unload_after = 1min;
        options.answer_within = 5s;
        return options;
    }
    Duration some_ms(std::string_view tag, std::uint64_t most) {
        return std::chrono::milliseconds{w_.world.choose(tag, most + 1)};
    }
    void act() {
        switch (w_.world.choose("act", 9)) {
            case 0:
            case 1:
                return erase();
            case 2:
                ++asked_;
                return w_.rooms().reset("board", answer());
            case 3:
                ++asked_;
                return w_.rooms().import_room("board", {.updates = {typed(++authors_, 0, "x")}},
                                              answer());
            case 4:
                ++asked_;
                return w_.rooms().export_room(
                    "board", Completion<part::LoadedRoom>{[this](auto) noexcept { ++answered_; }});
            case 5:
                return w_.run(60 * some_ms("nothing happens for", 1000));
            default:
                return edit();
        }
    }
    [[nodiscard]] Completion<PersistenceError> answer() {
        return Completion<PersistenceError>{[this](auto) noexcept { ++answered_; }};
    }
    void erase() {
        ++asked_;
        // Text that was typed before the erase must not be there when the erase is done.
        const std::uint64_t until = authors_;
        for (auto& e : editors_) e->hang_up();
        editors_.clear();
        w_.rooms().erase("board", Completion<PersistenceError>{[this, until](auto e) noexcept {
                             ++answered_;
                             const bool succeeds = e && !*e;
                             ++(succeeds ? erased_ : failed_);
                             if (succeeds) check_erased(until);
                         }});
    }
    void check_erased(std::uint64_t until) {
        const auto now = loaded(w_.disk.durable, "board");
        if (!now || !*now) return;
        for (std::uint64_t a = 1; a <= until; ++a) {
            if (has(**now, typed(a, 0, "x"))) ++wrong_;
        }
    }
    void edit() {
        ++authors_;
        editors_.push_back(
            std::make_unique<RoomEditor>(w_, "e" + std::to_string(authors_), authors_));
        editors_.back()->dial();
        w_.run(some_ms("before it types", 1500));
        editors_.back()->type("x");
    }

    std::size_t asked_ = 0;
    std::size_t answered_ = 0;
    std::size_t erased_ = 0;
    std::size_t failed_ = 0;
    int wrong_ = 0;
    std::uint64_t authors_ = 0;
    RoomWorld w_;
    std::vector<std::unique_ptr<RoomEditor>> editors_{};
};

}  // namespace

TEST_CASE("RoomManager: under all faults each call is answered once, and erased rooms stay erased",
          "[room][room_administration][sim]") {
    // The faults hit the server and its storage, because the editors dial later.
    const sim::ScenarioOptions faults{.swarm = false,
                                      .kills = 6,
                                      .pauses = 6,
                                      .partitions = 6,
                                      .one_way_partitions = 8,
                                      .latencies = 0,
                                      .refusals = 0,
                                      .drops = 0,
                                      .half_opens = 0,
                                      .cuts = 0,
                                      .within = 5min,
                                      .lasts_max = 20s};
    CHECK(explored_as_wanted(
        {.seeds = std::min(from_environment("BELAY_SEEDS", 2000), histories(300)),
         .scenario = faults},
        [](sim::World& world) { return world.make<AdministrationUnderFaults>(world).run(); }));
}

namespace {

/// One run of a server over a log: the answers of its calls, and the states that its room may have.
struct CallScript {
    explicit CallScript(sim::Disk& disk) {
        auto opened = open_rooms(disk);
        if (!opened) return;
        ManualLoop loop;
        RoomManager<JournalRoomsOnDisk, EveryoneEdits> rooms{std::move(*opened), EveryoneEdits{}};
        loop.attach(rooms);
        rooms.start();
        const auto call = [&](const char* to, auto&& make) {
            // A call without an answer may or may not be stored.
            may_be.emplace_back(to);
            make(Completion<PersistenceError>{[&, to](std::optional<PersistenceError> e) noexcept {
                if (e && !*e) may_be = {to};
            }});
            for (int i = 0; i < 6; ++i) loop.poll();
        };
        const auto import = [&](const char* to, std::string text) {
            call(to, [&](auto done) {
                rooms.import_room("a", {.updates = {typed(text.size(), 0, text)}}, std::move(done));
            });
        };
        import("one", "1");
        call("none", [&](auto done) { rooms.erase("a", std::move(done)); });
        import("two", "22");
        call("empty", [&](auto done) { rooms.reset("a", std::move(done)); });
        import("three", std::string(900, '3'));
        call("none", [&](auto done) { rooms.erase("a", std::move(done)); });
        call("none", [&](auto done) { rooms.erase("a", std::move(done)); });
        rooms.stop();
        for (int i = 0; i < 6; ++i) loop.poll();
    }
    std::vector<std::string> may_be{"none"};
};

std::string found_after(sim::Disk& disk) {
    auto opened = open_rooms(disk, {}, 2);
    if (!opened) return opened.error().message();
    const part::LoadedRoom found = loaded(*opened, "a");
    if (!found) return found.error().message();
    const std::vector<std::string> ids = *listed(*opened, "", 9);
    if (!*found) return ids.empty() ? "none" : "listed";
    const StoredRoom& room = **found;
    if (has(room, typed(1, 0, "1"))) return "one";
    if (has(room, typed(2, 0, "22"))) return "two";
    if (has(room, typed(900, 0, std::string(900, '3')))) return "three";
    return room.updates.empty() && room.snapshot.empty() ? "empty" : "torn";
}

}  // namespace

TEST_CASE("RoomManager over a log: after a failed flush of an erase or reset, memory and log agree",
          "[room][room_administration][fault]") {
    const bool erases = GENERATE(true, false);
    CAPTURE(erases);
    const Bytes one = typed(1, 0, "one");
    const Bytes two = typed(2, 0, "two");
    sim::Disk disk;
    Answered calls;
    StoredRoom reported;
    {
        auto opened = open_rooms(disk);
        REQUIRE(opened);
        ManualLoop loop;
        RoomManager<JournalRoomsOnDisk, EveryoneEdits> rooms{std::move(*opened), EveryoneEdits{}};
        loop.attach(rooms);
        rooms.start();
        const auto polls = [&] {
            for (int i = 0; i < 6; ++i) loop.poll();
        };
        rooms.import_room("a", {.updates = {one}}, calls.error("one"));
        polls();
        // The log has the update in memory, and writes it with the next commit.
        disk.fail_at(disk.operations() + 1, std::make_error_code(std::errc::no_space_on_device));
        erases ? rooms.erase("a", calls.error("end")) : rooms.reset("a", calls.error("end"));
        polls();
        rooms.import_room("a", {.updates = {two}}, calls.error("two"));
        polls();
        CHECK(calls.answers == Recorded{"one: done", "end: No space left on device", "two: done"});
        rooms.export_room("a", calls.content());
        polls();
        REQUIRE((calls.room && *calls.room && **calls.room));
        reported = ***calls.room;
    }
    auto opened = open_rooms(disk, {}, 2);
    REQUIRE(opened);
    const part::LoadedRoom found = loaded(*opened, "a");
    REQUIRE((found && *found));
    CHECK((*found)->epoch == reported.epoch);
    CHECK(has(**found, one) == has(reported, one));
    CHECK(has(**found, two));
    CHECK(has(reported, two));
}

TEST_CASE("RoomManager: a client that waits for an erase that fails is closed with 1013",
          "[room][room_administration][sim]") {
    RoomWorld w;
    Answered calls;
    w.disk.flush_takes = 2s;
    RoomEditor alice{w, "alice", 1};
    w.disk.fail_flushes = 2;
    w.rooms().erase("board", calls.error("erase"));
    w.run(1s);
    alice.dial();
    w.run(500ms);
    CHECK(alice.closed_with == 0);
    w.run(1s);
    CHECK(calls.answers == Recorded{"erase: Input/output error"});
    CHECK(alice.closed_with == 1013);
    for (const bool comes_in : {false, true}) {
        alice.dial();
        w.run(3s);
        CHECK((alice.closed_with == 0) == comes_in);
        CHECK(alice.synced == comes_in);
    }
    w.rooms().stop();
    w.run(5s);
    CHECK(w.reported.back() == "stopped: ");
}

TEST_CASE("RoomManager over a log: a crash at every operation keeps the result of answered calls",
          "[room][room_administration][fault]") {
    sim::Disk whole;
    {
        const CallScript incarnation{whole};
        CHECK(incarnation.may_be == std::vector<std::string>{"none"});
    }
    CHECK(found_after(whole) == "none");
    const std::uint64_t operations = whole.operations();
    REQUIRE(operations > 30);
    for (std::uint64_t halt = 1; halt <= operations; ++halt) {
        for (std::uint64_t loss = 0; loss < 4; ++loss) {
            sim::Disk disk;
            disk.halt_at(halt);
            const CallScript incarnation{disk};
            Random bits{Seed{halt * 10 + loss}};
            if (loss == 0) {
                disk.kill();
            } else {
                disk.crash(bits);
            }
            const std::string found = found_after(disk);
            INFO("operation " << halt << ", loss " << loss << ": " << found);
            CHECK(std::find(incarnation.may_be.begin(), incarnation.may_be.end(), found) !=
                  incarnation.may_be.end());
        }
    }
}
