// SPDX-License-Identifier: MIT
// Goal: servers that share a storage lose no edit that a client has seen, and are equal again after
// the faults end. Method: exploration. Servers and clients crash and freeze; the storage is slow,
// or cannot be reached, or carries out calls without an answer. In a second world it loses data,
// and servers restore it.
#include <algorithm>
#include <array>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <belay/room/room_manager.hpp>

#include "support/room/room_world.hpp"
#include "support/worlds/explored.hpp"
#include "support/worlds/late_rooms.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

struct RoomsRun;

/// The observer of one server.
struct ServerRecorder : RoomRecorder {
    RoomsRun* run = nullptr;
    int number = 0;
    void on_room_event(const RoomEvent& e) const;
    void on_room_failed(const RoomFailure& f);
};
using LateServerRooms = RoomManager<LateRooms, ListedRights, ServerRecorder>;

class RoomClientProcess;

/// The data that remains when a process ends, and the observations of the test.
struct RoomsRun {
    explicit RoomsRun(sim::World& w, bool storage_loses)
        : world{w}, late{w}, loses{storage_loses} {}

    [[nodiscard]] bool stored(YjsDocument& into) {
        const auto found = late.store.rooms.find("board");
        if (found == late.store.rooms.end()) return false;
        for (const Bytes& update : found->second.snapshot) static_cast<void>(into.apply(update));
        for (const auto& entry : found->second.entries) static_cast<void>(into.apply(entry.update));
        return true;
    }
    [[nodiscard]] std::string in_step();
    /// Notes which edits a server has shown, and whether the storage has them.
    void look();
    /// Removes the edits that neither the storage nor a server has. A server that is evicting the
    /// room does not count.
    void forgive(const sim::Host* evicting = nullptr);
    void watch();
    [[nodiscard]] std::string lost();

    struct Edit {
        Bytes update;
        bool shown = false;
        bool forgiven = false;
    };
    sim::World& world;
    LateStore late;
    const bool loses;
    Instant typed_until = never;  ///< by clients, while there are faults
    RoomOptions options{};
    RoomRights rights{};
    std::vector<std::string> reported{};
    std::vector<sim::Host*> servers{};
    std::vector<sim::Host*> clients{};
    std::vector<Edit> edits{};
    std::string wrong{};
};

/// A browser tab. It dials a server, types, and loses its document when it ends.
class RoomClientProcess {
public:
    RoomClientProcess(sim::Host& host, RoomsRun& run, std::uint64_t number)
        : editor{host, number + 100 * host.starts()}, run_{run}, host_{host} {
        work();
    }
    RoomEditor editor;

    void type() { run_.edits.push_back({editor.type("x")}); }

private:
    void work() {
        host_.after(400ms, [this] { work(); });
        if (editor.closed_with == 4409) run_.wrong = "a history was ended, though nobody ended it";
        if (!editor.online()) {
            if (!host_.chance("dials", 60)) return;
            editor.dials = "server " + std::to_string(host_.choose("server", run_.servers.size()));
            return editor.dial();
        }
        if (run_.world.healed_at()) return;
        if (host_.now() < run_.typed_until && host_.chance("types", 25)) type();
        if (host_.chance("leaves", 4)) editor.hang_up();
        if (host_.chance("ends", 3)) run_.world.restart(host_);
    }

    RoomsRun& run_;
    sim::Host& host_;
};

YjsDocument of_parts(const std::vector<Bytes>& parts) {
    YjsDocument document;
    for (const Bytes& part : parts) static_cast<void>(document.apply(part));
    return document;
}
std::string text_of(YjsDocument& document) {
    const auto parts = document.snapshot();
    return parts.empty() ? std::string{} : std::string{as_text(parts.front())};
}

std::string RoomsRun::in_step() {
    std::vector<std::pair<std::string, std::string>> copies;
    YjsDocument all;
    static_cast<void>(stored(all));
    copies.emplace_back("the storage", text_of(all));
    for (sim::Host* const host : servers) {
        auto* const rooms = host->process<LateServerRooms>();
        if (rooms == nullptr) return std::string{host->name()} + " is dead";
        const auto parts = rooms->get_state("board");
        if (!parts) continue;
        YjsDocument document = of_parts({parts->begin(), parts->end()});
        copies.emplace_back(host->name(), text_of(document));
    }
    for (sim::Host* const host : clients) {
        RoomEditor& editor = host->process<RoomClientProcess>()->editor;
        if (!editor.online() || !editor.synced) return std::string{host->name()} + " is offline";
        const Bytes document = editor.document();
        YjsDocument copy = of_parts({document});
        copies.emplace_back(host->name(), text_of(copy));
    }
    return sim::converged(copies);
}

