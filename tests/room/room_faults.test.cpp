// SPDX-License-Identifier: MIT
// Goal: under all faults at once, every change that a client received survives restarts, all
// returning clients converge, and meaningless frames do not affect other clients. Method:
// exploration, and seeded worlds.
#include <belay/room/room_manager.hpp>

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "support/catch.hpp"
#include "support/hex.hpp"
#include "support/room/disk_rooms.hpp"
#include "support/room/room_world.hpp"
#include "support/seeds.hpp"
#include "support/worlds/explored.hpp"
#include "support/yjs/yjs_mutations.hpp"
#include "support/yjs/yjs_vectors.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

RoomOptions small_room_options() {
    RoomOptions options;
    options.client_bytes_max = 400;
    options.unload_after = 1min;
    options.save_after = 2s;
    options.answer_within = 5s;
    options.check_within = 3s;
    return options;
}

/// The faults of processes and of the network between them.
sim::ScenarioOptions faults_around_a_room() {
    return {.swarm = false,
            .kills = 20,
            .pauses = 14,
            .partitions = 20,
            .one_way_partitions = 20,
            .latencies = 14,
            .refusals = 16,
            .drops = 24,
            .half_opens = 30,
            .cuts = 20,
            .within = 12s,  // about as long as a run acts
            .lasts_max = 4s,
            .latency_max = 800ms};
}

/// The callables that throw at times.
struct CallablesThatThrow {
    bool in_documents = false;
    std::vector<const char*> names{};
};

/// Editors of one room, whose server has a storage and an authorizer that fail with their hosts.
/// The storage takes no changes while the host "space" is dead. A check takes longer while the host
/// "authorizer" is frozen.
class RoomUnderFaults {
public:
    explicit RoomUnderFaults(sim::World& world) : w_{world, options()} {
        world.network().window_bytes(300);
        for (std::uint64_t i = 1; i <= 4; ++i) {
            sim::Host& host = world.host("e" + std::to_string(i), [this, i](sim::Host&) {
                return std::make_unique<Tab>(*this, i - 1);
            });
            const std::string_view document{"board\0x", 7};
            editors_.push_back(i % 2 == 0 ? std::make_unique<RoomEditor>(host, i)
                                          : std::make_unique<RoomEditor>(
                                                RoomEditor::addressed(w_, host, i, document)));
        }
        w_.disk.flush_takes = some_ms("a flush takes", world.chance("slow flushes", 50) ? 500 : 20);
        w_.disk.load_takes = some_ms("a load takes", 500);
        w_.disk.save_takes = some_ms("a save takes", 600);
        w_.disk.keeps_failed = world.chance("keeps what failed", 50);
        w_.on_start = [this] {
            w_.disk.saving = 0;
            check_kept();
        };
        w_.disk.host.emplace(world, "storage");
    }
    /// Makes the callables throw in one of several calls.
    void let_throw(const CallablesThatThrow& throws) {
        const std::uint64_t one_in = 2 + below("one call in", 41);
        const auto before = [this, one_in](std::string_view name) {
            if (below(name, one_in) != 0) return;
            w_.world.reach(name);
            throw CallableThrew{};
        };
        for (const char* const name : throws.names) w_.world.reachable(name);
        if (throws.in_documents) {
            w_.document_before = before;
        } else {
            w_.disk.before = w_.rights.before = before;
        }
    }
    /// Runs with all faults, ends the faults, and waits until all clients have all changes.
    bool run() {
        for (int i = 0; i < 45; ++i) {
            act();
            mark_reached();
            if (i % 10 == 9) check_claims();
        }
        end_faults();
        read_too_slowly();
        for (int round = 0; round < 60 && !in_step().empty(); ++round) {
            dial_again(100);
            w_.run(2s);
        }
        check_claims();
        w_.world.sometimes("saved", w_.disk.saving_max != 0);
        if (!w_.world.require("all clients converge 120 s after the faults", in_step()))
            return false;
        w_.world.restart(w_.server);
        return w_.world.require("a room has one save at a time", w_.disk.saving_max <= 1);
    }

private:
    /// A browser tab. The text that was typed in it is there when it is opened again.
    struct Tab {
        Tab(RoomUnderFaults& run, std::size_t number) : editors{&run.editors_}, at{number} {}
        ~Tab() { (*editors)[at]->hang_up(); }
        Tab(const Tab&) = delete;
        Tab& operator=(const Tab&) = delete;
        std::vector<std::unique_ptr<RoomEditor>>* editors;
        std::size_t at;
    };

