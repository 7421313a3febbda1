// SPDX-License-Identifier: MIT
// Goal: a program with a Bridge and devices with a Replica that edit the same elements of one
// server lose no edit, and all are equal when faults end; and a program that changed nothing reports
// only the scenes that it replaces when it restores another one. Method: exploration. Answers are
// lost, and come late or twice; all hosts crash, and their clocks are wrong; the store is restored
// from a backup.
#include <belay/sync/bridge.hpp>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <belay/call/policies.hpp>

#include "support/sync/bridge_rig.hpp"
#include "support/sync/notes_world.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

constexpr std::size_t scene_author = 2;  // the number of the program, after those of the devices

/// The data that remains when the program ends.
struct SceneFile {
    DeletingBoard board{};
    std::map<std::string, Stamp> stamps{};  ///< the latest of each element
    std::map<std::string, std::size_t> removals{};
    bool edits = true;
    /// The scenes that a program without edits has reported, because it is about to replace them.
    std::set<std::string> replaces{};
    /// The last scene of the program that the remote returned, and the scene that this one replaces
    /// although its author had not seen it.
    struct Unaware {
        std::string content;
        std::string replaced;
    };
    std::map<std::string, Unaware> unaware{};
    /// The scenes that were replaced in this way, and that are not reported.
    std::set<std::string> unreported{};
};

/// How the server treats scenes.
struct SceneRules {
    explicit SceneRules(NotesRun& run)
        : compares{run.world.chance("compares scenes", 50)},
          stamps_anew{run.world.chance("stamps scenes anew", 30)} {}

    bool compares;
    bool stamps_anew;
    using Version = std::pair<std::string, Stamp>;
    std::map<Version, std::string> texts{};
    std::set<Version> unaware{};
};

/// The server as the remote side of a bridge: each scene is an element of its store.
class SceneRemote {
public:
    using content_type = std::string;
    using Got = Result<std::optional<Drawing>, Failure>;

    SceneRemote(NotesRun& run, SceneRules& rules, SceneFile& file, sim::Host*& here)
        : run_{run}, rules_{rules}, file_{file}, here_{here} {}

