// SPDX-License-Identifier: MIT
// Goal: a server does not evict the last copy of what clients have seen, and reports it if it must.
// Method: servers over one storage that loses data, in virtual time.
#include <belay/room/detail/room_state.hpp>

#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "support/catch.hpp"
#include "support/room/server_cluster.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

[[nodiscard]] RoomOptions evicts_early() {
    RoomOptions options;
    options.save_after = 1s;
    options.unload_after = 4s;
    options.rooms_max = 2;
    return options;
}

/// A client of server 1 has edited a room, and left it.
struct EditedRoom {
    EditedRoom() {
        first = ann->type("saved");
        c.world.run_for(3s);
    }
    /// The client leaves. The room would be evicted now, but the storage does not answer.
    void leave_while_away() {
        c.store.away(1, true);
        ann->hang_up();
        c.world.run_for(1min);
    }
    [[nodiscard]] bool is_loaded(const char* board = "board") {
        return c.rooms(1).stats(board).has_value();
    }
    [[nodiscard]] bool is_stored(const Bytes& update) {
        YjsDocument all;
        const auto at = c.store.rooms.find("board");
        if (at == c.store.rooms.end()) return false;
        for (const Bytes& part : at->second.snapshot) static_cast<void>(all.apply(part));
        for (const auto& entry : at->second.entries) static_cast<void>(all.apply(entry.update));
        static_cast<void>(all.state_vector());
        return !all.check(update).value_or(true);
    }

    Cluster c{Seed{1}, {}, evicts_early()};
    const std::unique_ptr<RoomEditor> ann = c.editor("ann", 1, 1);
    Bytes first{};
};

}  // namespace

TEST_CASE_METHOD(EditedRoom, "servers: a room without a known loss is evicted",
                 "[room][fanout][unit]") {
    ann->hang_up();
    c.world.run_for(6s);
    CHECK_FALSE(is_loaded());
    CHECK(is_stored(first));
    CHECK(c.reported.empty());
    CHECK(c.rooms(1).counters().evictions.of({}) == 1);
    CHECK_FALSE(c.rooms(1).observer().last_eviction);
}

TEST_CASE_METHOD(
    EditedRoom,
    "servers: a room is not evicted while the storage cannot be reached and may lose its edits",
    "[room][fanout][unit][regression]") {
    leave_while_away();
    CHECK(is_loaded());
    SECTION("the storage can be reached again, and has its data") {}
    SECTION("the storage can be reached again, and is empty") { c.store.wipe(); }
    c.store.away(1, false);
    c.world.run_for(15s);
    CHECK(is_stored(first));
    CHECK_FALSE(is_loaded());
}

TEST_CASE_METHOD(EditedRoom,
                 "servers: a room whose save was refused is compared with the storage before its "
                 "eviction",
                 "[room][fanout][unit][regression]") {
    c.store.unsubscribed(1, true);
    const Bytes lost = ann->type("lost");
    c.world.run_for(100ms);
    c.store.lose_tail("board", 1);
    ann->hang_up();
    c.world.run_for(10s);
    CHECK(is_stored(lost));
    CHECK_FALSE(is_loaded());
}

TEST_CASE_METHOD(EditedRoom, "servers: stop stores again what the storage has lost",
                 "[room][fanout][unit][regression]") {
    c.store.unsubscribed(1, true);
    const Bytes lost = ann->type("lost");
    c.world.run_for(100ms);
    c.store.lose_tail("board", 1);
    SECTION("and reports no error") {
        c.rooms(1).stop();
        c.world.run_for(10s);
        CHECK(is_stored(lost));
        CHECK(c.was_notified("stopped: "));
        CHECK_FALSE(c.was_notified("stopped: the"));
    }
    SECTION("or reports not_durable, after stop_within") {
        c.store.unsubscribed(1, false);
        c.store.reconnect(1);
        c.store.away(1, true);
        c.world.run_for(2s);
        c.rooms(1).stop();
        c.world.run_for(19s);
        CHECK_FALSE(c.was_notified("stopped: "));
        c.world.run_for(2s);
        CHECK(c.was_notified("failed board: the change could not be made durable"));
        CHECK(c.was_notified("stopped: the change could not be made durable"));
    }
}

