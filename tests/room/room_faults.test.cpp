// SPDX-License-Identifier: MIT
// Goal: under all faults at once, every change that a client received survives restarts, all
// returning clients converge, and meaningless frames do not affect other clients. Method: seeded
// worlds.
#include <belay/room/room_manager.hpp>

#include <map>
#include <string>

#include "support/catch.hpp"
#include "support/hex.hpp"
#include "support/room/disk_rooms.hpp"
#include "support/room/room_world.hpp"
#include "support/seeds.hpp"
#include "support/yjs/yjs_mutations.hpp"
#include "support/yjs/yjs_vectors.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

RoomOptions small_room_options() {
    RoomOptions options;
    options.client_bytes_max = 400;
    options.piece_bytes_max = 1024;
    options.unload_after = 1min;
    options.sweep_every = 20s;
    options.save_after = 2s;
    options.save_within = 5s;
    options.answer_within = 5s;
    options.check_within = 3s;
    return options;
}

/// Everything that can go wrong, by chance.
struct Chaos {
    explicit Chaos(Seed seed) : w{seed, small_room_options()} {
        w.world.network().window_bytes(600);
        for (std::uint64_t i = 1; i <= 4; ++i) {
            const std::string name = "e" + std::to_string(i);
            editors.push_back(i % 2 == 0 ? std::make_unique<RoomEditor>(w, name, i)
                                         : std::make_unique<RoomEditor>(RoomEditor::addressed(
                                               w, name, i, std::string_view{"board\0x", 7})));
        }
        w.disk.flush_takes = std::chrono::milliseconds(draw(1) == 0 ? draw(20) : draw(500));
        w.disk.load_takes = std::chrono::milliseconds(draw(500));
        w.disk.save_takes = std::chrono::milliseconds(draw(3000));
        w.disk.keeps_failed = draw(1) == 0;
        if (draw(2) == 0) w.world.network().cut_one_in(50);
    }
    std::uint64_t draw(std::uint64_t most) { return uniform_upto(w.world.bits(), most); }

    void one() {
        RoomEditor& editor = *editors[draw(editors.size() - 1)];
        switch (draw(29)) {
            case 20:
                w.world.network().half_open(editor.host(), w.server);
                break;
            case 21:
                w.world.network().half_open(w.server, editor.host());
                break;
            case 22:
                w.world.network().refuse(w.server);
                break;
            case 23:
                w.world.network().accept(w.server);
                break;
            case 24:
                w.world.pause(w.server);
                w.run(std::chrono::milliseconds(draw(8000)));
                w.world.resume(w.server);
                break;
            case 25:
                w.world.network().latency(0ms, std::chrono::milliseconds(1 + draw(800)));
                break;
            case 26:
                w.disk.hang_loads += static_cast<int>(draw(1));
                break;
            case 27:
                w.rights.drops = !w.rights.drops;
                break;
            case 28:
                w.rights.takes = std::chrono::milliseconds(draw(4000));
                break;
            case 0:
                w.disk.fail_flushes += static_cast<int>(draw(2));
                break;
            case 1:
                w.disk.fail_saves += static_cast<int>(draw(3));
                break;
            case 2:
                w.disk.fail_loads += static_cast<int>(draw(1));
                break;
            case 3:
                w.disk.full = !w.disk.full;
                break;
            case 4:
                crash();
                break;
            case 5:
                w.world.network().partition(w.server, editor.host());
                break;
            case 6:
                w.world.network().heal_all();
                break;
            case 7:
                w.world.network().drop_connections(w.server, editor.host());
                break;
            case 8:
                editor.stall(true);
                break;
            case 9:
                editor.stall(false);
                break;
            case 10:
                editor.hang_up();
                break;
            case 11:
                editor.show("{}");
                break;
            case 12:
                w.run(std::chrono::seconds(draw(90)));
                break;
            default:
                if (!editor.online()) editor.dial();
                typed_by_all.push_back(editor.type(std::string(1 + draw(40), 'x')));
                break;
        }
        w.run(std::chrono::milliseconds(draw(200)));
        if (++steps % 10 == 0) check_claims();
        for (const auto& e : editors) {
            if (!e->online() && draw(3) == 0) e->dial();
        }
    }
    /// What any client has must be on the disk, or have been written by itself.
    void crash() {
        observed_before_crash = observed();
        w.disk.saving = 0;
        w.world.restart(w.server);
        check_kept();
    }
    /// What each has of the others.
    std::vector<Bytes> observed() {
        std::vector<Bytes> all;
        for (std::size_t i = 0; i < editors.size(); ++i) {
            for (const Bytes& update : typed_by_all) {
                if (update[2] != static_cast<std::byte>(i + 1) && editors[i]->has(update))
                    all.push_back(update);
            }
        }
        return all;
    }
    /// Who was told that all of theirs is durable was told the truth.
    void check_claims() {
        YjsDocument stored = on_disk();
        for (std::size_t i = 0; i < editors.size(); i += 2) {
            if (editors[i]->unsynced != 0) continue;
            ++claims;
            for (const Bytes& update : typed_by_all) {
                if (update[2] == static_cast<std::byte>(i + 1) &&
                    stored.check(update).value_or(true))
                    ++false_successes;
            }
        }
    }
    YjsDocument on_disk() {
        YjsDocument stored;
        w.disk.durable.load(
            "board", Completion<Result<std::optional<StoredRoom>, PersistenceError>>{
                         [&](std::optional<Result<std::optional<StoredRoom>, PersistenceError>>
                                 found) noexcept {
                             if (!found || !found->has_value() || !**found) return;
                             for (const auto* part : {&(**found)->snapshot, &(**found)->updates}) {
                                 for (const Bytes& u : *part) static_cast<void>(stored.apply(u));
                             }
                         }});
        static_cast<void>(stored.state_vector());
        return stored;
    }
    void check_kept() {
        YjsDocument stored = on_disk();
        for (const Bytes& update : observed_before_crash)
            if (stored.check(update).value_or(true)) ++lost;
    }
    void stop_faults() {
        w.world.network().heal_all();
        w.world.network().cut_one_in(0);
        w.world.network().accept(w.server);
        w.world.network().latency(1ms, 5ms);
        w.rights.drops = false;
        w.rights.takes = {};
        w.disk.fail_flushes = w.disk.fail_saves = w.disk.fail_loads = w.disk.hang_loads = 0;
        w.disk.full = false;
        w.disk.before = w.rights.before = w.document_before = {};
        for (int round = 0; round < 60; ++round) {
            for (const auto& e : editors) {
                e->stall(false);
                if (!e->online()) e->dial();
            }
            w.run(2s);
        }
    }