    [[nodiscard]] static RoomOptions options() {
        RoomOptions options = small_room_options();
        options.unload_after = 2s;
        options.save_after = 300ms;
        options.heartbeat = {1s, 3s};
        return options;
    }
    std::uint64_t below(std::string_view tag, std::uint64_t n) { return w_.world.choose(tag, n); }
    Duration some_ms(std::string_view tag, std::uint64_t most) {
        return std::chrono::milliseconds{below(tag, most + 1)};
    }
    void act() {
        w_.disk.full = !space_.alive();
        w_.rights.drops = !authorizer_.alive();
        w_.rights.takes = authorizer_.paused() ? 4s : 0s;
        RoomEditor& editor = *editors_[below("editor", editors_.size())];
        switch (below("act", 14)) {
            case 0:
                editor.stall(true);
                break;
            case 1:
                editor.stall(false);
                break;
            case 2:
                editor.hang_up();
                break;
            case 3:
                editor.show("{}");
                break;
            case 4:
                w_.run(some_ms("nothing happens for", 6000));
                break;
            case 5:
                w_.disk.lags = {"board"};
                break;
            default:
                if (!editor.online()) dial(editor);
                typed_.push_back(editor.type(std::string(1 + below("length", length_max()), 'x')));
                break;
        }
        w_.run(some_ms("until the next act", 200));
        dial_again(25);
    }
    std::uint64_t length_max() { return w_.world.chance("long", 50) ? 400 : 41; }
    /// A client reads nothing, and sends, so that it is not silent. The faults end most clients
    /// before one is too slow.
    void read_too_slowly() {
        const std::size_t at = below("slow reader", editors_.size());
        RoomEditor& slow = *editors_[at];
        RoomEditor& other = *editors_[(at + 1) % editors_.size()];
        for (int i = 0; i < 8 && !(slow.synced && other.synced); ++i) {
            dial_again(100);
            w_.run(1s);
        }
        slow.stall(true);
        for (int i = 0; i < 24; ++i) {
            slow.show("{}");
            other.show('"' + std::string(150, 'x') + '"');
            w_.run(400ms);
        }
        mark_reached();
        slow.stall(false);
    }
    /// Marks the states that the worlds must reach for the test to pass.
    void mark_reached() {
        if (!w_.server.alive()) return;
        const RoomCounters& counts = w_.rooms().counters();
        const RoomCounters::Reasons& why = counts.reasons;
        w_.world.sometimes("evicted", counts.evictions.of({}) != 0);
        w_.world.sometimes("reloaded", counts.lost_updates != 0 && counts.loads > 1);
        w_.world.sometimes("resynchronized", counts.resyncs != 0);
        w_.world.sometimes("silent", why.of(make_error_code(RoomErrc::client_silent)) != 0);
        w_.world.sometimes("too slow", why.of(make_error_code(RoomErrc::too_slow)) != 0);
    }
    static void dial(RoomEditor& editor) {
        if (editor.host().alive()) editor.dial();
    }
    void dial_again(std::uint32_t percent) {
        for (const auto& e : editors_) {
            if (!e->online() && w_.world.chance("dials", percent)) dial(*e);
        }
    }
    [[nodiscard]] static bool is_of(const Bytes& update, std::size_t editor) {
        return update[2] == static_cast<std::byte>(editor + 1);
    }
    /// Each change that a client has received from another one must be on the disk.
    void check_kept() {
        YjsDocument stored = on_disk();
        for (const Bytes& update : typed_) {
            if (!stored.check(update).value_or(true)) continue;
            for (std::size_t i = 0; i < editors_.size(); ++i) {
                if (!is_of(update, i) && editors_[i]->has(update))
                    w_.world.require("no change that a client has is lost", false);
            }
        }
    }
    /// If a client was notified that all its changes are durable, all of them must be on the disk.
    void check_claims() {
        YjsDocument stored = on_disk();
        for (std::size_t i = 0; i < editors_.size(); i += 2) {
            if (editors_[i]->unsynced != 0) continue;
            w_.world.reach("all changes of a client are confirmed");
            for (const Bytes& update : typed_) {
                if (is_of(update, i) && stored.check(update).value_or(true))
                    w_.world.require("each confirmed change is stored", false);
            }
        }
    }
    YjsDocument on_disk() {
        YjsDocument stored;
        using Found = Result<std::optional<StoredRoom>, PersistenceError>;
        w_.disk.durable.load(
            "board", Completion<Found>{[&](std::optional<Found> found) noexcept {
                if (!found || !found->has_value() || !**found) return;
                for (const auto* part : {&(**found)->snapshot, &(**found)->updates}) {
                    for (const Bytes& u : *part) static_cast<void>(stored.apply(u));
                }
            }});
        static_cast<void>(stored.state_vector());
        return stored;
    }
    void end_faults() {
        w_.rights.drops = w_.disk.full = false;
        w_.rights.takes = {};
        w_.disk.before = w_.rights.before = w_.document_before = {};
        for (const auto& e : editors_) e->stall(false);
        w_.world.heal();
    }
    /// Returns why a client lacks changes, or lacks the confirmation of its own; empty if none
    /// does.
    [[nodiscard]] std::string in_step() {
        for (const auto& e : editors_) {
            const std::string name{e->host().name()};
            if (e->document() != editors_.front()->document()) return name + " differs";
            if (e->unsynced != 0 && e != editors_[1] && e != editors_[3]) return name + " waits";
            for (const Bytes& update : typed_) {
                if (!e->has(update)) return name + " lacks a change";
            }
        }
        return {};
    }