    void fetch(std::string_view session, Completion<Got> done) {
        const auto look = [this, element = std::string{session}](NotesServer&) -> Got {
            const auto found = run_.store.find({"s", element});
            if (found->presence == part::Presence::absent) return std::optional<Drawing>{};
            const bool removed = found->presence == part::Presence::removed;
            const auto text = run_.store.read({"s", element});
            const SceneRules::Version version{element, found->stamp};
            return std::optional{Drawing{text->value_or(""), found->stamp, removed,
                                         run_.saw[version], rules_.unaware.contains(version)}};
        };
        ask(std::move(done), look, [this, element = std::string{session}](const Got& got) {
            note_returned(element, *got);
        });
    }
    void push(std::string_view session, const Drawing& scene, Completion<Failure> done) {
        ask(std::move(done), [this, element = std::string{session}, scene](NotesServer& server) {
            const auto* const edit = run_.edit_of(scene.content);
            const std::size_t number = static_cast<std::size_t>(edit - run_.edits.data());
            Op op{make_id(run_.world.bits()), scene.stamp,
                  UpdateElement<std::string>{element, scene.content, {}}};
            const Failure outcome = apply(server, std::move(op), scene.saw, number, scene.unaware);
            if (outcome.cause == Cause::none) note_replaced(run_.edit_of(scene.content));
            return outcome;
        });
    }
    void remove_scene(std::string_view session, const part::SceneRemoval& removal,
                      Completion<Failure> done) {
        ask(std::move(done), [this, element = std::string{session}, removal](NotesServer& server) {
            Op op{make_id(run_.world.bits()), removal.stamp, RemoveElement{element}};
            // There is no number if another program has deleted the scene, and the server has lost
            // that.
            const auto own = file_.removals.find(element);
            const bool is_own = own != file_.removals.end();
            const auto number = is_own ? std::optional{own->second} : std::nullopt;
            const Failure outcome = apply(server, std::move(op), removal.saw, number);
            if (outcome.cause == Cause::none && is_own) note_replaced(&run_.edits[*number]);
            return outcome;
        });
    }

private:
    [[nodiscard]] bool fails(std::string_view what, std::uint32_t percent) {
        return !run_.world.healed_at() && run_.world.chance(what, percent);
    }
    [[nodiscard]] bool reaches(const sim::Host& from, const sim::Host& to) {
        return to.alive() && !to.paused() && !run_.world.network().partitioned(from, to) &&
               !fails("scene message lost", 8);
    }
    [[nodiscard]] Duration takes() {
        const bool slow = fails("slow", 10);
        return 1ms * static_cast<std::int64_t>(1 + run_.world.choose("takes", slow ? 4000 : 100));
    }
    template <class V, class Answer, class Note = void (*)(const V&)>
    void ask(
        Completion<V> done, Answer answer, Note note = [](const V&) {}) {
        auto to = std::make_shared<std::optional<Completion<V>>>(std::move(done));
        const bool again = fails("scene message repeated", 10);
        for (int i = again ? 0 : 1; i < 2; ++i) {
            run_.world.after(takes(), [this, answer, to, note] {
                silent_.push_back(to);  // a lost message is no failure that the caller notices
                auto* const server = run_.server->process<NotesServer>();
                if (server == nullptr || !reaches(*here_, *run_.server)) return;
                V result = answer(*server);
                run_.world.after(takes(), [this, to, result, note]() mutable {
                    if (!to->has_value() || !reaches(*run_.server, *here_)) return;
                    note(result);
                    auto first = std::exchange(*to, std::nullopt);
                    (*first)(std::move(result));
                });
            });
        }
    }
    /// Makes a change as an operation whose author saw `saw`.
    [[nodiscard]] Failure apply(NotesServer& server, Op op, const std::optional<Stamp>& saw,
                                std::optional<std::size_t> edit, bool unaware = false) {
        const auto there = run_.store.find({"s", op.element()});
        const Stamp before = there->presence == part::Presence::absent ? Stamp{} : there->stamp;
        if (rules_.compares && saw && *saw != before) {
            run_.world.reach("scene changed");
            return Failure::from(SyncErrc::scene_changed);
        }
        op.saw = saw;
        const WallTime now = run_.server->wall_clock().now();
        const bool is_wrong = op.stamp.wall > now || op.stamp.wall < run_.store.horizon();
        if (rules_.stamps_anew || is_wrong || !(before < op.stamp)) {
            // A restored server uses another origin. Otherwise, it could give a lost stamp to
            // another change.
            HybridClock<sim::WallClock> clock{id_of(2000 + run_.store.epoch()),
                                              run_.server->wall_clock()};
            op.stamp = clock.stamp_above(before).value();
        }
        if (edit) run_.ids[op.id] = *edit;
        const SceneRules::Version version{std::string{op.element()}, op.stamp};
        if (edit) rules_.texts[version] = run_.edits[*edit].text;
        if (unaware) rules_.unaware.insert(version);
        const auto replaced = run_.store.read({"s", op.element()});
        const auto result = server.processor().process_batch("s", std::vector<Op>{op});
        if (result.failed_count != 0) return Failure::from(result.failed_operations[0].error);
        if (result.conflict_count != 0) return Failure::from(SyncErrc::scene_changed);
        // These are the replaced scenes of a server that does not compare. If the server gets one
        // more change before the next pull, the bridge cannot report the overwritten scene.
        for (const auto& one : result.overwrote) {
            if (one.replaced.value) note_scene_report(*one.replaced.value);
        }
        const auto now_there = run_.store.read({"s", op.element()});
        const bool is_replaced =
            there->presence != part::Presence::absent && *replaced != *now_there;
        if (!file_.edits && is_replaced) {
            note_pushed_again(op.element(), replaced->value_or(""));
        }
        return {};
    }
    /// Notes that a scene which was pushed again has replaced the scene of the program that is its
    /// base.
    void note_returned(const std::string& element, const std::optional<Drawing>& scene) {
        file_.unaware.erase(element);
        const auto base = file_.board.bases.find(element);
        if (!file_.edits || !scene || !scene->unaware || base == file_.board.bases.end()) return;
        const std::string& replaced = rules_.texts[{element, *scene->saw}];
        const auto* const edit = run_.edit_of(replaced);
        const auto here = file_.board.scenes.find(element);
        const bool is_own = edit != nullptr && edit->device == scene_author &&
                            base->second.made_by == Origin::local &&
                            base->second.stamp == *scene->saw && here != file_.board.scenes.end() &&
                            here->second.content == replaced;
        if (is_own) file_.unaware[element] = {scene->content, replaced};
    }
    /// A program that only reads pushes again the scenes that the store had lost. It reports the
    /// scenes that this replaces, except deletions, which lose nothing.
    void note_pushed_again(std::string_view element, const std::string& replaced) {
        if (!replaced.empty() && !file_.replaces.contains(replaced)) return;
        if (!replaced.empty()) run_.world.reach("scene replaced by a reader");
        for (NotesRun::Edit& edit : run_.edits) {
            const bool is_replaced = edit.element == element && edit.text == replaced;
            edit.reported = edit.reported || is_replaced;
        }
    }
    void note_scene_report(const std::string& text) {
        const auto* const lost = run_.edit_of(text);
        if (lost != nullptr && lost->device == scene_author) run_.note_report(text);
    }
    /// The author of a scene has seen the scenes that it replaces, also those that were never
    /// pushed.
    void note_replaced(const NotesRun::Edit* edit) {
        while (edit != nullptr && edit->saw) {
            run_.replaced_scenes.insert(*edit->saw);
            const auto* const before = run_.edit_of(*edit->saw);
            const bool own = before != nullptr && before->device == scene_author;
            edit = own && edit->device == scene_author ? before : nullptr;
        }
    }

