// SPDX-License-Identifier: MIT
// Goal: a client that joins a large document does not delay others, and misses no change sent
// meanwhile. Method: documents of megabytes in simulated worlds, observed turn by turn.
#include <belay/drive/manual_loop.hpp>
#include <belay/room/room_manager.hpp>

#include <algorithm>
#include <iterator>

#include "support/catch.hpp"
#include "support/room/room_world.hpp"
#include "support/seeds.hpp"
#include "support/worlds/explored.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

constexpr std::size_t part_bytes = std::size_t{1} << 20;

/// A document with this many authors, each with this much text.
StoredRoom of_authors(std::uint64_t authors, std::size_t bytes) {
    StoredRoom room;
    for (std::uint64_t i = 0; i < authors; ++i)
        room.updates.push_back(typed(1000 + i, 0, std::string(bytes, 'x')));
    return room;
}
void bring_in(RoomWorld& w, StoredRoom room, Duration wait = 10s) {
    w.rooms().import_room("board", std::move(room),
                          Completion<PersistenceError>{[](auto) noexcept {}});
    w.run(wait);
}
std::size_t taken_of_all(const RoomWorld& w) {
    std::size_t bytes = 0;
    for (const auto& [host, taken] : w.taken) bytes += taken.bytes;
    return bytes;
}

