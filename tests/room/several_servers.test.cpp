// SPDX-License-Identifier: MIT
// Goal: servers that share a storage show one document, also when a server is slow, stopped or
// new, or the storage loses data; no save covers an entry that was not read. Method: managers
// and clients in one simulated world, over one storage in memory.
#include <belay/room/room_manager.hpp>

#include <algorithm>
#include <functional>
#include <map>
#include <set>
#include <stdexcept>
#include <utility>

#include "support/catch.hpp"
#include "support/room/server_cluster.hpp"
#include "support/seeds.hpp"
#include "support/worlds/explored.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

/// Two clients that edit one room, each at another server.
struct AnnAndBob {
    Cluster c{};
    const std::unique_ptr<RoomEditor> ann = c.editor("ann", 1, 1);
    const std::unique_ptr<RoomEditor> bob = c.editor("bob", 2, 2);
};

}  // namespace

TEST_CASE_METHOD(AnnAndBob, "servers: an edit reaches the clients of all servers, once",
                 "[room][fanout]") {
    const auto cid = c.editor("cid", 3, 2);
    const Bytes a = ann->type("one");
    c.world.run_for(1s);
    const Bytes b = bob->type("two");
    c.world.run_for(1s);
    CHECK((bob->has(a) && cid->has(a) && ann->has(b) && cid->has(b)));
    CHECK(ann->updates == 1);
    CHECK(bob->updates == 1);
    CHECK(cid->updates == 2);
    CHECK(c.document(1) == c.document(2));
    CHECK(c.rooms(1).stats("board")->epoch == c.rooms(2).stats("board")->epoch);
    CHECK(c.reported.empty());
    c.world.run_for(1min);
    CHECK(c.entries() == 0);
    CHECK(c.stored() == c.document(1));
    const auto dan = c.editor("dan", 4, 3);
    CHECK((dan->has(a) && dan->has(b)));
}

TEST_CASE_METHOD(AnnAndBob, "servers: repeated or reordered entries change nothing",
                 "[room][fanout]") {
    c.store.repeats = true;
    for (int i = 0; i < 10; ++i) {
        ann->type("a");
        bob->type("b");
        c.world.run_for(100ms);
    }
    CHECK(ann->updates == 10);
    CHECK(bob->updates == 10);
    CHECK(c.document(1) == c.document(2));
    CHECK(ann->document() == bob->document());
}

TEST_CASE("servers: two servers that start a room at the same time start one history",
          "[room][fanout]") {
    Cluster c;
    c.store.servers[1].unsubscribed = c.store.servers[2].unsubscribed = true;
    const auto ann = c.editor("ann", 1, 1);
    const auto bob = c.editor("bob", 2, 2);
    const Bytes a = ann->type("one");
    const Bytes b = bob->type("two");
    c.world.run_for(1s);
    // The answers to the flushes name the history.
    CHECK(c.rooms(1).stats("board")->epoch == c.rooms(2).stats("board")->epoch);
    CHECK_FALSE(bob->has(a));
    c.store.unsubscribed(1, false);
    c.store.unsubscribed(2, false);
    c.world.run_for(1s);
    CHECK((bob->has(a) && ann->has(b)));
    CHECK(c.rooms(1).stats("board")->epoch == c.rooms(2).stats("board")->epoch);
    CHECK(c.rooms(1).stats("board")->epoch == detail::epoch_text(c.store.rooms.at("board").epoch));
}

TEST_CASE_METHOD(AnnAndBob, "servers: a server that lags saves only the entries that it has read",
                 "[room][fanout]") {
    ann->type("begun");
    c.world.run_for(1s);
    c.store.unsubscribed(2, true);
    const Bytes a = ann->type("unread");
    const Bytes b = bob->type("mine");
    c.world.run_for(100ms);
    // The other server is killed, so that it saves nothing.
    c.world.kill(c.host(1));
    c.world.run_for(1min);
    CHECK(c.rooms(2).counters().saves != 0);
    CHECK_FALSE(bob->has(a));
    YjsDocument stored;
    for (const auto& entry : c.store.rooms.at("board").entries)
        static_cast<void>(stored.apply(entry.update));
    static_cast<void>(stored.state_vector());
    CHECK_FALSE(stored.check(a).value());
    c.store.unsubscribed(2, false);
    c.world.run_for(1s);
    CHECK(bob->has(a));
    CHECK(ann->has(a));
    const auto cid = c.editor("cid", 3, 3);
    CHECK((cid->has(a) && cid->has(b)));
}

TEST_CASE_METHOD(
    AnnAndBob, "servers: a server whose unread entries were trimmed loads the room, and continues",
    "[room][fanout]") {
    ann->type("begun");
    c.world.run_for(1s);
    c.store.unsubscribed(2, true);
    const Bytes a = ann->type("trimmed");
    const Bytes b = bob->type("own");
    c.world.run_for(1min);
    CHECK_FALSE(bob->has(a));
    c.store.unsubscribed(2, false);
    c.world.run_for(2s);
    CHECK((bob->has(a) && ann->has(b)));
    CHECK(c.rooms(2).counters().loads == 2);
    CHECK(bob->online());
    const Bytes later = ann->type("later");
    c.world.run_for(1s);
    CHECK(bob->has(later));
    CHECK(c.document(1) == c.document(2));
}

TEST_CASE_METHOD(AnnAndBob,
                 "servers: a storage that was emptied silently is detected, without an edit",
                 "[room][fanout]") {
    const Bytes a = ann->type("one");
    c.world.run_for(1min);
    SECTION("the server that began the room is running") {}
    SECTION("the servers have only loaded the room") {
        c.world.restart(c.host(1));
        c.world.run_for(1s);
        ann->dial();
        c.world.run_for(1s);
    }
    SECTION("the room was restored once before, without edits since") {
        c.store.wipe();
        c.world.run_for(10s);
    }
    c.store.wipe();
    c.world.run_for(6s);
    REQUIRE(c.store.rooms.contains("board"));
    CHECK(c.stored() == ann->document());
    CHECK((ann->online() && bob->online()));
    const Bytes b = bob->type("two");
    c.world.run_for(1s);
    CHECK((ann->has(b) && bob->online()));
}

TEST_CASE_METHOD(
    AnnAndBob, "servers: an edit detects an emptied storage at once, and restoring costs few calls",
    "[room][fanout]") {
    const Bytes a = ann->type("one");
    c.world.run_for(1min);
    SECTION("by the server that began the room") {}
    SECTION("by a server that has only loaded it") {
        c.world.restart(c.host(1));
        c.world.run_for(1s);
        ann->dial();
        c.world.run_for(1s);
    }
    c.store.wipe();
    for (auto& [n, server] : c.store.servers) server.calls = 0;
    // These clients dial again without a delay.
    const Bytes b = ann->type("two");
    for (int i = 0; i < 100; ++i) {
        for (RoomEditor* const e : {ann.get(), bob.get()}) {
            if (!e->online()) e->dial();
        }
        c.world.run_for(10ms);
    }
    CHECK((ann->online() && bob->online()));
    CHECK((bob->has(b) && c.stored() == ann->document()));
    c.world.run_for(3s);
    CHECK(c.store.servers[1].calls + c.store.servers[2].calls < 40);
}