    RoomWorld w;
    std::vector<std::unique_ptr<RoomEditor>> editors;
    std::vector<Bytes> typed_by_all;
    std::vector<Bytes> observed_before_crash;
    int lost = 0;
    int steps = 0;
    int claims = 0;
    int false_successes = 0;
};

/// Who sends anything, beside two who work.
struct HostileClients {
    explicit HostileClients(Seed seed) : w{seed} {
        w.dial(alice, bob, mallory);
        using MessageKind = part::RoomMessage::Kind;
        const YjsProtocol protocol;
        for (const auto& vector : yjs_vectors) {
            for (const auto hex : vector.updates)
                frames.push_back(protocol.write({MessageKind::update, from_hex(hex)}));
            frames.push_back(protocol.write({MessageKind::state, from_hex(vector.merged)}));
        }
        const Bytes vector{std::byte{1}, std::byte{1}, std::byte{5}};
        for (int i = 0; i < 20; ++i) {
            frames.push_back(protocol.write({MessageKind::state_vector, vector}));
            frames.push_back(
                protocol.write({MessageKind::awareness,
                                awareness_of(3, static_cast<std::uint64_t>(i), "{\"a\":[1,2]}")}));
        }
        frames.push_back(protocol.write({MessageKind::query_awareness, {}}));
        frames.push_back(protocol.write({MessageKind::denied, as_bytes("no")}));
    }
    [[nodiscard]] const Bytes& any() {
        return frames[uniform_upto(w.world.bits(), frames.size() - 1)];
    }
    void attack() {
        if (!mallory.online()) {
            mallory.dial();
            w.run(100ms);
        }
        const Bytes& frame = any();
        mallory.raw(mutated(frame, any(), w.world.bits()));
        w.run(5ms);
    }
    /// An edit, within the time that it may take.
    void check_served() {
        const Bytes update = alice.type("x");
        w.run(200ms);
        REQUIRE(bob.has(update));
        REQUIRE((alice.online() && bob.online()));
    }
    void check_end() {
        w.run(3s);
        CHECK(alice.document() == bob.document());
        CHECK(alice.closed_with + bob.closed_with == 0);
        // What was taken of it can be loaded again.
        w.world.restart(w.server);
        alice.dial();
        bob.dial();
        w.run(1s);
        CHECK(alice.synced);
        CHECK(alice.document() == bob.document());
    }

    RoomWorld w;
    RoomEditor alice{w, "alice", 1};
    RoomEditor bob{w, "bob", 2};
    RoomEditor mallory{w, "mallory", 3};
    std::vector<Bytes> frames;
};

/// A server over a log on its disk, which may lose its power.
struct LoggedServer {
    using Rooms = RoomManager<JournalRoomsOnDisk, EveryoneEdits>;