void RoomsRun::look() {
    std::vector<YjsDocument> shown;
    for (sim::Host* const host : servers) {
        auto* const rooms = host->process<LateServerRooms>();
        const auto parts = rooms == nullptr ? std::nullopt : rooms->get_state("board");
        if (!parts) continue;
        shown.push_back(of_parts({parts->begin(), parts->end()}));
        static_cast<void>(shown.back().state_vector());
    }
    for (Edit& edit : edits) {
        for (YjsDocument& document : shown) {
            edit.shown = edit.shown || !document.check(edit.update).value_or(true);
        }
    }
    if (!loses && wrong.empty()) wrong = lost();
}
void RoomsRun::forgive(const sim::Host* evicting) {
    std::vector<YjsDocument> kept(1);
    static_cast<void>(stored(kept.front()));
    for (sim::Host* const host : servers) {
        auto* const rooms = host->process<LateServerRooms>();
        if (rooms == nullptr || host == evicting) continue;
        const auto parts = rooms->get_state("board");
        if (parts) kept.push_back(of_parts({parts->begin(), parts->end()}));
    }
    for (YjsDocument& document : kept) static_cast<void>(document.state_vector());
    for (Edit& edit : edits) {
        const bool gone = std::all_of(kept.begin(), kept.end(), [&](YjsDocument& document) {
            return document.check(edit.update).value_or(true);
        });
        edit.forgiven = edit.forgiven || (edit.shown && gone);
    }
}
void ServerRecorder::on_room_event(const RoomEvent& e) const {
    // A server that has not noticed a loss of the storage may evict the last copy of an edit.
    const bool evicts = e.kind == RoomEvent::Kind::unloaded;
    if (evicts && run->late.unnoticed(number))
        run->forgive(run->servers[static_cast<std::size_t>(number)]);
}
void ServerRecorder::on_room_failed(const RoomFailure& f) {
    if (f.error.code == RoomErrc::no_answer) run->world.reach("no answer in time");
    RoomRecorder::on_room_failed(f);
}
void RoomsRun::watch() {
    look();
    world.after(1s, [this] { watch(); });
}
std::string RoomsRun::lost() {
    YjsDocument all;
    static_cast<void>(stored(all));
    static_cast<void>(all.state_vector());
    for (std::size_t i = 0; i < edits.size(); ++i) {
        if (edits[i].shown && !edits[i].forgiven && all.check(edits[i].update).value_or(true))
            return "edit " + std::to_string(i) + " of " + std::to_string(edits.size()) +
                   " was shown, and is not stored";
    }
    return {};
}

/// Makes the storage lose data with the faults of the host "redis". If an operation of its disk
/// fails, it restarts with an empty one. If it cannot be reached, a copy that lacks the last
/// seconds replaces it.
class LosingRedis {
public:
    explicit LosingRedis(RoomsRun& run) : run_{run}, host_{run.world, "redis"} { work(); }

private:
    using Reach = StorageHost::Reach;

    void work() {
        if (run_.world.healed_at()) return;
        run_.world.after(250ms, [this] { work(); });
        const bool away = host_.reach(*run_.servers.front()) != Reach::works;
        if (host_.store_change() == StorageHost::Change::unanswered) {
            lose_all();
        } else if (std::exchange(away_, away) && !away) {
            lose_the_last_seconds();
        }
        if (++count_ % 6 == 0) older_ = std::exchange(newer_, run_.late.store.rooms);
    }
    void lose_all() {
        run_.look();
        run_.late.note_loss();
        run_.world.reach("all is lost");
        run_.late.store.wipe();
        run_.forgive();
    }
    void lose_the_last_seconds() {
        run_.look();
        run_.late.note_loss();
        run_.world.reach("the last seconds are lost");
        run_.late.store.rooms = older_;
        run_.forgive();
        // The storage has restarted, so each server connects again.
        for (int n = 0; n < static_cast<int>(run_.servers.size()); ++n) run_.late.break_off(n);
    }

    RoomsRun& run_;
    StorageHost host_;
    bool away_ = false;
    int count_ = 0;
    decltype(SharedStore::rooms) newer_{};
    decltype(SharedStore::rooms) older_{};
};