TEST_CASE_METHOD(EditedRoom,
                 "servers: a room that cannot be stored is evicted when rooms_max is reached",
                 "[room][fanout][unit]") {
    leave_while_away();
    REQUIRE(is_loaded());
    REQUIRE(c.rooms(1).get_or_create_room("second"));
    CHECK(is_loaded());
    CHECK(c.rooms(1).get_or_create_room("third"));
    c.world.run_for(100ms);
    CHECK_FALSE(is_loaded());
    CHECK(c.was_notified("failed board: the change could not be made durable"));
    CHECK(c.rooms(1).rooms() <= 2);
    CHECK(c.rooms(1).counters().evictions.of(RoomErrc::not_durable) == 1);
    CHECK(c.rooms(1).observer().last_eviction == RoomErrc::not_durable);
}

TEST_CASE_METHOD(EditedRoom, "servers: a client that joins a held room receives its content",
                 "[room][fanout][unit]") {
    leave_while_away();
    ann->dial();
    c.world.run_for(1s);
    CHECK((ann->online() && ann->has(first)));
    c.store.wipe();
    c.store.away(1, false);
    c.world.run_for(10s);
    CHECK(is_stored(first));
    CHECK(is_loaded());
}

TEST_CASE_METHOD(EditedRoom,
                 "servers: a room whose restored changes the storage rejects is loaded again after "
                 "growing delays",
                 "[room][fanout][unit][regression]") {
    c.store.wipe();
    c.store.full(1, true);
    const auto client = GENERATE(as<std::string>{}, "idle", "editing", "absent");
    CAPTURE(client);
    if (client == "absent") ann->hang_up();
    for (int edit = 0; edit < 4 && client == "editing"; ++edit) {
        ann->type("more");
        c.world.run_for(3s);
    }
    c.world.run_for(1min);
    const std::uint64_t before = c.rooms(1).counters().loads;
    c.world.run_for(10min);
    // Waits of 30 s to a minute; nothing else loads the room.
    CHECK(c.rooms(1).counters().loads - before <= 20);
    CHECK(is_loaded());
    SECTION("it stores them at most a minute after it has space") {
        c.store.full(1, false);
        c.world.run_for(timeline::RoomCore::retry_max + 1s);
    }
    SECTION("it stores them soon if the server stops, which reports no error") {
        c.rooms(1).stop();
        c.world.run_for(5s);
        CHECK_FALSE(c.was_notified("stopped: "));
        c.store.full(1, false);
        c.world.run_for(3s);
        CHECK(c.was_notified("stopped: "));
        CHECK_FALSE(c.was_notified("stopped: the"));
    }
    CHECK(is_stored(first));
}

TEST_CASE("servers: rooms that the storage has are evicted before one that it may lack",
          "[room][fanout][regression]") {
    RoomOptions options = evicts_early();
    options.rooms_max = 4;
    Cluster c{Seed{1}, {}, options};
    const std::unique_ptr<RoomEditor> ann = c.editor("ann", 1, 1);
    const Bytes edit = ann->type("saved");
    const auto use = [&](const char* board) { REQUIRE(c.rooms(1).get_or_create_room(board)); };
    for (const char* board : {"clean", "unsaved", "saves fail"}) use(board);
    c.world.run_for(3s);
    // The storage has lost an edit of the first room, and does not answer its loads.
    c.store.unsubscribed(1, true);
    ann->type("lost");
    c.world.run_for(100ms);
    c.store.lose_tail("board", 1);
    c.store.servers[1].slow = true;
    c.store.unsubscribed(1, false);
    ann->hang_up();
    c.store.before = [](std::string_view call) {
        if (call == "save") throw std::runtime_error{"no space"};
    };
    REQUIRE_FALSE(c.rooms(1).apply_update("saves fail", edit));
    for (int second = 0; second < 8; ++second) {
        use("clean"), use("unsaved");
        c.world.run_for(1s);
    }
    REQUIRE_FALSE(c.rooms(1).apply_update("unsaved", edit));
    c.world.run_for(100ms);
    REQUIRE(c.rooms(1).rooms() == 4);

    std::vector<std::string> evicted;
    std::vector<std::string> left{"board", "clean", "saves fail", "unsaved"};
    for (const char* board : {"1", "2", "3", "4"}) {
        use(board);  // loading, so it cannot be evicted
        std::erase_if(left, [&](const std::string& id) {
            const bool gone = !c.rooms(1).stats(id);
            if (gone) evicted.push_back(id);
            return gone;
        });
    }
    CHECK(evicted == std::vector<std::string>{"clean", "saves fail", "unsaved", "board"});
    CHECK_FALSE(c.rooms(1).get_or_create_room("5"));
}