    explicit LoggedServer(Seed seed)
        : world{seed}, server{world.host("server", [this](sim::Host& h) {
              auto opened = open_rooms(h.disk(), {.log_bytes_max = 8192}, ++starts);
              REQUIRE(opened);
              auto rooms = std::make_unique<Rooms>(std::move(*opened), EveryoneEdits{},
                                                   small_room_options());
              h.attach(*rooms);
              rooms->start();
              h.listen(1, [r = rooms.get()](sim::Accepted a) {
                  r->accept(Coded<sim::Accepted>{std::move(a)}, YjsProtocol{}, {.board = "board"});
              });
              return rooms;
          })} {}

    void edits(std::uint64_t count, Duration between_max) {
        alice.dial();
        bob.dial();
        for (std::uint64_t i = 0; i < count; ++i) {
            by_alice.push_back(alice.type(std::string(1 + i, 'x')));
            const auto most = static_cast<std::uint64_t>(between_max / 1ms);
            world.run_for(std::chrono::milliseconds(uniform_upto(world.bits(), most)));
        }
    }
    /// After the server's power has failed, what bob has seen must be there, though nobody says it
    /// again.
    void check_kept() {
        std::vector<Bytes> observed;
        for (const Bytes& update : by_alice) {
            if (bob.has(update)) observed.push_back(update);
        }
        alice.hang_up();
        bob.hang_up();
        world.restart(server);
        RoomEditor reader{world, "reader" + std::to_string(starts), 3};
        reader.dial();
        world.run_for(2s);
        CHECK(reader.synced);
        for (const Bytes& update : observed) CHECK(reader.has(update));
    }

    std::uint64_t starts = 0;
    std::vector<Bytes> by_alice{};
    sim::World world;
    sim::Host& server;
    RoomEditor alice{world, "alice", 1};
    RoomEditor bob{world, "bob", 2};
};

}  // namespace

TEST_CASE("RoomManager: under all faults no visible change is lost, and all clients converge",
          "[room][room_faults][sim]") {
    std::uint64_t played = 0;
    std::uint64_t saved = 0;
    for_each_seed([&](Seed seed) {
        Chaos chaos{seed};
        for (int i = 0; i < 150; ++i) chaos.one();
        chaos.stop_faults();
        CHECK(chaos.lost == 0);
        chaos.check_claims();
        CHECK(chaos.claims != 0);
        CHECK(chaos.false_successes == 0);
        for (const auto& e : chaos.editors) {
            CHECK(e->document() == chaos.editors.front()->document());
            for (const Bytes& update : chaos.typed_by_all) CHECK(e->has(update));
        }
        CHECK(chaos.editors[0]->unsynced + chaos.editors[2]->unsynced == 0);
        chaos.crash();
        CHECK(chaos.lost == 0);
        // One save of a room at a time.
        CHECK(chaos.w.disk.saving_max <= 1);
        ++played;
        saved += chaos.w.disk.saving_max != 0 ? 1U : 0U;
    });
    CHECK(saved + played / 100 + 1 >= played);
}

namespace {

using ThrownCounts = std::map<std::string, int, std::less<>>;

/// Plays all faults while the user's callables throw, in documents or elsewhere.
ThrownCounts play_with_callables_that_throw(Seed seed, bool in_documents) {
    ThrownCounts thrown;
    Chaos chaos{seed};
    const std::uint64_t one_in = 2 + chaos.draw(40);
    Random bits{seed};
    auto& before = in_documents ? chaos.w.document_before : chaos.w.disk.before;
    before = [&](std::string_view name) {
        if (uniform_upto(bits, one_in - 1) != 0) return;
        ++thrown[std::string{name}];
        throw CallableThrew{};
    };
    if (!in_documents) chaos.w.rights.before = before;
    for (int i = 0; i < 150; ++i) chaos.one();
    chaos.stop_faults();
    CHECK(chaos.lost == 0);
    chaos.check_claims();
    CHECK(chaos.false_successes == 0);
    for (const auto& e : chaos.editors) {
        CHECK(e->document() == chaos.editors.front()->document());
        for (const Bytes& update : chaos.typed_by_all) CHECK(e->has(update));
    }
    chaos.crash();
    CHECK(chaos.lost == 0);
    return thrown;
}
void check_callables_that_throw(bool in_documents, std::initializer_list<const char*> names) {
    ThrownCounts thrown;
    for_each_seed([&](Seed seed) {
        for (const auto& [name, count] : play_with_callables_that_throw(seed, in_documents))
            thrown[name] += count;
    });
    for (const char* name : names) {
        CAPTURE(name);
        CHECK(thrown[name] > 0);
    }
}

}  // namespace

TEST_CASE("RoomManager: if its callables throw at any time, no change is lost, and all converge",
          "[room][room_faults][sim]") {
    check_callables_that_throw(false, {"load", "append", "flush", "save", "check", "on_rejected",
                                       "on_room_event", "on_room_failed"});
}