TEST_CASE("servers: a rejected room does not block other rooms", "[room][fanout]") {
    Cluster c;
    ServerRooms& rooms = c.rooms(1);
    for (const char* const board : {"board", "other"}) {
        REQUIRE(rooms.get_or_create_room(board));
        c.world.run_for(1s);
        REQUIRE_FALSE(rooms.apply_update(board, typed(1, 0, "one")));
        c.world.run_for(1s);
    }
    c.store.rooms.erase("board");
    const std::uint64_t lost = rooms.counters().lost_updates;
    REQUIRE_FALSE(rooms.apply_update("board", typed(2, 0, "refused")));
    const Bytes kept = typed(2, 0, "kept");
    REQUIRE_FALSE(rooms.apply_update("other", kept));
    c.world.run_for(1s);
    CHECK(rooms.counters().lost_updates == lost + 1);
    CHECK(c.was_notified("failed board: the room is unknown"));
    CHECK_FALSE(c.was_notified("failed other"));
    YjsDocument other;
    const auto parts = rooms.get_state("other");
    REQUIRE(parts);
    for (const Bytes& part : *parts) static_cast<void>(other.apply(part));
    static_cast<void>(other.state_vector());
    CHECK_FALSE(other.check(kept).value());
    // The server restores the content that it had.
    REQUIRE(c.store.rooms.contains("board"));
    CHECK(c.stored() == c.document(1));
}

TEST_CASE_METHOD(AnnAndBob,
                 "servers: an operation that keeps failing is retried with growing delays",
                 "[room][fanout]") {
    ann->type("one");
    c.world.run_for(1s);
    c.store.unsubscribed(2, true);
    ann->type("trimmed");
    c.world.run_for(1min);
    Bytes later = typed(9, 0, "of a later version");
    later[4] = std::byte{30};
    c.store.write("board", later);
    c.world.run_for(1s);
    c.world.kill(c.host(1));
    c.store.unsubscribed(2, false);
    const std::size_t before = c.rooms(2).counters().loads;
    c.world.run_for(10min);
    const std::size_t loads = c.rooms(2).counters().loads - before;
    CHECK(loads > 10);
    CHECK(loads < 25);
    CHECK(c.was_notified("failed board: the update has content of an unknown kind"));
}

TEST_CASE_METHOD(AnnAndBob, "servers: a history that the storage lost is restored",
                 "[room][fanout]") {
    const Bytes a = ann->type("one");
    const Bytes b = bob->type("two");
    c.world.run_for(1min);
    const std::string epoch = c.rooms(1).stats("board")->epoch;
    SECTION("the whole history") { c.store.wipe(); }
    SECTION("the last entries") {
        ann->type("unsaved");
        c.world.run_for(1s);
        c.store.lose_tail("board", 1);
        c.store.reconnect(1);
        c.store.reconnect(2);
    }
    SECTION("the whole history, and another server has begun a new one") {
        c.store.wipe();
        c.store.unsubscribed(1, true);
        c.store.unsubscribed(2, true);
        c.editor("new", 7, 3)->type("new");
        c.world.run_for(1s);
        c.store.unsubscribed(1, false);
        c.store.unsubscribed(2, false);
    }
    c.world.run_for(8s);
    CHECK(c.stored() == c.document(1));
    CHECK(c.document(1) == c.document(2));
    const auto cid = c.editor("cid", 3, 3);
    CHECK((cid->has(a) && cid->has(b)));
    const Bytes later = cid->type("later");
    c.world.run_for(3s);
    CHECK((ann->has(later) && bob->has(later)));
    CHECK((ann->online() && bob->online()));
    c.world.run_for(1min);
    CHECK(c.stored() == c.document(3));
    CHECK(c.document(1) == c.document(3));
    static_cast<void>(epoch);
}

TEST_CASE("servers: a lost history is restored also if it is longer than unflushed_bytes_max",
          "[room][fanout]") {
    Cluster c;
    c.options.unflushed_bytes_max = 300;
    c.world.restart(c.host(1));
    const auto ann = c.editor("ann", 1, 1);
    for (int i = 0; i < 5; ++i) {
        ann->type(std::string(200, 'x'));
        c.world.run_for(1s);
    }
    REQUIRE(ann->online());
    c.store.wipe();
    c.world.run_for(10s);
    REQUIRE(c.store.rooms.contains("board"));
    CHECK(c.stored() == ann->document());
    ann->type("more");
    c.world.run_for(1s);
    CHECK((ann->online() && c.stored() == ann->document()));
}

TEST_CASE("servers: a lost history is restored also if the first load times out",
          "[room][fanout]") {
    Cluster c;
    const auto ann = c.editor("ann", 1, 1);
    const Bytes a = ann->type("one");
    c.world.run_for(1min);
    c.store.servers[1].slow = true;
    c.store.wipe();
    c.world.run_for(1min);
    c.store.servers[1].slow = false;
    c.world.run_for(1min);
    REQUIRE(c.store.rooms.contains("board"));
    CHECK(c.stored() == c.document(1));
    const Bytes b = ann->type("two");
    c.world.run_for(1s);
    CHECK(ann->online());
    const auto bob = c.editor("bob", 2, 2);
    CHECK((bob->has(a) && bob->has(b)));
}

TEST_CASE_METHOD(AnnAndBob, "servers: without the storage rooms are readable, and edits wait",
                 "[room][fanout]") {
    const Bytes a = ann->type("one");
    c.world.run_for(1s);
    c.store.away(1, true);
    const auto cid = c.editor("cid", 3, 1);
    CHECK((cid->synced && cid->has(a)));
    const Bytes b = bob->type("two");
    const Bytes kept = ann->type("refused");
    c.world.run_for(1s);
    CHECK(ann->closed_with == 1013);
    CHECK(cid->online());
    CHECK_FALSE(cid->has(kept));
    CHECK_FALSE(cid->has(b));
    CHECK(c.was_notified("failed board: Connection refused"));
    c.store.away(1, false);
    c.world.run_for(3s);
    CHECK(cid->has(b));
    ann->dial();
    c.world.run_for(1s);
    CHECK((cid->has(kept) && bob->has(kept)));
    CHECK(c.document(1) == c.document(2));
}

TEST_CASE("servers: a change that the storage may have lost is not reported as durable",
          "[room][fanout]") {
    Cluster c;
    c.in_band = {"ann"};
    RoomEditor ann = RoomEditor::addressed(c.world.host("ann"), 1, "board");
    ann.dials = "server1";
    ann.dial();
    c.world.run_for(1s);
    const Bytes update = ann.type("one");
    c.world.run_for(1s);
    REQUIRE(ann.unsynced == 0);
    const auto cid = c.editor("cid", 3, 1);  // the server merges the document for this client
    // The document has the change, and the storage does not.
    c.store.away(1, true);
    c.store.wipe();
    c.world.run_for(1s);
    const bool again = GENERATE(false, true);
    if (again) {
        ann.say({part::RoomMessage::Kind::update, update});
        ++ann.unsynced;
    } else {
        ann.dial();
    }
    c.world.run_for(3s);
    CAPTURE(again);
    REQUIRE(ann.online());
    CHECK(ann.unsynced == 1);
    c.store.away(1, false);
    c.world.run_for(20s);
    CHECK(ann.online());
    CHECK(ann.unsynced == 0);
    CHECK(c.stored() == ann.document());
}