TEST_CASE_METHOD(EditedRoom, "servers: no room that may be the last copy is evicted for a save",
                 "[room][fanout][regression]") {
    ann->type("lost");
    c.world.run_for(100ms);
    leave_while_away();
    REQUIRE(is_loaded());
    REQUIRE(c.rooms(1).get_or_create_room("other"));
    // Two rooms may be in memory, and both are in use when the storage requests a third one.
    c.store.servers[1].slow = true;
    c.store.away(1, false);
    c.store.lags = {"third"};
    c.rooms(1).erase("fourth", Completion<PersistenceError>{[](auto) noexcept {}});
    c.world.run_for(100ms);
    CHECK(is_loaded());
    CHECK_FALSE(is_loaded("third"));
}

TEST_CASE("servers: rooms that one storage refuses are not loaded at one instant",
          "[room][fanout][unit][regression]") {
    Cluster c;
    const std::unique_ptr<RoomEditor> ann = c.editor("ann", 1, 1);
    const Bytes edit = ann->type("saved");
    for (int n = 0; n < 30; ++n) REQUIRE(c.rooms(1).get_or_create_room("room" + std::to_string(n)));
    c.world.run_for(1s);
    for (int n = 0; n < 30; ++n)
        REQUIRE_FALSE(c.rooms(1).apply_update("room" + std::to_string(n), edit));
    c.world.run_for(1s);
    std::map<Instant, int> loads;
    SECTION("it is full") {
        c.store.wipe();
        c.store.full(1, true);
    }
    SECTION("it cannot be reached") { c.store.away(1, true); }
    c.world.run_for(10s);
    c.store.before = [&](std::string_view call) {
        if (call == "load" || call == "subscribe") ++loads[c.world.now()];
    };
    c.world.run_for(1min);
    REQUIRE(loads.size() >= 30);
    for (const auto& [at, count] : loads) CHECK(count <= 6);
}

TEST_CASE_METHOD(EditedRoom, "servers: a subscription that throws is one failure, with its text",
                 "[room][fanout][unit][regression]") {
    bool throws = true;
    c.store.before = [&](std::string_view call) {
        if (call == "subscribe" && std::exchange(throws, false)) throw CallableThrew{};
    };
    const std::uint64_t before = c.rooms(1).counters().storage_failures;
    ann->type("more");  // its echo ends a subscription, and the next one throws
    c.world.run_for(5s);
    CHECK(c.rooms(1).counters().storage_failures - before == 1);
    const std::vector<PersistenceError>& failures = c.rooms(1).observer().failures;
    REQUIRE_FALSE(failures.empty());
    CHECK(failures.back().what == "the persistence threw: a callable of the user");
    CHECK(ann->online());
}

TEST_CASE("PendingUpdates::restores holds until all changes of the document are stored",
          "[room][unit]") {
    detail::PendingUpdates pending;
    const auto add = [&](std::uint64_t sequence, bool in_document) {
        pending.add(
            {.update = Bytes(1), .sequence = sequence, .author = 0, .in_document = in_document});
    };
    add(1, true);
    add(2, false);
    add(3, true);
    CHECK(pending.begins_with(1));
    CHECK_FALSE(pending.begins_with(3));
    CHECK(pending.take_first().sequence == 1);
    CHECK(pending.take_first().sequence == 2);
    CHECK(pending.restores());
    CHECK(pending.take_first().sequence == 3);
    CHECK_FALSE(pending.restores());
    add(4, true);
    add(5, false);
    CHECK(pending.restores());
    CHECK(pending.take_all().size() == 2);
    CHECK_FALSE(pending.restores());
}
