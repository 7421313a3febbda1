// SPDX-License-Identifier: MIT
// Goal: two programs, each with a Bridge to one server, end with equal scenes, and lose no edit of
// a session that one of them writes, although their clocks are wrong. Method: exploration. Programs
// crash and freeze; the server fails, hangs and loses answers; files cannot be written or read.
#include <array>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <belay/call/policies.hpp>
#include <belay/sync/bridge.hpp>

#include "support/sync/bridge_rig.hpp"
#include "support/worlds/explored.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

/// A FileBoard whose file sometimes cannot be written or read.
struct FileBoard : DeletingBoard {
    enum class File { works, full, locked };

    belay::Result<std::optional<Drawing>> read(std::string_view session) {
        if (file == File::locked) return refused(std::errc::permission_denied);
        return DeletingBoard::read(session);
    }
    std::error_code apply(std::string_view session, const Drawing& scene, Origin origin) {
        if (file != File::works) return refused(std::errc::no_space_on_device);
        return DeletingBoard::apply(session, scene, origin);
    }
    std::error_code remove_scene(std::string_view session, Origin origin) {
        if (file != File::works) return refused(std::errc::no_space_on_device);
        return DeletingBoard::remove_scene(session, origin);
    }
    belay::Result<std::optional<part::SceneBase>> stored_base(std::string_view session) {
        if (file == File::locked) return refused(std::errc::permission_denied);
        return DeletingBoard::stored_base(session);
    }
    std::error_code store_base(std::string_view session, const part::SceneBase& base) {
        if (file != File::works) return refused(std::errc::no_space_on_device);
        return DeletingBoard::store_base(session, base);
    }
    std::error_code refused(std::errc why) {
        ++refusals;
        return std::make_error_code(why);
    }

    File file = File::works;
    std::size_t refusals = 0;
    std::size_t reported = 0;  ///< errors of this run and of the earlier ones
};

/// The data that remains when a program ends, and the observations of the test.
struct SceneWorld {
    explicit SceneWorld(sim::World& w) : world{w} {}

    sim::World& world;
    DeletingServer server{};
    std::array<FileBoard, 2> boards{};
    std::array<std::map<std::string, Stamp>, 2> stamps{};  ///< the latest of each program
    Drawings written{};                                    ///< the last edit of each session
    std::size_t made = 0;
    std::vector<std::string> edits{};  ///< the text that each edit adds to the shared session
    std::string reported{};            ///< the contents of all conflicts
    std::string deleted{};             ///< the contents of the shared scene when it was deleted
    std::string wrong{};
    std::string uninformed{};
};