    RoomWorld w_;
    sim::Host& space_ = w_.world.host("space");
    sim::Host& authorizer_ = w_.world.host("authorizer");
    std::vector<std::unique_ptr<RoomEditor>> editors_{};
    std::vector<Bytes> typed_{};
};

/// A client that sends arbitrary frames, and two clients that edit.
struct HostileClients {
    HostileClients(Seed seed, bool addressed)
        : w{seed},
          mallory{addressed ? RoomEditor::addressed(w, "mallory", 3)
                            : RoomEditor{w, "mallory", 3}} {
        mallory.names_others = true;
        w.dial(alice, bob, mallory);
        using MessageKind = part::RoomMessage::Kind;
        const auto add = [&](MessageKind kind, const Bytes& payload) {
            Bytes frame;
            if (addressed) yjs::append_varbytes(frame, as_bytes("board"));
            const Bytes body = YjsProtocol{}.write({kind, payload});
            frame.insert(frame.end(), body.begin(), body.end());
            frames.push_back(std::move(frame));
        };
        for (const auto& vector : yjs_vectors) {
            for (const auto hex : vector.updates) add(MessageKind::update, from_hex(hex));
            add(MessageKind::state, from_hex(vector.merged));
        }
        const Bytes vector{std::byte{1}, std::byte{1}, std::byte{5}};
        for (int i = 0; i < 20; ++i) {
            add(MessageKind::state_vector, vector);
            add(MessageKind::awareness,
                awareness_of(3, static_cast<std::uint64_t>(i), "{\"a\":[1,2]}"));
        }
        add(MessageKind::query_awareness, {});
        const BytesView no = as_bytes("no");
        add(MessageKind::denied, {no.begin(), no.end()});
    }
    [[nodiscard]] const Bytes& any() {
        return frames[uniform_upto(w.world.bits(), frames.size() - 1)];
    }
    void attack() {
        if (!mallory.online()) {
            // A user that was rejected may not connect again for a minute.
            const std::string user = "mallory " + std::to_string(++users);
            mallory.token = user;
            w.requests["mallory"] = {.room_id = "board", .token = user, .ip = user};
            mallory.dial();
            w.run(100ms);
        }
        const Bytes& frame = any();
        mallory.raw(mutated(frame, any(), w.world.bits()));
        w.run(5ms);
    }
    /// Checks that an edit arrives within the time that it may take.
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
        // After a restart, the changes that the server accepted are loaded again.
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
    RoomEditor mallory;
    std::vector<Bytes> frames;
    int users = 0;
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
                  r->accept(Coded<sim::Accepted>{std::move(a)}, YjsProtocol{},
                            {.room_id = "board"});
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
    /// After a loss of power, each change that bob has received must be there, without any client
    /// that sends it again.
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

namespace {

sim::Report explored_under_faults(const CallablesThatThrow& throws = {}) {
    return explored_as_wanted(
        // The share of a mark needs more seeds than the sanitizers get.
        {.seeds = std::max<std::uint64_t>(
             50, std::min(from_environment("BELAY_SEEDS", 2000), histories(1700))),
         .scenario = faults_around_a_room()},
        [throws](sim::World& world) {
            auto& room = world.make<RoomUnderFaults>(world);
            if (!throws.names.empty()) room.let_throw(throws);
            return room.run();
        });
}

}  // namespace

TEST_CASE("RoomManager: under all faults no visible change is lost, and all clients converge",
          "[room][room_faults][sim]") {
    const sim::Report report = explored_under_faults();
    CHECK(report);
    CHECK(report.marks.at("saved") + report.seeds_run / 100 + 1 >= report.seeds_run);
    CHECK(2 * report.marks.at("too slow") > report.seeds_run);
}

TEST_CASE("RoomManager: if its callables throw at any time, no change is lost, and all converge",
          "[room][room_faults][sim]") {
    CHECK(explored_under_faults({.names = {"load", "append", "flush", "save", "check",
                                           "on_rejected", "on_room_event", "on_room_failed"}}));
}

TEST_CASE("RoomManager reports a persistence that throws in a call without an error",
          "[room][room_faults][fault]") {
    RoomWorld w;
    RoomEditor alice{w, "alice", 1};
    w.dial(alice);
    w.disk.before = [](std::string_view name) {
        if (name == "rooms_to_save") throw CallableThrew{};
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
    const auto call = GENERATE(as<std::string>{}, "load", "reset", "append", "flush", "save",
                               "rooms_to_save", "erase");
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
    CHECK(explored_under_faults({.in_documents = true,
                                 .names = {"document.check", "document.apply", "document.snapshot",
                                           "document.state_vector", "document.diff"}}));
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
            // The server has run before, so there are records to load, and records to release.
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
    const bool addressed = GENERATE(false, true);
    CAPTURE(addressed);
    constexpr int frames_each = 200;
    int output = 0;
    std::uint64_t refused = 0;
    std::uint64_t taken = 0;
    for_each_seed(
        [&](Seed seed) {
            HostileClients h{seed, addressed};
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
    // Frames were rejected and frames were accepted. Alice sends an update after 20 frames.
    CHECK(refused > static_cast<std::uint64_t>(output) / 20);
    CHECK(refused < static_cast<std::uint64_t>(output) * 9 / 10);
    CHECK(taken >
          static_cast<std::uint64_t>(output) / 20 + static_cast<std::uint64_t>(output) / 100);
}