/// Three editors, one of them over a connection with several documents. The faults of the scenario
/// hit all processes, the storage and the network between them.
class EditorsWithAnswers {
public:
    EditorsWithAnswers(sim::World& world, const RoomOptions& options) : w_{world, options} {
        world.network().window_bytes(std::size_t{1000} << world.choose("window", 13));
        w_.disk.host.emplace(world, "storage");
    }
    bool run() {
        // The faults come soon.
        bring_in(w_, of_authors(13, 100'000), 50ms);
        for (RoomEditor* const one : all_) {
            if (w_.world.chance("typed offline", 50)) static_cast<void>(one->type("offline "));
            one->dial();
        }
        for (int i = 0; i < 100; ++i) act();
        w_.world.heal();
        for (int i = 0; i < 60 && !in_step(); ++i) {
            w_.run(2s);
            for (RoomEditor* const one : all_) {
                if (!one->online()) one->dial();
            }
        }
        return w_.world.require("all editors have all, and know it, 120 s after the faults",
                                in_step());
    }

private:
    void act() {
        RoomEditor& one = *all_[w_.world.choose("editor", std::size(all_))];
        const std::uint64_t what = one.host().paused() ? 6 : w_.world.choose("act", 6);
        if (what < 1) {
            one.say({part::RoomMessage::Kind::state_vector, Bytes(1)});
        } else if (what < 3) {
            one.type(std::string(1 + w_.world.choose("length", 5001), 'y'));
        } else if (what < 4) {
            if (!one.online()) one.dial();
        }
        w_.run(std::chrono::milliseconds{w_.world.choose("until the next act", 41)});
    }
    [[nodiscard]] bool in_step() {
        // The documents are large, so they are compared last.
        const bool synced = std::ranges::all_of(all_, [](RoomEditor* one) { return one->synced; });
        if (!synced || carol_.unsynced != 0) return false;
        const Bytes held = state_of(w_.rooms());
        return std::ranges::all_of(all_, [&](RoomEditor* one) { return one->document() == held; });
    }

    RoomWorld w_;
    RoomEditor ada_{w_, "ada", 1};
    RoomEditor bob_{w_, "bob", 2};
    RoomEditor carol_ = RoomEditor::addressed(w_, "carol", 3);
    RoomEditor* const all_[3] = {&ada_, &bob_, &carol_};
};

sim::Report explored_answers(std::uint64_t seeds, const RoomOptions& options) {
    return explored_as_wanted({.seeds = std::min(from_environment("BELAY_SEEDS", 2000), seeds),
                               .scenario = {.swarm = false,
                                            .kills = 0,
                                            .pauses = 16,
                                            .partitions = 6,
                                            .one_way_partitions = 6,
                                            .latencies = 0,
                                            .refusals = 0,
                                            .drops = 12,
                                            .half_opens = 6,
                                            .cuts = 0,
                                            .within = 2s,
                                            .lasts_max = 1s},
                               .recheck_percent = 0},
                              [options](sim::World& world) {
                                  return world.make<EditorsWithAnswers>(world, options).run();
                              });
}

}  // namespace

TEST_CASE(
    "RoomManager: each turn prepares a part of the answers to clients that join a large document",
    "[room][room_large][sim]") {
    // The connections accept all, so that nothing but the turn limits the work.
    RoomWorld w{Seed{1}, {.client_bytes_max = 64U << 20}};
    w.world.network().window_bytes(std::size_t{1} << 30);
    bring_in(w, of_authors(30, 100'000));
    std::vector<RoomEditor> editors;
    for (std::uint64_t i = 0; i < 4; ++i) {
        const std::string name = "editor" + std::to_string(i);
        editors.push_back(i % 2 == 0 ? RoomEditor{w, name, i + 1}
                                     : RoomEditor::addressed(w, name, i + 1));
    }
    for (RoomEditor& one : editors) one.dial();
    std::size_t before = 0;
    std::size_t most = 0;
    const auto look = [&] {  // after each turn
        const std::size_t now = taken_of_all(w);
        most = std::max(most, now - before);
        before = now;
        return false;
    };
    CHECK_FALSE(w.world.run_until(look, 2s));
    CHECK(most <= 2 * part_bytes);
    CHECK(before > 4 * 3'000'000);
    for (RoomEditor& one : editors) {
        CHECK(one.synced);
        CHECK(one.document() == state_of(w.rooms()));
    }
}

namespace {

/// Counts the calls of diff(), whose cost grows with the length of the document.
struct CountedDocument : YjsDocument {
    explicit CountedDocument(std::size_t& count) : diffs{&count} {}
    [[nodiscard]] Result<Bytes, yjs::UpdateError> diff(BytesView theirs) {
        ++*diffs;
        return YjsDocument::diff(theirs);
    }
    std::size_t* diffs;
};

}  // namespace

TEST_CASE("RoomManager: a reloaded room is compared once, not once per client",
          "[room][room_large][sim]") {
    using Rooms = RoomManager<ScriptedRooms, ListedRights, RoomRecorder, CountedDocument>;
    RoomScript disk;
    RoomRights rights;
    std::vector<std::string> reported;
    std::size_t diffs = 0;
    sim::World world{Seed{1}};
    world.host("server", [&](sim::Host& h) {
        auto rooms =
            std::make_unique<Rooms>(ScriptedRooms{disk, h}, ListedRights{&rights, &h},
                                    RoomOptions{}, RoomRecorder{&reported}, CountedDocument{diffs});
        h.attach(*rooms);
        rooms->start();
        h.listen(1, [r = rooms.get()](sim::Accepted a) {
            RoomRequest request{.room_id = "board", .token = std::string{a.peer()}};
            r->accept(Coded<sim::Accepted>{std::move(a)}, YjsProtocol{}, std::move(request));
        });
        return rooms;
    });
    std::vector<RoomEditor> editors;
    for (std::uint64_t i = 1; i <= 20; ++i)
        editors.emplace_back(world, "editor" + std::to_string(i), i);
    for (RoomEditor& one : editors) one.dial();
    world.run_for(1s);
    REQUIRE(editors.back().synced);
    // The update is stored, although the flush has failed, so no client has received it.
    diffs = 0;
    disk.fail_flushes = 1;
    disk.keeps_failed = true;
    const Bytes kept = editors.front().type("kept");
    world.run_for(1s);
    CHECK(editors.front().closed_with == 1013);
    for (RoomEditor& one : editors) CHECK(one.has(kept));
    CHECK(diffs == 1);
}

TEST_CASE("RoomManager: no change is lost between the parts of an answer",
          "[room][room_large][sim]") {
    CHECK(explored_answers(8, {.client_bytes_max = 200'000}));
}

TEST_CASE(
    "RoomManager: a client that waits for an answer gets it, also when others are slow or leave",
    "[room][room_large][sim]") {
    const RoomOptions options{
        .heartbeat = {500ms, 3s}, .client_bytes_max = 200'000, .answers_bytes_max = 1'500'000};
    CHECK(explored_answers(60, options));
}

TEST_CASE("RoomManager: an answer that is not read counts its bytes, and ends with its client",
          "[room][room_large][sim]") {
    RoomWorld w{Seed{1}, {.answers_bytes_max = 4'000'000}};
    w.world.network().window_bytes(10'000);
    bring_in(w, of_authors(30, 100'000));
    RoomEditor slow{w, "slow", 1};
    RoomEditor bob{w, "bob", 2};
    slow.dial();
    w.run(100ms);
    slow.stall(true);
    w.run(100ms);
    bob.dial();
    w.run(10s);
    CHECK_FALSE(bob.synced);  // the budget has no space for another answer of this size
    w.run(50s);
    CHECK(w.rooms().stats("board")->clients == 1);  // a client that accepts nothing is closed
    w.world.network().window_bytes(10'000'000);
    bob.dial();
    w.run(30s);
    CHECK(bob.synced);
    CHECK(bob.document() == state_of(w.rooms()));
}

TEST_CASE("RoomManager: a client that reads its answer slowly yields to clients that wait",
          "[room][room_large][sim]") {
    RoomWorld w{Seed{1}, {.answers_bytes_max = 4'000'000}};
    w.world.network().window_bytes(100'000);
    bring_in(w, of_authors(30, 100'000));
    RoomEditor slow{w, "slow", 1};
    RoomEditor eve = RoomEditor::addressed(w, "eve", 2);
    RoomEditor bob{w, "bob", 3};
    RoomEditor carol{w, "carol", 4};
    w.requests["carol"] = {.room_id = "small", .token = "carol", .ip = "carol"};
    // Both clients send, read something every 44 s, and dial again when they are closed.
    Duration took{};
    const auto pass = [&](Duration d) {
        for (; d > Duration{}; d -= 1s, took += 1s) {
            for (RoomEditor* const one : {&slow, &eve}) {
                if (took % 44s == 0s) one->stall(false);
                if (took % 20s == 0s) one->show("1");
                if (one->closed_with != 0) one->dial();
            }
            w.run(10ms);
            for (RoomEditor* const one : {&slow, &eve}) one->stall(true);
            w.run(990ms);
        }
    };
    slow.dial();
    pass(2s);
    eve.dial();
    pass(2s);
    bob.dial();
    pass(5s);
    CHECK_FALSE(bob.synced);  // two clients are before bob
    carol.dial();
    pass(1s);
    CHECK(carol.synced);  // a small document does not wait for large ones
    CHECK(w.rooms().counters().rejected == 0);
    pass(105s);
    CHECK(bob.synced);
    CHECK((bob.document() == state_of(w.rooms())));
    CHECK(bob.closed_with == 0);
    CHECK(w.rooms().counters().rejected >= 2);
}

TEST_CASE("RoomManager: a client that reads its answer slowly completes when no client waits",
          "[room][room_large][sim]") {
    // A client that only downloads sends nothing.
    const bool sends = GENERATE(true, false);
    CAPTURE(sends);
    RoomWorld w{Seed{1}, {.client_bytes_max = 64 << 10, .answers_bytes_max = 4'000'000}};
    w.world.network().window_bytes(20'000);
    bring_in(w, of_authors(30, 100'000));
    RoomEditor slow{w, "slow", 1};
    slow.dial();
    w.run(100ms);
    const auto pass = [&](int seconds) {
        for (int i = 0; i < seconds; ++i) {
            slow.stall(false);
            w.run(1ms);
            slow.stall(true);
            if (sends && i % 15 == 0) slow.show("1");
            w.run(2s);
        }
    };
    pass(40);
    CHECK_FALSE(slow.synced);
    CHECK(slow.closed_with == 0);
    slow.stall(false);
    w.run(20s);
    CHECK(slow.synced);
    CHECK(slow.closed_with == 0);
    CHECK((slow.document() == state_of(w.rooms())));
    CHECK(w.rooms().counters().rejected == 0);
}

namespace {

/// Counts the calls of state_vector(), for which the document is merged.
struct AskedDocument : YjsDocument {
    [[nodiscard]] Bytes state_vector() {
        ++asked;
        return YjsDocument::state_vector();
    }
    inline static std::size_t asked = 0;
};
/// A connection that accepts all output.
struct AcceptingTransport {
    using message_type = Bytes;
    struct Connection {
        SendResult send(const Bytes&) noexcept { return SendResult::sent; }
    };
    Connection open(const Link<Bytes>& link) const {
        *says = link;
        static_cast<void>(link.opened());
        return {};
    }
    Link<Bytes>* says;
};

}  // namespace

TEST_CASE("RoomManager: a long update that all clients accept does not merge its document",
          "[room][room_large][unit]") {
    ManualLoop loop;
    RoomManager rooms{MemoryRooms{}, EveryoneEdits{}, RoomOptions{}, NoObserver{}, AskedDocument{}};
    loop.attach(rooms);
    rooms.start();
    Link<Bytes> ada;
    Link<Bytes> bob;
    for (Link<Bytes>* const link : {&ada, &bob}) {
        rooms.accept(AcceptingTransport{link}, YjsProtocol{}, {.room_id = "board"});
    }
    for (int i = 0; i < 5; ++i) loop.poll();
    const std::size_t before = AskedDocument::asked;
    constexpr std::size_t letters = 600'000;  // more than half of client_bytes_max
    for (std::uint64_t i = 0; i < 5; ++i) {
        const Bytes update = typed(7, i * letters, std::string(letters, 'a'));
        static_cast<void>(
            ada.received(YjsProtocol{}.write({part::RoomMessage::Kind::update, update})));
        for (int n = 0; n < 3; ++n) loop.poll();
    }
    CHECK(rooms.counters().updates == 5);
    CHECK(AskedDocument::asked == before);
}

TEST_CASE("RoomManager: an author that overwrites a value of 500 KiB 134 times edits on after that",
          "[room][room_large][sim]") {
    // All values together are longer than a document may be.
    const std::string value(500 * 1024, 'x');
    REQUIRE(134 * value.size() > YjsDocumentOptions{}.bytes_max);
    RoomWorld w;
    RoomEditor alice{w, "alice", 1};
    RoomEditor bob{w, "bob", 2};
    w.dial(alice, bob);
    for (std::uint64_t n = 0; n < 134; ++n) {
        alice.say({RoomEditor::Kind::update, overwrite(n, value)});
        w.run(1s);
    }
    for (std::uint64_t n = 134; n < 144; ++n) {
        alice.say({RoomEditor::Kind::update, overwrite(n, "y")});
        w.run(1s);
    }
    CHECK(alice.online());
    CHECK(alice.denials.empty());
    CHECK(w.rooms().counters().rejected == 0);
    CHECK(w.rooms().counters().updates == 144);
    CHECK(bob.document().size() < 100);
    CHECK(w.rooms().stats("board")->bytes < value.size());
    // A client that joins afterwards receives as little.
    RoomEditor carol{w, "carol", 3};
    w.dial(carol);
    CHECK(carol.document() == bob.document());
}