/// Edits a session of its own, and a session that both programs edit.
class SceneProgram {
    struct Watch {
        SceneProgram* program;
        void on_state(const Connectivity& view) {
            if (view.kind == Connectivity::Kind::reconnecting) {
                program->run_.world.reach("reconnecting");
            }
        }
        void on_conflict(const BridgeConflict<std::string>& c) { program->on_conflict(c); }
        void on_error(const BridgeError& error) {
            const bool is_local =
                error.failure.cause != Cause::none &&
                (error.step == BridgeError::Step::read || error.step == BridgeError::Step::apply ||
                 error.step == BridgeError::Step::base);
            if (is_local) ++program->board().reported;
        }
    };
    using Machine =
        Bridge<std::reference_wrapper<FileBoard>, std::reference_wrapper<DeletingServer>,
               decltype(policies::bridge()), Watch>;

public:
    SceneProgram(sim::Host& host, SceneWorld& run, std::size_t which)
        : host_{host},
          run_{run},
          which_{which},
          bridge_{std::ref(run.boards[which]),
                  std::ref(run.server),
                  policies::bridge(),
                  {.pull = {.interval = 5s},
                   .outage_wait = {FullJitter{}, Cap{4s}, 500ms},
                   .answer_within = 2s,
                   .calls_max = 2},
                  Watch{this}} {
        board().reported = board().refusals;  // an earlier run of this program reported the others
        host.attach(bridge_);
        bridge_.start();
        work();
    }
    /// Returns whether each refusal of the file was reported, in the turn in which it happened.
    [[nodiscard]] bool is_informed() { return board().reported == board().refusals; }
    [[nodiscard]] bool is_connected() const {
        return bridge_.connectivity().kind == Connectivity::Kind::connected;
    }
    /// Makes the bridge compare all sessions, although no scene has changed.
    void compare_all() {
        for (const char* const session : {"a", "b", "c"}) bridge_.changed(session);
    }

private:
    [[nodiscard]] FileBoard& board() { return run_.boards[which_]; }
    void work() {
        host_.after(1s, [this] { work(); });
        if (!is_informed()) run_.uninformed = "a refusal of the file was not reported";
        if (board().file != FileBoard::File::works) return;  // an edit could not be stored either
        if (run_.world.healed_at()) return;
        if (host_.chance("own", 50)) edit(which_ == 0 ? "a" : "b");
        if (host_.chance("shared", 20)) edit("c");
        if (host_.chance("delete own", 5)) remove(which_ == 0 ? "a" : "b");
        if (host_.chance("delete shared", 20)) remove("c");
    }
    void on_conflict(const BridgeConflict<std::string>& c) {
        if (c.session != "c") run_.wrong = "a conflict of a session that has one writer";
        run_.reported += c.local.content + c.remote.content;
        run_.world.reach(c.open ? "open conflict" : "conflict");
        if (!c.open) return;
        // The user merges both.
        host_.after(1s, [this, session = std::string{c.session}, remote = Drawing{c.remote}] {
            Drawing& scene = board().scenes[session];
            scene.stamp = std::max(scene.stamp, remote.stamp);
            scene.content += remote.content;
            edit(session);
        });
    }
    void remove(const std::string& session) {
        FileBoard& board = run_.boards[which_];
        const auto at = board.scenes.find(session);
        if (at == board.scenes.end()) return;
        run_.world.reach("deletion");
        if (session == "c") run_.deleted += at->second.content;
        board.scenes.erase(at);
        run_.written.erase(session);
        bridge_.changed(session);
    }
    void edit(const std::string& session) {
        FileBoard& board = run_.boards[which_];
        Drawing& scene = board.scenes[session];
        // The stamp is later than all that were applied, removals included, as that of a
        // HybridClock.
        const auto base = board.bases.find(session);
        Stamp& last = run_.stamps[which_][session];
        last = std::max(last, scene.stamp);
        if (base != board.bases.end()) last = std::max(last, base->second.stamp);
        const WallTime now = std::max(host_.wall_clock().now(), last.wall + Duration{1});
        // The content differs from all others, because a scene with the content of the base is no
        // edit.
        const std::string added = ";" + std::to_string(++run_.made) + ";";
        scene.content += added;
        if (session == "c") run_.edits.push_back(added);
        scene.stamp = {.wall = now, .counter = 0, .origin = {static_cast<std::byte>(1 + which_)}};
        last = scene.stamp;
        run_.written[session] = scene;
        bridge_.changed(session);
    }

    sim::Host& host_;
    SceneWorld& run_;
    const std::size_t which_;
    Machine bridge_;
};

void misbehave(SceneWorld& run) {
    using Behaviour = Server::Behaviour;
    constexpr Behaviour all[] = {Behaviour::works, Behaviour::works,   Behaviour::fails,
                                 Behaviour::hangs, Behaviour::forgets, Behaviour::drops};
    const bool healed = run.world.healed_at().has_value();
    run.server.behaviour = healed ? Behaviour::works : all[run.world.choose("server", 6)];
    run.server.failure = {.cause = run.world.chance("busy", 50) ? Cause::overloaded : Cause::lost};
    if (!healed) run.world.after(2s, [&run] { misbehave(run); });
}

/// Lets the file of a program be full or locked for some seconds, until faults end.
void spoil_file(SceneWorld& run, std::size_t which) {
    using File = FileBoard::File;
    constexpr File all[] = {File::works, File::works, File::full, File::locked};
    const bool healed = run.world.healed_at().has_value();
    const File next = healed ? File::works : all[run.world.choose("file", 4)];
    run.boards[which].file = next;
    if (next == File::full) run.world.reach("file full");
    if (next == File::locked) run.world.reach("file locked");
    if (!healed) run.world.after(3s, [&run, which] { spoil_file(run, which); });
}