TEST_CASE("servers: a held status is sent although no client edits the room any more",
          "[room][fanout][regression]") {
    Cluster c;
    c.in_band = {"ann"};
    RoomEditor ann = RoomEditor::addressed(c.world.host("ann"), 1, "board");
    ann.dials = "server1";
    ann.dial();
    c.world.run_for(1s);
    const Bytes update = ann.type("one");
    c.world.run_for(1min);
    REQUIRE(ann.unsynced == 0);
    c.store.away(1, true);
    c.world.run_for(1s);
    c.store.away(1, false);
    c.world.run_for(1min);
    const std::size_t calls = c.store.servers[1].calls;
    for (int i = 0; i < 20; ++i) {
        ann.say({part::RoomMessage::Kind::update, update});
        ++ann.unsynced;
    }
    c.world.run_for(20s);
    CHECK(ann.online());
    CHECK(ann.unsynced == 0);
    CHECK(c.store.servers[1].calls - calls < 5);
}

TEST_CASE("servers: a room that could not be begun is begun later", "[room][fanout]") {
    Cluster c;
    const auto ann = c.editor("ann", 1, 1);
    c.store.away(1, true);
    const Bytes a = ann->type("one");
    c.world.run_for(1s);
    CHECK(ann->closed_with == 1013);
    CHECK(c.store.rooms.empty());
    c.store.away(1, false);
    c.world.run_for(2s);
    ann->dial();
    c.world.run_for(1s);
    CHECK(ann->online());
    const auto bob = c.editor("bob", 2, 2);
    CHECK(bob->has(a));
}

TEST_CASE_METHOD(AnnAndBob,
                 "servers: a change with an unknown result is read back from the storage",
                 "[room][fanout]") {
    ann->type("one");
    c.world.run_for(1s);
    c.store.servers[1].unsure = true;
    const Bytes a = ann->type("stored");
    c.world.run_for(1s);
    CHECK(ann->closed_with == 1013);
    CHECK(bob->has(a));
    CHECK(c.document(1) == c.document(2));
    c.store.servers[1].unsure = false;
    c.world.run_for(1min);
    CHECK(c.stored() == c.document(2));
}

TEST_CASE("servers: a save covers an edit with an unknown result after it is read back",
          "[room][fanout][unit][regression]") {
    RoomOptions options;
    options.save_after = 1s;
    options.unload_after = 4s;
    Cluster c{Seed{1}, {}, options};
    const auto ann = c.editor("ann", 1, 1);
    ann->type("one");
    c.world.run_for(1min);
    REQUIRE(c.entries() == 0);
    const auto type_without_answer = [&] {
        c.store.servers[1].unsure = true;
        ann->type("stored");
        c.world.run_for(100ms);
        c.store.servers[1].unsure = false;
        REQUIRE(ann->closed_with == 1013);
        REQUIRE(c.entries() == 1);
    };
    SECTION("the subscription delivers it") { type_without_answer(); }
    SECTION("a load returns it") {
        c.store.unsubscribed(1, true);
        type_without_answer();
        // The server loads a room before it evicts it if the subscription has failed.
        c.store.away(1, true);
        c.world.run_for(10s);
        c.store.away(1, false);
    }
    c.world.run_for(10s);
    CHECK_FALSE(c.rooms(1).stats("board"));
    CHECK(c.entries() == 0);
}

TEST_CASE_METHOD(AnnAndBob, "servers: an entry of another program is validated like a client's",
                 "[room][fanout]") {
    const Bytes a = ann->type("one");
    c.world.run_for(1s);
    c.store.write("board", Bytes(40, std::byte{0xff}));
    c.store.write("board", {});
    const Bytes good = typed(9, 0, "good");
    c.store.write("board", good);
    c.world.run_for(1s);
    CHECK((ann->has(good) && bob->has(good)));
    CHECK(c.was_notified("failed board: the update is malformed"));
    // No server has saved yet: a server that loads finds the malformed entry, too.
    const std::size_t before = c.reported.size();
    const auto cid = c.editor("cid", 3, 3);
    CHECK((cid->has(a) && cid->has(good)));
    CHECK(c.reported.size() > before);
    c.world.run_for(1min);
    CHECK(c.entries() == 0);
}

TEST_CASE("servers: an entry that is stored is applied also where the document is full",
          "[room][fanout][regression]") {
    YjsDocumentOptions small;
    small.bytes_max = 400;
    RoomOptions options;
    options.unload_after = 20s;
    Cluster c{Seed{1}, {YjsDocumentOptions{}, small}, options};
    const auto ann = c.editor("ann", 1, 1);
    const auto bob = c.editor("bob", 2, 2);
    const Bytes large = ann->type(std::string(500, 'x'));
    const Bytes next = ann->type("next");
    c.world.run_for(1s);
    CHECK((bob->has(large) && bob->has(next)));
    CHECK_FALSE(c.was_notified("failed board"));
    c.world.run_for(10s);
    REQUIRE(c.document(1) == c.document(2));
    // The server continues to save snapshots.
    c.world.kill(c.host(1));
    c.world.run_for(1min);
    CHECK(c.entries() == 0);
}

TEST_CASE("servers: a server does not save over an entry that it cannot read", "[room][fanout]") {
    Cluster c;
    const auto ann = c.editor("ann", 1, 1);
    ann->type("one");
    c.world.run_for(1min);
    REQUIRE(c.entries() == 0);
    SharedRooms newer{c.store, 3};
    REQUIRE(!newer.append("board", Bytes(13)));  // of version 2
    newer.flush(Completion<part::FlushedRooms>{[](auto) noexcept {}});
    c.world.run_for(1s);
    CHECK(c.was_notified("failed board: the update is of version 2"));
    ann->type("two");
    c.world.run_for(2min);
    CHECK(c.entries() != 0);
}

TEST_CASE("servers: a server applies and saves an entry that is beyond a limit of its own",
          "[room][fanout]") {
    YjsDocumentOptions small;
    small.limits.bytes_max = 40;
    Cluster c{Seed{1}, {YjsDocumentOptions{}, small}};
    const auto ann = c.editor("ann", 1, 1);
    const auto bob = c.editor("bob", 2, 2);
    ann->type("one");
    c.world.run_for(1s);
    const Bytes large = ann->type(std::string(50, 'x'));
    c.world.run_for(100ms);
    c.world.kill(c.host(1));
    const Bytes b = bob->type("two");
    c.world.run_for(1min);
    CHECK(c.was_notified("failed board: the update is beyond a limit"));
    CHECK(c.rooms(2).counters().saves != 0);
    const auto cid = c.editor("cid", 3, 3);
    CHECK((cid->has(large) && cid->has(b)));
}