    NotesRun& run_;
    SceneRules& rules_;
    SceneFile& file_;
    sim::Host*& here_;
    std::vector<std::shared_ptr<void>> silent_{};
};

/// A program with a bridge.
struct BridgedProgram {
    SceneFile file{};
    sim::Host* host = nullptr;
    std::optional<SceneRemote> remote{};
};

/// A run, and the programs that join it.
struct JointRun {
    explicit JointRun(sim::World& w) : notes{w} {}

    NotesRun notes;
    std::optional<SceneRules> rules{};
    BridgedProgram program{};  ///< edits
    BridgedProgram reader{};   ///< never edits
    std::string false_report{};
};

[[nodiscard]] BridgeOptions scene_options() {
    return {.pull = {.interval = 3s},
            .outage_wait = {FullJitter{}, Cap{4s}, 500ms},
            .answer_within = 2s,
            .calls_max = 2};
}

/// Edits scenes, and keeps them equal with the server by a bridge.
class SceneEditor {
    struct Watch {
        SceneEditor* program;
        void on_conflict(const BridgeConflict<std::string>& c) { program->on_conflict(c); }
    };
    using Machine =
        Bridge<std::reference_wrapper<DeletingBoard>, std::reference_wrapper<SceneRemote>,
               decltype(policies::bridge()), Watch>;

public:
    SceneEditor(sim::Host& host, JointRun& run)
        : host_{host},
          run_{run.notes},
          file_{run.program.file},
          bridge_{std::ref(file_.board), std::ref(*run.program.remote), policies::bridge(),
                  scene_options(), Watch{this}} {
        const bool is_wrong = host.chance("the clock is wrong", 40);
        host.set_wall_clock(is_wrong ? 1s * (static_cast<int>(host.choose("clock", 14'400)) - 7'200)
                                     : 0s);
        host.attach(bridge_);
        bridge_.start();
        work();
    }
    [[nodiscard]] bool is_connected() const {
        return bridge_.connectivity().kind == Connectivity::Kind::connected;
    }
    void edit(const std::string& element) {
        const auto at = file_.board.scenes.find(element);
        const bool is_there = at != file_.board.scenes.end();
        edit(element, is_there ? std::optional{at->second.content} : std::nullopt,
             is_there ? at->second.stamp : Stamp{});
    }

private:
    void work() {
        host_.after(500ms, [this] { work(); });
        if (run_.world.healed_at()) return;
        const std::string element(1, static_cast<char>('a' + host_.choose("element", 5)));
        if (host_.chance("edits", 30)) edit(element);
        if (host_.chance("removes", 4)) remove(element);
    }
    void edit(const std::string& element, std::optional<std::string> saw, const Stamp& seen) {
        const std::string text = "text " + std::to_string(run_.edits.size());
        Stamp& last = file_.stamps[element];
        last = std::max(last, seen);
        const auto base = file_.board.bases.find(element);
        if (base != file_.board.bases.end()) last = std::max(last, base->second.stamp);
        const WallTime now = std::max(host_.wall_clock().now(), last.wall + Duration{1});
        last = {.wall = now, .counter = 0, .origin = id_of(3000)};
        file_.board.scenes.insert_or_assign(element, Drawing{text, last});
        file_.unaware.erase(element);
        run_.edits.push_back({scene_author, element, text, std::move(saw), true});
        bridge_.changed(element);
    }
    /// A deletion that is undone by a change is no conflict, so nothing reports it.
    void remove(const std::string& element) {
        const auto at = file_.board.scenes.find(element);
        if (at == file_.board.scenes.end()) return;
        run_.world.reach("scene removed");
        file_.removals[element] = run_.edits.size();
        run_.edits.push_back({scene_author, element, {}, at->second.content, true, true});
        file_.board.scenes.erase(at);
        file_.unaware.erase(element);
        bridge_.changed(element);
    }
    void on_conflict(const BridgeConflict<std::string>& c) {
        run_.world.reach(c.open ? "open scene conflict" : "scene conflict");
        for (const std::string& text : {c.local.content, c.remote.content}) {
            const auto* const edit = run_.edit_of(text);
            if (edit != nullptr && edit->device == scene_author) run_.note_report(text);
            file_.unreported.erase(text);
        }
        if (!c.open) return;
        // The user decides, with both scenes in view.
        host_.after(1s, [this, element = std::string{c.session}, remote = Drawing{c.remote}] {
            const auto at = file_.board.scenes.find(element);
            const Stamp here = at != file_.board.scenes.end() ? at->second.stamp : Stamp{};
            if (at != file_.board.scenes.end()) run_.replaced_scenes.insert(at->second.content);
            edit(element, remote.content, std::max(here, remote.stamp));
        });
    }

    sim::Host& host_;
    NotesRun& run_;
    SceneFile& file_;
    Machine bridge_;
};

/// Shows the scenes of the server, and changes nothing. It has a conflict only with a scene that it
/// replaces when it pushes again a scene that the store had lost.
class SceneReader {
    struct Watch {
        JointRun* run;
        void on_conflict(const BridgeConflict<std::string>& c) {
            const bool restores = run->notes.lost_by_store.count(c.local.content) != 0;
            if (!c.open && c.kept == Origin::local && restores) {
                run->reader.file.replaces.insert(c.remote.content);
            } else {
                run->false_report = "here " + c.local.content + ", there " + c.remote.content;
            }
        }
    };
    using Machine =
        Bridge<std::reference_wrapper<DeletingBoard>, std::reference_wrapper<SceneRemote>,
               decltype(policies::bridge()), Watch>;

public:
    SceneReader(sim::Host& host, JointRun& run)
        : bridge_{std::ref(run.reader.file.board), std::ref(*run.reader.remote), policies::bridge(),
                  scene_options(), Watch{&run}} {
        host.attach(bridge_);
        bridge_.start();
    }
    [[nodiscard]] bool is_connected() const {
        return bridge_.connectivity().kind == Connectivity::Kind::connected;
    }

private:
    Machine bridge_;
};

template <class Process>
[[nodiscard]] bool has_scenes(const BridgedProgram& one, const NotesTexts& wanted) {
    const auto* const process = one.host->process<Process>();
    if (process == nullptr || !process->is_connected()) return false;
    NotesTexts scenes;
    for (const auto& [element, scene] : one.file.board.scenes) scenes[element] = scene.content;
    return scenes == wanted;
}
[[nodiscard]] std::string all_in_step(JointRun& run) {
    const std::string devices = run.notes.in_step();
    if (!devices.empty()) return devices;
    const NotesTexts texts = run.notes.store.texts();
    if (!has_scenes<SceneEditor>(run.program, texts)) return "the program has other scenes";
    const bool reads = run.reader.host == nullptr || has_scenes<SceneReader>(run.reader, texts);
    return reads ? "" : "the reader has other scenes";
}

/// Ignores one kind of loss. A bridge cannot detect that the store had a scene of its program, was
/// restored from a backup, and has later versions since.
[[nodiscard]] std::string lost_edit(JointRun& run) {
    for (NotesRun::Edit& edit : run.notes.edits) {
        const bool is_lost =
            edit.device == scene_author && run.notes.lost_by_store.count(edit.text) != 0;
        edit.reported = edit.reported || is_lost;
    }
    return run.notes.lost();
}

bool replicas_and_a_bridge(sim::World& world) {
    JointRun& run = world.make<JointRun>(world);
    NotesRun& notes = run.notes;
    notes.with_program = true;
    notes.copies.resize(2);
    notes.server = &world.host(
        "server", [&notes](sim::Host& h) { return std::make_unique<NotesServer>(h, notes); });
    for (std::size_t i = 0; i < notes.copies.size(); ++i) {
        notes.devices.push_back(&world.host(
            "device " + std::to_string(i),
            [&notes, i](sim::Host& h) { return std::make_unique<NotesDevice>(h, notes, i); }));
    }
    run.rules.emplace(notes);
    run.reader.file.edits = false;
    for (BridgedProgram* const one : {&run.program, &run.reader}) {
        one->file.board.empty = {"a", "b", "c", "d", "e"};
        one->remote.emplace(notes, *run.rules, one->file, one->host);
    }
    run.program.file.board.on_apply = [&run](std::string_view element, Origin) {
        SceneFile& file = run.program.file;
        const auto at = file.unaware.find(std::string{element});
        const Drawing& scene = file.board.scenes.find(element)->second;
        if (at == file.unaware.end() || at->second.content != scene.content) return;
        run.notes.world.reach("scene replaced by an unaware one");
        file.unreported.insert(at->second.replaced);
    };
    run.program.host = &world.host(
        "program", [&run](sim::Host& h) { return std::make_unique<SceneEditor>(h, run); });
    if (world.chance("has a reader", 50)) {
        run.reader.host = &world.host(
            "reader", [&run](sim::Host& h) { return std::make_unique<SceneReader>(h, run); });
    }
    for (const char* const mark :
         {"journal failed", "answer lost", "question late", "crash in a sync", "restored",
          "other store", "conflict", "overwrote", "replaced", "server restored by a device",
          "scene changed", "scene conflict", "open scene conflict", "scene removed"}) {
        world.reachable(mark);
    }
    world.always("a loss is reported", [&notes] { return notes.wrong; });
    world.always("a program that changed nothing reports only what it replaces",
                 [&run] { return run.false_report; });
    world.always("an author gets the report of a scene that was pushed again", [&run] {
        const auto& texts = run.program.file.unreported;
        return texts.empty() ? std::string{} : *texts.begin() + " is not reported";
    });
    damage_store(notes);
    const auto in_step = [&run] { return all_in_step(run).empty(); };
    world.run_for(20s);
    world.heal();
    if (!world.eventually("all are equal, and no edit waits", 120s, in_step)) return false;
    // They may be equal by chance, while a push of an earlier scene is running.
    const auto stays_in_step = [&] {
        world.run_for(10s);
        return world.run_until(in_step, 60s) ? std::string{} : all_in_step(run);
    };
    if (!world.require("all are equal, and no edit waits", stays_in_step())) return false;
    if (!world.require("no edit is silently lost", lost_edit(run))) return false;
    run.program.host->process<SceneEditor>()->edit("a");
    for (sim::Host* const host : notes.devices) host->process<NotesDevice>()->edit();
    if (!world.require("all are equal, and no edit waits", stays_in_step())) return false;
    return world.require("no edit is silently lost", lost_edit(run));
}

[[nodiscard]] sim::ExploreOptions joint_options() {
    return world_options({.kills = 5,
                          .one_way_partitions = 2,
                          .disk_refusals = 2,
                          .disk_errors = 3,
                          .late_disk_errors = 3,
                          .exhaustions = 2,
                          .wall_clocks = 4,
                          .within = 18s,
                          .clock_wrong_max = 20s});
}

}  // namespace

TEST_CASE("Replicas and a program with a Bridge lose no edit on one server, and become equal",
          "[worlds][sync][bridge][sim][property]") {
    auto options = joint_options();
    // 50 seeds, because a world takes longer than the others; or a quarter of BELAY_SEEDS.
    options.seeds = std::max<std::uint64_t>(50, world_seeds() / 4);
    CHECK(explored_as_wanted("sync_bridge", options, replicas_and_a_bridge));
}

TEST_CASE("Replicas and a program with a Bridge lose no edit to a scene that is pushed again",
          "[worlds][sync][bridge][sim]") {
    // One of a thousand worlds has such a scene. Find another seed if this one no longer has it.
    auto options = joint_options();
    options.seed = Seed{1107};
    const auto report = explored_as_wanted("sync_bridge", options, replicas_and_a_bridge);
    CHECK(report);
    CHECK(report.marks.count("scene replaced by an unaware one") == 1);
}