[[nodiscard]] std::string in_step(const SceneWorld& run) {
    std::vector<std::pair<std::string, std::string>> copies;
    const auto add = [&](const std::string& name, const Drawings& scenes) {
        std::string all;
        for (const auto& [session, scene] : scenes) {
            if (!scene.removed) all += session + "=" + scene.content + ";";
        }
        copies.emplace_back(name, all);
    };
    add("the server", run.server.scenes);
    add("program 0", run.boards[0].scenes);
    add("program 1", run.boards[1].scenes);
    return sim::converged(copies);
}

bool bridges_to_one_server(sim::World& world) {
    SceneWorld& run = world.make<SceneWorld>(world);
    sim::Host& there = world.host("there");
    run.server.network = &there;
    run.server.compares = world.chance("compares", 50);
    run.server.latency = [&world] {
        return std::chrono::milliseconds{1 + static_cast<std::int64_t>(world.choose("takes", 300))};
    };
    std::vector<sim::Host*> programs;
    for (std::size_t i = 0; i < 2; ++i) {
        for (const char* const session : {"a", "b", "c"}) {
            run.boards[i].empty.emplace_back(session);
        }
        programs.push_back(&world.host("program " + std::to_string(i), [&run, i](sim::Host& h) {
            return std::make_unique<SceneProgram>(h, run, i);
        }));
        programs[i]->set_wall_clock(1min * static_cast<int>(world.choose("wrong by", 100)));
    }
    for (const char* const mark :
         {"conflict", "open conflict", "reconnecting", "deletion", "file full", "file locked"}) {
        world.reachable(mark);
    }
    const bool spoils = world.chance("spoils files", 60);
    world.always("one writer has no conflict", [&run] { return run.wrong; });
    world.always("a file that cannot be written is reported", [&run] { return run.uninformed; });
    misbehave(run);
    for (std::size_t i = 0; spoils && i < 2; ++i) spoil_file(run, i);
    world.run_for(20s);
    world.heal();
    misbehave(run);
    for (std::size_t i = 0; i < 2; ++i) spoil_file(run, i);
    const auto all_connected = [&] {
        for (sim::Host* const program : programs) {
            const auto* const process = program->process<SceneProgram>();
            if (process == nullptr || !process->is_connected()) return false;
        }
        return true;
    };
    if (!world.eventually("both programs and the server are in step", 60s,
                          [&] { return all_connected() && in_step(run).empty(); })) {
        return false;
    }
    // They may be equal by chance, while a push of an earlier scene is running.
    world.run_for(10s);
    if (!world.require("both programs and the server are in step", in_step(run))) return false;
    for (const char* const own : {"a", "b"}) {
        // After a lost answer and a crash, the scene may be kept instead of its deletion.
        const auto last = run.written.find(own);
        if (last != run.written.end() &&
            !world.require("no edit of one writer is lost",
                           run.server.scenes[own].content == last->second.content)) {
            return false;
        }
    }
    for (const std::string& edit : run.edits) {
        const std::string& kept = run.server.scenes["c"].content;
        if (run.server.compares &&
            !world.require("an edit is kept, or reported",
                           (kept + run.reported + run.deleted).find(edit) != std::string::npos)) {
            return false;
        }
    }
    const std::size_t pushes = run.server.pushes.size();
    for (sim::Host* const program : programs) program->process<SceneProgram>()->compare_all();
    world.run_for(60s);
    return world.require("what is in step is not pushed", run.server.pushes.size() == pushes);
}

}  // namespace

TEST_CASE("Bridges of two programs with wrong clocks agree with their server in the end",
          "[worlds][bridge][sim][property]") {
    const auto options = world_options({.kills = 4,
                                        .pauses = 4,
                                        .bandwidths = 2,
                                        .early_closes = 2,
                                        .wall_clocks = 3,
                                        .within = 18s,
                                        .spared = {"there"}});
    CHECK(explored_as_wanted("bridge", options, bridges_to_one_server));
}