bool rooms_share_a_storage(sim::World& world, bool loses) {
    RoomsRun& run = world.make<RoomsRun>(world, loses);
    run.options.save_after = 1s;
    run.options.answer_within = 3s;
    const bool evicts = world.chance("evicts", 50);
    if (evicts) {
        run.options.unload_after = 4s;
    }
    const bool quiet = world.chance("nobody types at last", 50);
    if (quiet) {
        const std::chrono::milliseconds lasts{world.choose("nobody types for", 9000)};
        run.typed_until = after(world.now(), 20s - lasts);
    }
    run.late.store.batch = 1 + world.choose("batch", 16);
    const int count = 2 + static_cast<int>(world.choose("servers", 2));
    run.late.serve(count);
    for (int n = 0; n < count; ++n) {
        run.servers.push_back(&world.host("server " + std::to_string(n), [&run, n](sim::Host& h) {
            auto rooms = std::make_unique<LateServerRooms>(
                LateRooms{run.late, h, n}, ListedRights{&run.rights, &h}, run.options,
                ServerRecorder{{&run.reported}, &run, n});
            h.attach(*rooms);
            rooms->start();
            h.listen(1, [r = rooms.get()](sim::Accepted a) {
                const std::string who{a.peer()};
                r->accept(Coded<sim::Accepted>{std::move(a)}, YjsProtocol{},
                          {.room_id = "board", .token = who, .ip = who});
            });
            return rooms;
        }));
    }
    for (std::uint64_t n = 0; n < 4; ++n) {
        run.clients.push_back(&world.host("client " + std::to_string(n), [&run, n](sim::Host& h) {
            return std::make_unique<RoomClientProcess>(h, run, n + 1);
        }));
    }
    for (const char* const mark : {"a lost history begins again", "a flush without an answer",
                                   "no answer in time", "the storage is unanswered"})
        world.reachable(mark);
    if (loses) {
        for (const char* const mark : {"all is lost", "the last seconds are lost"})
            world.reachable(mark);
    }
    world.always("no edit that was shown is lost", [&run] { return run.wrong; });
    run.watch();
    if (loses) world.make<LosingRedis>(run);
    world.run_for(20s);
    // A change that only a client has does not count.
    for (sim::Host* const client : run.clients) world.restart(*client);
    world.heal();
    if (!world.run_until([&] { return run.in_step().empty(); }, 120s)) {
        return world.require("all are in step 120 s after the faults", run.in_step());
    }
    if (!world.require("no edit that was shown is lost", run.lost())) return false;
    if (quiet && !evicts) {
        // A later edit would hide that no server saves for an earlier one. No other server saves
        // for one that was killed.
        if (!world.run_until([&run] { return run.late.owed() == 0; }, 90s))
            return world.require("a snapshot covers all edits",
                                 std::to_string(run.late.owed()) + " of their servers");
    }
    for (sim::Host* const client : run.clients) client->process<RoomClientProcess>()->type();
    const std::size_t last = run.edits.size() - 1;
    if (!world.run_until([&] { return run.in_step().empty() && run.edits[last].shown; }, 20s))
        return world.require("edits are stored and shown", run.in_step() + " after 20 s");
    // A server that evicted the room leaves its last edits to the next save.
    if (evicts) return true;
    const auto& entries = run.late.store.rooms["board"].entries;
    if (world.run_until([&] { return entries.empty(); }, 90s)) return true;
    return world.require("a snapshot covers all edits",
                         std::to_string(entries.size()) + " entries, the first at " +
                             std::to_string(entries.front().position));
}

/// Explores half of the worlds with all classes of faults, and half with some classes.
void explore_rooms(std::string_view name, sim::ScenarioOptions faults, bool loses) {
    for (const bool swarm : {false, true}) {
        faults.swarm = swarm;
        REQUIRE(explored_as_wanted(
            name, {.seeds = world_seeds() / 2, .scenario = faults},
            [loses](sim::World& world) { return rooms_share_a_storage(world, loses); }));
    }
}

}  // namespace

TEST_CASE("Rooms of several servers lose no shown edit under kills, pauses and slow links",
          "[worlds][room][sim][property]") {
    explore_rooms("rooms",
                  {.kills = 8,
                   .pauses = 32,
                   .one_way_partitions = 12,
                   .bandwidths = 2,
                   .black_holes = 10,
                   .early_closes = 2,
                   .disk_refusals = 4,
                   .disk_errors = 24,
                   .late_disk_errors = 24,
                   .exhaustions = 2,
                   .within = 18s,
                   .lasts_max = 9s,
                   .number_max = 16},
                  false);
}
TEST_CASE("Servers restore what the storage of their rooms has lost",
          "[worlds][room][sim][property]") {
    // A server that is killed may have the last copy.
    explore_rooms("rooms_restored",
                  {.kills = 0,
                   .pauses = 32,
                   .one_way_partitions = 12,
                   .bandwidths = 2,
                   .black_holes = 14,
                   .early_closes = 2,
                   .disk_errors = 24,
                   .late_disk_errors = 24,
                   .exhaustions = 2,
                   .within = 18s,
                   .lasts_max = 9s,
                   .number_max = 16},
                  true);
}