TEST_CASE("servers: a server with a lower limit saves as often as any other one",
          "[room][fanout]") {
    YjsDocumentOptions small;
    small.limits.bytes_max = 1'000;
    RoomOptions options;
    options.unload_after = 20s;
    Cluster c{Seed{1}, {YjsDocumentOptions{}, small}, options};
    const auto ann = c.editor("ann", 1, 1);
    const auto bob = c.editor("bob", 2, 2);
    ann->type(std::string(1'100, 'x'));
    c.world.run_for(1s);
    REQUIRE(c.was_notified("failed board: the update is beyond a limit"));
    // The storage accepts snapshots that cover nothing new, or refuses them: server 1 has more.
    SECTION("the other server has left") { c.world.kill(c.host(1)); }
    SECTION("the other server saves more") {}
    for (int edit = 0; edit < 20; ++edit) {
        bob->type("t");
        c.world.run_for(6s);
    }
    const std::uint64_t saves = c.rooms(2).counters().saves;
    CHECK(saves <= 20);
    c.world.run_for(10min);
    CHECK(c.rooms(2).counters().saves == saves);
    bob->hang_up();
    c.world.run_for(1min);
    CHECK_FALSE(c.rooms(2).stats("board"));
}

TEST_CASE("servers: a load with many changes that no snapshot covers causes a save",
          "[room][fanout][regression]") {
    const bool many = GENERATE(true, false);
    const bool fails = GENERATE(true, false);
    Cluster c;
    {
        const auto ann = c.editor("ann", 1, 1);
        ann->type("saved");
        c.world.run_for(10s);
        REQUIRE(c.entries() == 0);
        // All servers end before one of them saves these.
        for (int n = 0; n < (many ? 100 : 1); ++n) ann->type(std::string(1000, 'x'));
        c.world.run_for(1s);
        REQUIRE(c.entries() == (many ? 100 : 1));
    }
    for (int n = 1; n <= 3; ++n) c.world.restart(c.host(n));
    const Bytes stored = c.stored();
    std::set<std::int64_t> began;
    c.store.before = [&](std::string_view call) {
        if (call != "save") return;
        began.insert(elapsed(Instant{}, c.world.now()).count());
        if (fails) throw std::runtime_error{"no space"};
    };
    for (int n = 1; n <= 3; ++n) REQUIRE(c.rooms(n).get_or_create_room("board"));
    c.world.run_for(4s);
    CHECK(began.empty());
    c.world.run_for(27s);
    // If the first save succeeds, the others do not save. If it fails, each of them saves, at three
    // instants.
    const std::size_t saves = !many ? 0 : fails ? 3 : 1;
    CHECK(began.size() == saves);
    CHECK((c.entries() == 0) == (many && !fails));
    CHECK(c.stored() == stored);
    // A save that fails is not tried again, because the server has no edit of its own.
    c.world.run_for(2h);
    for (int n = 1; n <= 3; ++n) CHECK(c.rooms(n).rooms() == 0);
    CHECK(began.size() == saves);
}

TEST_CASE("servers: a long log that one server has saved is saved by no other server",
          "[room][fanout]") {
    const auto edits = GENERATE(as<std::string>{}, "nobody", "the first", "the others");
    CAPTURE(edits);
    Cluster c;
    {
        const auto ann = c.editor("ann", 1, 1);
        for (int n = 0; n < 100; ++n) ann->type(std::string(1000, 'x'));
        c.world.run_for(1s);
    }
    for (int n = 1; n <= 3; ++n) c.world.restart(c.host(n));
    int saves = 0;
    c.store.before = [&](std::string_view call) { saves += call == "save"; };
    for (int n = 1; n <= 3; ++n) REQUIRE(c.rooms(n).get_or_create_room("board"));
    c.world.run_for(100ms);
    // An edit is saved 5 s later, and that save covers the long log.
    if (edits == "the first") REQUIRE_FALSE(c.rooms(1).apply_update("board", typed(2, 0, "y")));
    if (edits == "the others") {
        REQUIRE_FALSE(c.rooms(2).apply_update("board", typed(2, 0, "y")));
        REQUIRE_FALSE(c.rooms(3).apply_update("board", typed(3, 0, "y")));
    }
    c.world.run_for(1min);
    CHECK(saves == (edits == "the others" ? 2 : 1));
    CHECK(c.entries() == 0);
    // Each later edit is saved as usual.
    for (int n = 1; n <= 3; ++n)
        REQUIRE_FALSE(
            c.rooms(n).apply_update("board", typed(10 + static_cast<std::uint64_t>(n), 0, "z")));
    c.world.run_for(1min);
    CHECK(saves == (edits == "the others" ? 5 : 4));
    CHECK(c.entries() == 0);
}

TEST_CASE("servers: a save of another history, or of less than was loaded, replaces no other save",
          "[room][fanout][regression]") {
    const auto told = GENERATE(as<std::string>{}, "of the load", "of less", "of another history",
                               "in half a message");
    CAPTURE(told);
    Cluster c;
    {
        const auto ann = c.editor("ann", 1, 1);
        for (int n = 0; n < 100; ++n) ann->type(std::string(1000, 'x'));
        c.world.run_for(1s);
    }
    c.world.restart(c.host(1));
    int saves = 0;
    c.store.before = [&](std::string_view call) { saves += call == "save"; };
    REQUIRE(c.rooms(1).get_or_create_room("board"));
    c.world.run_for(100ms);
    const auto& stored = c.store.rooms.at("board");
    detail::PeerMessage message{.kind = detail::PeerMessage::Kind::saved,
                                .epoch = stored.epoch,
                                .position = stored.entries.back().position};
    if (told == "of less") --message.position;
    if (told == "of another history") message.epoch[0] ^= std::byte{1};
    Bytes bytes = encode(message);
    if (told == "in half a message") bytes.resize(bytes.size() / 2);
    SharedRooms{c.store, 9}.publish("board", bytes);
    c.world.run_for(1min);
    CHECK(saves == (told == "of the load" ? 0 : 1));
    CHECK(c.was_notified("the frame is malformed") == (told == "in half a message"));
}

TEST_CASE("servers: a save that covers nothing is not published as the save of a long log",
          "[room][fanout]") {
    Cluster c;
    {
        const auto ann = c.editor("ann", 1, 1);
        for (int n = 0; n < 100; ++n) ann->type(std::string(1000, 'x'));
        c.world.run_for(1s);
    }
    c.world.restart(c.host(1));
    REQUIRE(c.rooms(1).get_or_create_room("board"));
    c.world.run_for(100ms);
    int published = 0;
    c.store.before = [&](std::string_view call) { published += call == "publish"; };
    // The storage has lost an entry, and loads nothing: no snapshot of the server covers the rest.
    c.store.hang_saves = c.store.servers[1].slow = true;
    c.store.lose_tail("board", 1);
    c.store.reconnect(1);
    c.world.run_for(31s);
    REQUIRE(c.store.hung.size() == 1);
    std::exchange(c.store.hung, {}).front()(PersistenceError{});
    c.world.run_for(100ms);
    CHECK(published == 0);
    // The entry is stored again, and then a save covers the log.
    c.store.hang_saves = c.store.servers[1].slow = false;
    c.world.run_for(1min);
    CHECK(c.entries() == 0);
    CHECK(published == 1);
}

TEST_CASE("servers: stop does not wait for the save of a room that was only read",
          "[room][fanout][regression]") {
    const bool refused = GENERATE(true, false);
    const bool edited = GENERATE(true, false);
    Cluster c;
    {
        const auto ann = c.editor("ann", 1, 1);
        for (int n = 0; n < 100; ++n) ann->type(std::string(1000, 'x'));
        c.world.run_for(1s);
    }
    for (int n = 1; n <= 3; ++n) c.world.restart(c.host(n));
    const Bytes stored = c.stored();
    c.store.hang_saves = true;
    REQUIRE(c.rooms(2).get_or_create_room("board"));
    c.world.run_for(31s);
    REQUIRE(c.store.hung.size() == 1);
    if (edited) {
        REQUIRE_FALSE(c.rooms(2).apply_update("board", typed(2, 0, "y")));
        c.world.run_for(100ms);
    }
    c.reported.clear();
    c.rooms(2).stop();
    c.world.run_for(100ms);
    if (refused) {
        for (auto& done : std::exchange(c.store.hung, {}))
            done(PersistenceError{RoomErrc::update_too_large, {}, {}});
        c.world.run_for(100ms);
    }
    CHECK(c.was_notified("stopped: ") == (refused || !edited));
    c.world.run_for(21s);
    CHECK((c.reported.back() == "stopped: ") == !edited);
    CHECK((c.stored() == stored) == !edited);
}

TEST_CASE_METHOD(AnnAndBob, "servers: a flood of entries is read in parts", "[room][fanout]") {
    ann->type("one");
    c.world.run_for(1s);
    c.store.unsubscribed(2, true);
    for (int i = 0; i < 1000; ++i) c.store.write("board", typed(50, static_cast<unsigned>(i), "x"));
    c.store.unsubscribed(2, false);
    c.world.run_for(2s);
    CHECK(c.store.servers[2].longest == c.store.batch);
    CHECK(c.document(1) == c.document(2));
    CHECK(bob->has(typed(50, 999, "x")));
}

TEST_CASE("servers: an erase or reset by one server ends the history on all servers",
          "[room][fanout]") {
    Cluster c;
    const auto ann = c.editor("ann", 1, 1);
    const Bytes a = ann->type("one");
    c.world.run_for(1s);
    SharedRooms other{c.store, 9};
    SECTION("erased") { CHECK_FALSE(other.erase("board")); }
    SECTION("reset") { CHECK(!other.reset("board", Id{std::byte{1}})); }
    other.flush(Completion<part::FlushedRooms>{[](std::optional<part::FlushedRooms>) noexcept {}});
    c.world.run_for(2s);
    CHECK(ann->closed_with == 4409);
    CHECK_FALSE(c.rooms(1).stats("board"));
    const auto cid = c.editor("cid", 3, 1);
    CHECK_FALSE(cid->has(a));
    CHECK(cid->online());
}

TEST_CASE_METHOD(AnnAndBob,
                 "servers: the clients of an ended history are removed from the next one",
                 "[room][fanout][regression]") {
    const bool erases = GENERATE(true, false);
    CAPTURE(erases);
    ann->type("one");
    c.world.run_for(1s);
    c.store.unsubscribed(1, true);
    SharedRooms other{c.store, 9};
    REQUIRE(!(erases ? other.erase("board") : other.reset("board", Id{std::byte{1}})));
    other.flush(Completion<part::FlushedRooms>{[](std::optional<part::FlushedRooms>) noexcept {}});
    c.world.run_for(1s);
    CHECK(bob->closed_with == 4409);
    // Server 2 has the next history. Server 1 still has the ended one, and publishes its states.
    const auto cid = c.editor("cid", 3, 2);
    ann->show("{}");
    c.world.run_for(1s);
    REQUIRE(cid->present.contains(1));
    c.store.unsubscribed(1, false);
    c.world.run_for(1s);
    CHECK(ann->closed_with == 4409);
    CHECK_FALSE(cid->present.contains(1));
}

TEST_CASE_METHOD(AnnAndBob,
                 "servers: a room that is loaded again receives no state from before its load",
                 "[room][fanout][regression]") {
    ann->type("one");
    c.world.run_for(1s);
    const auto ended = [](std::optional<PersistenceError> e) noexcept { CHECK((e && !*e)); };
    SECTION("server 2 ends the room while its subscription waits") {
        c.rooms(2).erase("board", Completion<PersistenceError>{ended});
    }
    SECTION("an answer to the subscription of server 2 ends the room") {
        c.rooms(1).erase("board", Completion<PersistenceError>{ended});
    }
    c.world.run_for(1s);
    REQUIRE(c.rooms(2).rooms() == 0);
    ann->dial();
    c.world.run_for(1s);
    ann->show("{}");
    c.world.run_for(1s);
    // Server 1 cannot publish that Ann has left.
    c.store.away(1, true);
    ann->hang_up();
    c.world.run_for(1s);
    c.store.away(1, false);
    const auto cid = c.editor("cid", 3, 2);
    REQUIRE(cid->online());
    CHECK_FALSE(cid->present.contains(1));
}

TEST_CASE("servers: a client receives the end of its history, and not the failure of a change",
          "[room][fanout][regression]") {
    Cluster c;
    const auto ann = c.editor("ann", 1, 1);
    ann->type("one");
    c.world.run_for(1s);
    c.store.late(1, true);
    SharedRooms other{c.store, 9};
    REQUIRE(!other.reset("board", Id{std::byte{1}}));
    other.flush(Completion<part::FlushedRooms>{[](std::optional<part::FlushedRooms>) noexcept {}});
    c.store.servers[1].unsure = true;
    ann->type("two");
    c.world.run_for(100ms);
    // The flush fails, and server 1 learns of the reset in the same turn.
    c.store.late(1, false);
    c.world.run_for(1s);
    CHECK(ann->closed_with == 4409);
    const auto& reasons = c.rooms(1).counters().reasons;
    CHECK(reasons.of(RoomErrc::history_reset) == 1);
    CHECK(reasons.of(RoomErrc::not_durable) == 0);
}

TEST_CASE("servers: a history that a flush replaces is restored, unless it was ended",
          "[room][fanout][regression]") {
    Cluster c;
    const auto ann = c.editor("ann", 1, 1);
    const auto bob = c.editor("bob", 2, 2);
    c.store.late(2, true);
    const Bytes b = bob->type("begins another history");
    c.world.run_for(100ms);
    const Bytes a = ann->type("one");
    c.world.run_for(100ms);
    // Server 2 reads the history of server 1, while its own flush is under way.
    c.store.servers[2].late = false;
    c.store.report_all();
    c.world.run_for(100ms);
    REQUIRE(bob->has(a));
    SECTION("the storage has lost it") {
        c.store.wipe();
        // Server 2 learns it from the answer of its flush only, and no other server restores it.
        c.store.away(1, true);
        c.store.unsubscribed(2, true);
        c.store.late(2, false);
        c.world.run_for(20s);
        YjsDocument stored;
        REQUIRE_FALSE(stored.apply(c.stored()));
        static_cast<void>(stored.state_vector());
        CHECK_FALSE(stored.check(a).value_or(true));
        CHECK_FALSE(stored.check(b).value_or(true));
        c.store.away(1, false);
        c.store.unsubscribed(2, false);
        c.world.run_for(20s);
        CHECK(ann->closed_with != 4409);
        CHECK(bob->closed_with != 4409);
        CHECK(ann->has(b));
        CHECK(bob->has(b));
    }
    SECTION("it was erased") {
        SharedRooms other{c.store, 9};
        REQUIRE(!other.erase("board"));
        other.flush(
            Completion<part::FlushedRooms>{[](std::optional<part::FlushedRooms>) noexcept {}});
        c.store.late(2, false);
        c.world.run_for(20s);
        CHECK(ann->closed_with == 4409);
        CHECK(bob->closed_with == 4409);
        const auto cid = c.editor("cid", 3, 2);
        CHECK(cid->has(b));
        CHECK_FALSE(cid->has(a));
    }
}

TEST_CASE("servers: a server that has not read an erase does not begin the room again",
          "[room][fanout]") {
    Cluster c;
    const auto ann = c.editor("ann", 1, 1);
    SharedRooms other{c.store, 9};
    const auto flush = [&] {
        other.flush(
            Completion<part::FlushedRooms>{[](std::optional<part::FlushedRooms>) noexcept {}});
    };
    SECTION("of a room that it has begun") {
        ann->type("begun here");
        c.world.run_for(1s);
        c.store.away(1, true);
        ann->type("lost");
        c.world.run_for(1s);
        CHECK(ann->closed_with == 1013);
        c.store.servers[1].unsubscribed = true;
        c.store.away(1, false);
    }
    SECTION("of a room that it has begun, and not read since") {
        c.store.unsubscribed(1, true);
        ann->type("begun here");
        c.world.run_for(1s);
        CHECK(ann->online());
    }
    SECTION("of a room that it began without an answer") {
        c.store.unsubscribed(1, true);
        c.store.servers[1].unsure = true;
        ann->type("begun here");
        c.world.run_for(1s);
        CHECK(ann->closed_with == 1013);
        c.store.servers[1].unsure = false;
    }
    SECTION("of a room that another server began at the same time") {
        REQUIRE(!other.begin("board", Id{std::byte{9}}, false));
        flush();
        c.store.unsubscribed(1, true);
        ann->type("begun here");
        c.world.run_for(1s);
        CHECK(ann->online());
    }
    REQUIRE(c.store.rooms.contains("board"));
    CHECK_FALSE(other.erase("board"));
    flush();
    if (!ann->online()) ann->dial();
    c.world.run_for(2s);
    ann->type("more");
    c.world.run_for(2s);
    CHECK(ann->closed_with == 4409);
    CHECK_FALSE(c.store.rooms.contains("board"));
    CHECK_FALSE(c.rooms(1).stats("board"));
    c.store.unsubscribed(1, false);
    c.world.run_for(10s);
    CHECK_FALSE(c.store.rooms.contains("board"));
    // A client without this history may begin another one.
    const auto bob = c.editor("bob", 2, 1);
    bob->type("new");
    c.world.run_for(2s);
    CHECK((bob->online() && c.stored() == bob->document()));
}

TEST_CASE("SharedRooms: a flush that ends at a change of a rejected room fails for all rooms",
          "[room][fanout]") {
    PersistenceError error;
    SharedStore store;
    SharedRooms rooms{store, 1};
    REQUIRE(!rooms.append("unknown", Bytes(1)));
    REQUIRE(!rooms.append("unknown", Bytes(1)));
    REQUIRE(!rooms.begin("board", Id{std::byte{1}}, false));
    rooms.carry_out(
        rooms.take_staged(), 1,
        Completion<part::FlushedRooms>{[&](std::optional<part::FlushedRooms> answer) noexcept {
            if (answer) error = answer->error;
        }});
    CHECK(error.code == std::errc::connection_refused);
    CHECK(error.rooms.empty());
    CHECK_FALSE(store.rooms.contains("board"));
}

TEST_CASE("servers: a restored history is not added to a history that follows an erase or reset",
          "[room][fanout]") {
    Cluster c;
    const auto ann = c.editor("ann", 1, 1);
    const auto bob = c.editor("bob", 2, 2);
    const Bytes old = ann->type("old");
    c.world.run_for(1min);
    SharedRooms other{c.store, 9};
    const Id next{std::byte{9}};
    const auto flush = [&] {
        other.flush(
            Completion<part::FlushedRooms>{[](std::optional<part::FlushedRooms>) noexcept {}});
    };
    const auto end = [&](bool begins) {
        if (begins) {
            CHECK_FALSE(other.reset("board", next));
            CHECK_FALSE(other.append("board", typed(9, 0, "next")));
        } else {
            CHECK_FALSE(other.erase("board"));
        }
        flush();
        c.store.change("board");
    };
    bool begun = true;
    SECTION("restored without an answer") {
        c.world.kill(c.host(2));
        c.world.run_for(1s);
        c.store.servers[1].unsure = true;
        c.store.wipe();
        c.store.look(1);
        // The server reads that the room is lost, and does not read what it has begun.
        c.store.unsubscribed(1, true);
        c.world.run_for(100ms);
        REQUIRE(c.store.rooms.contains("board"));
        SECTION("and reset") { end(true); }
        SECTION("and erased") { end(begun = false); }
        c.store.servers[1].unsure = false;
        c.store.unsubscribed(1, false);
    }
    SECTION("restored by another server") {
        c.store.unsubscribed(1, true);
        c.store.wipe();
        c.store.look(2);
        c.world.run_for(2s);
        REQUIRE(c.store.rooms.contains("board"));
        SECTION("and reset") { end(true); }
        SECTION("and erased") { end(begun = false); }
        c.world.run_for(1s);
        c.store.unsubscribed(1, false);
        c.store.reconnect(1);
    }
    SECTION("lost once more, and begun by a server that never had it") {
        // The history was never erased or reset, so the room keeps it.
        c.store.unsubscribed(1, true);
        c.world.kill(c.host(2));
        c.store.wipe();
        REQUIRE(!other.begin("board", next, false));
        flush();
        c.store.unsubscribed(1, false);
        c.store.reconnect(1);
        c.world.run_for(10s);
        CHECK(ann->online());
        CHECK(c.stored() == ann->document());
        CHECK(c.rooms(1).stats("board")->epoch == detail::epoch_text(next));
        const Bytes more = ann->type("more");
        c.world.run_for(10s);
        CHECK((ann->online() && c.stored() == ann->document()));
        return;
    }
    c.world.run_for(10s);
    CHECK(ann->closed_with == 4409);
    CHECK_FALSE(c.rooms(1).stats("board"));
    REQUIRE(c.store.rooms.contains("board") == begun);
    if (begun) CHECK(c.stored() == typed(9, 0, "next"));
    // A client that dials later does not receive the old history either.
    const auto cid = c.editor("cid", 3, 1);
    const Bytes fresh = cid->type("new");
    c.world.run_for(1min);
    CHECK_FALSE(cid->has(old));
    CHECK(c.stored() == cid->document());
}

TEST_CASE("servers: a client that may not edit any more is hidden on all servers",
          "[room][fanout]") {
    Cluster c{Seed{1}, {}, {.viewers_awareness = false}};
    const auto ann = c.editor("ann", 1, 1);
    const auto bob = c.editor("bob", 2, 2);
    ann->show("{}");
    c.world.run_for(1s);
    REQUIRE(bob->present.contains(1));
    ann->show("{\"at\":1}");  // not published yet when it is hidden
    c.rights.grants["ann"] = Grant{"ann", Access::view, forever};
    c.rooms(1).reauthorize("board");
    c.world.run_for(1s);
    CHECK(ann->online());
    CHECK_FALSE(bob->present.contains(1));
    const auto cid = c.editor("cid", 3, 3);
    CHECK_FALSE(cid->present.contains(1));
}

TEST_CASE("servers: one publication of awareness is short, and the next ones continue it",
          "[room][fanout]") {
    RoomOptions options;
    options.clients_per_user_max = 1'000;
    Cluster c{Seed{1}, {}, options};
    const auto bob = c.editor("bob", 200, 2);
    std::vector<std::unique_ptr<RoomEditor>> many;
    for (std::uint64_t author = 1; author <= 40; ++author)
        many.push_back(c.editor("client" + std::to_string(author), author, 1));
    c.rights.grants["again"] = Grant{"client1", Access::edit, forever};
    const auto again = c.editor("again", 100, 1);
    std::map<std::int64_t, std::size_t> published;  // the bytes at each time
    c.store.published = [&](int server, BytesView message) {
        if (server == 1) published[c.world.now().time_since_epoch().count()] += message.size();
    };
    const auto large = [](char of) { return '"' + std::string(15'000, of) + '"'; };
    std::size_t all = 0;
    SECTION("each client that has changed is published") {
        for (const auto& client : many) client->show(large('a'));
        c.world.run_for(1s);
        CHECK(bob->present.size() == 40);
        for (const auto& [at, bytes] : published) {
            CHECK(bytes <= detail::UnpublishedAwareness::bytes_max + 1'000);
            all += bytes;
        }
        CHECK(published.size() >= 3);
        // Some of them publish clocks that were raised.
        CHECK(published.size() <= 6);
        CHECK(all > 40 * 15'000);
    }
    SECTION("clients that change all the time delay no other one") {
        for (int i = 0; i < 100; ++i) {
            for (const auto& client : many) client->show(large(i % 2 == 0 ? 'a' : 'b'));
            if (i == 20) again->show(large('c'));
            c.world.run_for(10ms);
        }
        CHECK(bob->present.size() == 41);
    }
    SECTION("the removal of a client that has left is published after its earlier states") {
        const auto says = [](std::uint64_t clock, const std::string& state) {
            return YjsProtocol{}.write(
                {part::RoomMessage::Kind::awareness, awareness_of(1, clock, state)});
        };
        many.front()->raw(says(40, "{\"name\":\"old\"}"));
        c.world.run_for(200ms);
        for (std::size_t i = 1; i < many.size(); ++i) many[i]->show(large('a'));
        // Another client has taken over the id before the first one leaves.
        again->raw(says(41, "{\"name\":\"new\"}"));
        many.front()->hang_up();
        c.world.run_for(1s);
        CHECK(bob->present.at(1) == "{\"name\":\"new\"}");
        CHECK(bob->present.size() == 40);
        again->hang_up();
        c.world.run_for(1s);
        CHECK_FALSE(bob->present.contains(1));
    }
}

TEST_CASE("servers: an import of what the document has is durable only if the storage has it",
          "[room][fanout]") {
    Cluster c;
    const auto ann = c.editor("ann", 1, 1);
    const Bytes one = ann->type("one");
    c.world.run_for(1s);
    std::optional<PersistenceError> answer;
    const auto import_parts = [&](std::vector<Bytes> parts) {
        c.rooms(1).import_room(
            "board", {.updates = std::move(parts)},
            Completion<PersistenceError>{
                [&answer](std::optional<PersistenceError> e) noexcept { answer = std::move(e); }});
    };
    SECTION("the storage has it") {
        import_parts({one});
        c.world.run_for(10ms);
        CHECK((answer && !*answer));
    }
    SECTION("the storage cannot be reached, and has lost it") {
        c.store.away(1, true);
        c.store.wipe();
        c.world.run_for(1s);
        import_parts({one});
        c.world.run_for(5s);
        CHECK_FALSE((answer && !*answer));
        c.store.away(1, false);
        c.world.run_for(1min);
        REQUIRE(answer);
        CHECK((*answer || c.stored() == c.document(1)));
        // A second import finds the content stored.
        answer.reset();
        import_parts({one});
        c.world.run_for(1min);
        CHECK((answer && !*answer));
        CHECK(c.stored() == c.document(1));
    }
    SECTION("the storage has lost it, and is compared") {
        const bool all = GENERATE(true, false);
        const bool adds = GENERATE(false, true);
        CAPTURE(all, adds);
        c.store.away(1, true);
        all ? c.store.wipe() : c.store.lose_tail("board", 1);
        c.world.run_for(1s);
        c.store.away(1, false);
        std::vector<Bytes> parts{one};
        if (adds) parts.push_back(typed(7, 0, "seven"));
        import_parts(parts);
        while (!answer) c.world.run_for(1ms);
        if (!*answer) {
            YjsDocument stored;
            REQUIRE_FALSE(stored.apply(c.stored()));
            static_cast<void>(stored.state_vector());
            for (const Bytes& part : parts) CHECK_FALSE(*stored.check(part));
        }
        CHECK((!*answer || adds));
    }
    SECTION("the server stops meanwhile") {
        c.store.away(1, true);
        c.store.wipe();
        c.world.run_for(1s);
        import_parts({one});
        c.rooms(1).stop();
        c.world.run_for(1min);
        CHECK((answer && *answer));
        CHECK(c.rooms(1).rooms() == 0);
    }
}

TEST_CASE_METHOD(AnnAndBob, "servers: awareness is shared by all servers, and removed",
                 "[room][fanout]") {
    ann->show("{\"name\":\"ann\"}");
    bob->show("{\"name\":\"bob\"}");
    c.world.run_for(1s);
    CHECK(bob->present.at(1) == "{\"name\":\"ann\"}");
    CHECK(ann->present.at(2) == "{\"name\":\"bob\"}");
    const auto cid = c.editor("cid", 3, 3);
    CHECK(cid->present.size() == 2);
    SECTION("a client leaves") {
        ann->hang_up();
        c.world.run_for(1s);
        CHECK_FALSE(bob->present.contains(1));
        CHECK_FALSE(cid->present.contains(1));
    }
    SECTION("its states are published once each 100 ms, the last one included") {
        std::size_t published = 0;
        c.store.before = [&](std::string_view call) { published += call == "publish" ? 1U : 0U; };
        for (int i = 0; i < 1'000; ++i) {
            ann->show("{\"x\":" + std::to_string(i) + "}");
            c.world.run_for(1ms);
        }
        c.world.run_for(200ms);
        CHECK(published >= 9);
        CHECK(published <= 13);
        CHECK(bob->present.at(1) == "{\"x\":999}");
        // The first one after a pause is published at once.
        ann->show("{\"x\":1000}");
        c.world.run_for(50ms);
        CHECK(bob->present.at(1) == "{\"x\":1000}");
        ann->show("null");
        c.world.run_for(150ms);
        CHECK_FALSE(bob->present.contains(1));
        CHECK_FALSE(cid->present.contains(1));
    }
    SECTION("an id that a newer connection takes over is not removed with the older one") {
        c.rights.grants["ann2"] = Grant{"ann", Access::edit, forever};
        const auto again = c.editor("ann2", 4, 1);
        const auto says = [](std::uint64_t clock, std::string_view state) {
            return YjsProtocol{}.write(
                {part::RoomMessage::Kind::awareness, awareness_of(1, clock, state)});
        };
        ann->raw(says(40, "{\"name\":\"old\"}"));
        c.world.run_for(50ms);
        // Both states are published at once, and the removal of the older one has the same clock.
        again->raw(says(41, "{\"name\":\"new\"}"));
        ann->hang_up();
        c.world.run_for(1s);
        CHECK(bob->present.at(1) == "{\"name\":\"new\"}");
        CHECK(cid->present.at(1) == "{\"name\":\"new\"}");
    }
    SECTION("a server that stops removes its clients everywhere") {
        c.rooms(1).stop();
        c.world.run_for(1s);
        CHECK_FALSE(bob->present.contains(1));
        CHECK_FALSE(cid->present.contains(1));
    }
    SECTION("a server stops") {
        c.world.kill(c.host(1));
        c.world.run_for(10s);
        bob->show("{\"name\":\"bob\"}");
        c.world.run_for(25s);
        CHECK_FALSE(cid->present.contains(1));
        CHECK(cid->present.contains(2));
    }
    SECTION("a server accepts no state for another server's client") {
        cid->raw(YjsProtocol{}.write(
            {part::RoomMessage::Kind::awareness, awareness_of(1, 99, "{\"name\":\"not ann\"}")}));
        c.world.run_for(1s);
        CHECK(bob->present.at(1) == "{\"name\":\"ann\"}");
    }
    SECTION("a user that replaces another takes over its announced state, on all servers") {
        c.rights.grants["ann"] = Grant{"zoe", Access::edit, forever};
        c.rooms(1).reauthorize("board");
        c.world.run_for(1s);
        ann->hang_up();
        c.world.run_for(1s);
        CHECK_FALSE(bob->present.contains(1));
        ann->dials = "server2";
        ann->dial();
        c.world.run_for(1s);
        ann->raw(YjsProtocol{}.write(
            {part::RoomMessage::Kind::awareness, awareness_of(1, 99, "{\"name\":\"zoe\"}")}));
        c.world.run_for(1s);
        CHECK(bob->present.contains(1));
    }
    SECTION("malformed messages are rejected") {
        SharedRooms other{c.store, 9};
        other.publish("board", Bytes(30, std::byte{0xff}));
        other.publish("board", {});
        other.publish("board", detail::encode({detail::PeerMessage::Kind::state, Id{}, 1, "ann",
                                               Bytes(9, std::byte{0xff})}));
        c.world.run_for(1s);
        CHECK(c.was_notified("failed board: the frame is malformed"));
        CHECK(bob->present.at(1) == "{\"name\":\"ann\"}");
        CHECK((ann->online() && bob->online()));
    }
}

namespace {

/// Editors of one room at three servers. The faults of the scenario hit the servers and their
/// storage, which is emptied each time that the host "operator" starts again.
class ServersUnderFaults {
public:
    explicit ServersUnderFaults(sim::World& world) : c_{world, {}, options()}, hosts_{c_} {
        world.host("operator", [this](sim::Host& host) {
            if (host.starts() > 1) c_.store.wipe();
        });
        c_.store.repeats = world.chance("repeats entries", 25);
    }
    /// Makes the calls of the storage throw in one of several calls.
    void let_throw() {
        const std::uint64_t one_in = 2 + c_.world.choose("one call in", 31);
        c_.store.before = [this, one_in](std::string_view name) {
            if (c_.world.choose(name, one_in) != 0) return;
            c_.world.reach(name);
            throw CallableThrew{};
        };
        for (const char* const name :
             {"load", "append", "begin", "flush", "save", "publish", "subscribe"})
            c_.world.reachable(name);
    }
    bool run() {
        c_.world.run_for({});  // the faults are drawn before the editors come
        for (std::uint64_t i = 1; i <= 4; ++i)
            editors_.push_back(c_.editor("e" + std::to_string(i), i, 1 + static_cast<int>(i % 3)));
        for (int step = 0; step < 36; ++step) act();
        c_.store.before = [](std::string_view) {};
        c_.world.heal();
        // At least 6 s, in which a client that has all may lose something again. After many
        // failures a server waits for up to a minute before it loads the room again.
        for (int i = 0; i < 60 && (i < 3 || !in_step()); ++i) {
            for (const auto& e : editors_) {
                if (!e->online()) e->dial();
            }
            c_.world.run_for(2s);
        }
        return c_.world.require("clients and storage converge 120 s after the faults", in_step());
    }

private:
    [[nodiscard]] static RoomOptions options() {
        RoomOptions options;
        options.save_after = 1s;
        options.answer_within = 5s;
        return options;
    }
    [[nodiscard]] bool in_step() {
        if (!c_.store.rooms.contains("board")) return false;
        return std::ranges::all_of(
            editors_, [stored = c_.stored()](const auto& e) { return e->document() == stored; });
    }
    void act() {
        RoomEditor& e = *editors_[c_.world.choose("editor", editors_.size())];
        const std::uint64_t what = c_.world.choose("act", 26);
        if (what < 14) {
            // Yjs's client closes a connection that was silent. Without the hang-up, the editor
            // would send later changes on it, and never this one.
            if (!e.online()) e.hang_up();
            e.type("x");
        } else if (what > 14) {
            if (!e.online()) e.dial();
        } else if (!c_.store.rooms.empty()) {
            c_.store.write("board", Bytes(9));
        }
        c_.world.run_for(std::chrono::milliseconds{c_.world.choose("until the next act", 1501)});
    }

    Cluster c_;
    StoreOnHosts hosts_;
    std::vector<std::unique_ptr<RoomEditor>> editors_{};
};

enum class StoreCalls { work, throw_at_times };

sim::Report explored_server_faults(StoreCalls calls, sim::ExploreOptions options) {
    options.scenario = {.swarm = false,
                        .kills = 12,
                        .pauses = 4,
                        .partitions = 12,
                        .one_way_partitions = 16,
                        .latencies = 0,
                        .refusals = 0,
                        .drops = 0,
                        .half_opens = 0,
                        .cuts = 0,
                        .within = 27s,
                        .lasts_max = 15s};
    options.recheck_percent = 1;
    return explored_as_wanted(std::move(options), [calls](sim::World& world) {
        auto& servers = world.make<ServersUnderFaults>(world);
        if (calls == StoreCalls::throw_at_times) servers.let_throw();
        return servers.run();
    });
}

}  // namespace

TEST_CASE("servers: under random faults all servers converge", "[room][fanout][seeds]") {
    CHECK(
        explored_server_faults(StoreCalls::work, {.seeds = from_environment("BELAY_SEEDS", 2000)}));
}

TEST_CASE("servers: if the storage throws at any time, all servers converge",
          "[room][fanout][seeds]") {
    CHECK(explored_server_faults(StoreCalls::throw_at_times,
                                 {.seeds = from_environment("BELAY_SEEDS", 2000)}));
}

TEST_CASE("servers: sequences of faults that once lost a change lose none", "[room][fanout][sim]") {
    // After a loss, a client's change began the history again before the rest was restored.
    const auto begun_early = sim::Scenario{}
                                 .during(10s, 10010ms, sim::kill("operator"))
                                 .during(7s, 20400ms, sim::kill("feed"))
                                 .during(20s, 33s, sim::pause("storage"))
                                 .during(0s, 10s, sim::partition("server2", "storage"));
    CHECK(explored_server_faults(StoreCalls::work, {.seed = Seed{1328}, .play = begun_early}));
    // A snapshot that contained the rest was replaced by one that did not.
    const auto replaced = sim::Scenario{}
                              .during(6s, 6010ms, sim::kill("server2"))
                              .during(16900ms, 29800ms, sim::kill("operator"))
                              .during(20s, 20001ms, sim::kill("server3"))
                              .during(10s, 14s, sim::kill("server2"))
                              .during(26s, 36s, sim::pause("server2"));
    CHECK(
        explored_server_faults(StoreCalls::throw_at_times, {.seed = Seed{1740}, .play = replaced}));
}