TEST_CASE("RoomManager reports a persistence that throws in a call without an error",
          "[room][room_faults][fault]") {
    RoomWorld w;
    RoomEditor alice{w, "alice", 1};
    w.dial(alice);
    w.disk.before = [](std::string_view name) {
        if (name == "lagging") throw CallableThrew{};
    };
    alice.type("x");
    w.run(1s);
    CHECK(w.thrown == 0);
    CHECK(alice.online());
    CHECK(w.rooms().counters().storage_failures > 0);
    REQUIRE_FALSE(w.reported.empty());
    CHECK(w.reported.back() == "failed : the persistence threw an exception");
}

TEST_CASE("RoomManager reports the text of an exception of its persistence",
          "[room][room_faults][fault]") {
    const auto call =
        GENERATE(as<std::string>{}, "load", "reset", "append", "flush", "save", "lagging", "erase");
    CAPTURE(call);
    RoomWorld w;
    std::optional<PersistenceError> exported;
    w.disk.before = [&](std::string_view name) {
        if (name == call) throw CallableThrew{};
    };
    using Exported = Result<std::optional<StoredRoom>, PersistenceError>;
    w.rooms().export_room("board", Completion<Exported>{[&](std::optional<Exported> r) noexcept {
                              if (r && !*r) exported = r->error();
                          }});
    w.run(1s);
    REQUIRE(w.rooms().get_or_create_room("board"));
    w.run(1s);
    static_cast<void>(w.rooms().apply_update("board", typed(1, 0, "x")));
    w.run(10s);
    if (call == "erase")
        w.rooms().erase(
            "board", Completion<PersistenceError>{[](std::optional<PersistenceError>) noexcept {}});
    w.run(1s);
    const std::vector<PersistenceError>& failures = w.rooms().observer().failures;
    REQUIRE_FALSE(failures.empty());
    CHECK(failures.front().what.ends_with(CallableThrew{}.what()));
    CHECK(w.thrown == 0);
    CHECK(exported.has_value() == (call == "load"));
    if (exported) CHECK(exported->what == CallableThrew{}.what());
}

TEST_CASE("RoomManager: if its document throws at any time, no change is lost, and all converge",
          "[room][room_faults][sim]") {
    check_callables_that_throw(true, {"document.check", "document.apply", "document.snapshot",
                                      "document.state_vector", "document.diff"});
}

TEST_CASE("RoomManager over a log: visible changes survive each loss of power",
          "[room][room_faults][sim]") {
    for_each_seed(
        [](Seed seed) {
            LoggedServer s{seed};
            for (int incarnation = 0; incarnation < 10; ++incarnation) {
                s.edits(1 + uniform_upto(s.world.bits(), 30), 400ms);
                s.check_kept();
            }
        },
        200);
}

TEST_CASE("RoomManager over a log: visible changes survive a loss of power at any write",
          "[room][room_faults][sim]") {
    for_each_seed(
        [](Seed seed) {
            constexpr std::uint64_t edits = 25;
            // The second life of a room: there is something to load, and to be given up.
            const auto second_incarnation = [&](std::uint64_t halt) {
                LoggedServer s{seed};
                s.edits(edits, 300ms);
                s.world.run_for(10s);
                sim::Disk& disk = s.server.disk();
                const std::uint64_t before = disk.operations();
                if (halt != 0) disk.halt_at(before + halt);
                s.edits(edits, 300ms);
                s.world.run_for(10s);
                const std::uint64_t operations = disk.operations() - before;
                s.check_kept();
                return operations;
            };
            const std::uint64_t operations = second_incarnation(0);
            REQUIRE(operations > edits);
            for (std::uint64_t halt = 1; halt <= operations; ++halt) {
                INFO("operation " << halt << " of " << operations);
                second_incarnation(halt);
            }
        },
        10);
}

TEST_CASE(
    "RoomManager: 20,000 mutated frames cause no crash or hang, and do not affect other clients",
    "[room][room_faults][sim]") {
    constexpr int frames_each = 200;
    int output = 0;
    std::uint64_t refused = 0;
    std::uint64_t taken = 0;
    for_each_seed(
        [&](Seed seed) {
            HostileClients h{seed};
            for (int i = 0; i < frames_each; ++i) {
                h.attack();
                if (i % 20 == 19) h.check_served();
            }
            output += frames_each;
            refused += h.w.rooms().counters().rejected;
            taken += h.w.rooms().counters().updates;
            h.check_end();
        },
        100);
    // Both happen, or nothing was tested.
    CHECK(refused > static_cast<std::uint64_t>(output) / 20);
    CHECK(taken > static_cast<std::uint64_t>(output) / 20);
}
