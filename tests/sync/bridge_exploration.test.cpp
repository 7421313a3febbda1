// SPDX-License-Identifier: MIT
// Goal: two bridges on one server come into step after every sequence of edits, rounds, crashes and
// lost answers, and no edit is lost without a report. Method: sim::exhaust over what a bridge keeps
// of a session and what it decides, with an owner that carries the decisions out as BridgeEngine.
#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <belay/sim/exhaust.hpp>
#include <belay/sync/detail/scene_reconciliation.hpp>

#include "support/catch.hpp"
#include "support/seeds.hpp"
#include "support/sim/left_out.hpp"

using namespace belay;
using namespace belay_test;

namespace bridge_exploration {

using detail::SceneDecision;
using detail::SceneMark;
using detail::SceneMemory;
using detail::SceneSides;
using Move = SceneDecision::Move;

/// A scene: its content is the set of the edits that it contains.
struct Scene {
    unsigned edits = 0;
    Stamp stamp{};
    std::optional<Stamp> saw{};

    [[nodiscard]] SceneMark mark() const { return {stamp, edits + 100U, false}; }
};
using MaybeScene = std::optional<Scene>;

Stamp stamp_of(std::int64_t time, std::size_t author) {
    return {.wall = WallTime{Duration{time}}, .origin = {static_cast<std::byte>(author + 1)}};
}
std::int64_t time_of(const Stamp& stamp) { return stamp.wall.time_since_epoch().count(); }

/// A program with one session, as far as BridgeEngine handles it.
struct Program {
    // What a crash leaves.
    MaybeScene local{};
    std::optional<SceneMark> stored{};
    // What it does not leave.
    SceneMemory memory{};
    bool recalled = false;
    bool is_new = false;
    bool edited = false;
    bool reported = false;
    MaybeScene pushing{};  // a push is under way
    bool must_merge = false;
    Scene merges{};
};

struct BridgeModel {
    // How the server treats a push.
    enum class Kind { compares, keeps_later, takes_all };

    Kind kind = Kind::compares;
    int crashes = 1;
    int lost_answers = 1;
    int restores = 0;
    unsigned edits_max = 2;
    std::array<Program, 2> programs{};
    MaybeScene server{};
    MaybeScene previous{};  // a backup
    MaybeScene late{};      // a push whose answer nobody waits for
    unsigned made = 0;
    unsigned reports = 0;  // the edits in reports
    FieldNames left_out{};
    bool leaves_memory_out = false;

    void step(sim::Choice& c) {
        const std::size_t event =
            c.choose({"round", "push arrives", "merge", "edit", "crash", "answer is lost",
                      "push is late", "late push arrives", "server is restored"});
        if (event == 8) {
            c.unfair();
            if (restores == 0) return c.impossible();
            --restores;
            server = previous;
            return check(c);
        }
        if (event == 7) {
            c.unfair();
            if (!late) return c.impossible();
            static_cast<void>(take(*std::exchange(late, {})));
            return check(c);
        }
        const std::size_t i = c.choose("program", programs.size());
        Program& p = programs[i];
        switch (event) {
            case 0:
                if (p.pushing) return c.impossible();
                round(c, p);
                break;
            case 1:
                if (!p.pushing) return c.impossible();
                settle(p, take(*p.pushing));
                break;
            case 2:
                if (!p.must_merge) return c.impossible();
                merge(p, i);
                break;
            case 3:
                c.unfair();
                if (made == edits_max) return c.impossible();
                edit(c, p, i);
                break;
            case 4:
                c.unfair();
                if (crashes == 0) return c.impossible();
                --crashes;
                if (p.pushing && !late) late = p.pushing;
                p = Program{.local = p.local, .stored = p.stored};
                break;
            default:
                c.unfair();
                if (!p.pushing || lost_answers == 0 || (event == 6 && late)) return c.impossible();
                --lost_answers;
                if (event == 5) static_cast<void>(take(*p.pushing));
                if (event == 6) late = p.pushing;
                p.pushing.reset();
                p.edited = true;
                break;
        }
        check(c);
    }

    // ---- a program -----------------------------------------------------------------------------

    void edit(sim::Choice& c, Program& p, std::size_t i) {
        Scene scene = p.local.value_or(Scene{});
        scene.edits |= 1U << made++;
        // As a HybridClock that has seen what was applied; the other clock may be ahead.
        const std::int64_t ahead = c.choose({"clock is right", "clock is ahead"}) == 1 ? 4 : 1;
        scene.stamp = stamp_of(time_of(scene.stamp) + ahead, i);
        p.local = scene;
        p.edited = p.reported = true;
    }
    void merge(Program& p, std::size_t i) {
        p.must_merge = false;
        const std::int64_t time = std::max(time_of(p.local->stamp), time_of(p.merges.stamp)) + 1;
        p.local = Scene{p.local->edits | p.merges.edits, stamp_of(time, i), {}};
        p.edited = p.reported = true;
    }

    // ---- the server ----------------------------------------------------------------------------

    /// Returns whether it accepts the push.
    [[nodiscard]] bool take(const Scene& pushed) {
        const Stamp here = server ? server->stamp : Stamp{};
        if (kind == Kind::compares && pushed.saw && *pushed.saw != here) return false;
        if (kind == Kind::keeps_later && server && pushed.stamp < here) return true;
        previous = std::exchange(server, pushed);
        return true;
    }

    // ---- as BridgeEngine -----------------------------------------------------------------------

    void round(sim::Choice& c, Program& p) {
        if (!p.recalled) {
            p.recalled = true;
            if (p.stored) {
                p.memory.recover(*p.stored);
            } else {
                p.is_new = true;
            }
        }
        SceneMemory& memory = p.memory;
        if (server && memory.base() && !memory.recovered() && !p.edited &&
            server->mark().hash == memory.base()->hash) {
            memory.in_step(server->mark());
            return finish(p);
        }
        if (server && p.reported && p.local && memory.open &&
            memory.open->is_decided(p.local->mark(), server->mark())) {
            memory.rebase(server->mark());
            memory.open.reset();
        }
        SceneSides sides{.base = memory.base(),
                         .edited = p.reported,
                         .recovered = memory.recovered(),
                         .is_new = p.is_new && !memory.base()};
        if (p.local) {
            sides.local = p.local->mark();
            sides.local_saw = p.local->saw;
        }
        if (server) {
            sides.remote = server->mark();
            sides.sent = memory.sent.has(server->mark().hash);
            sides.remote_saw = server->saw;
            sides.shows = memory.shows(server->mark(), server->saw);
        }
        carry_out(c, p, sides);
    }
    void carry_out(sim::Choice& c, Program& p, const SceneSides& sides) {
        const SceneDecision decision = detail::reconcile_scenes(sides);
        c.result(decision.move);
        c.result(decision.conflict);
        c.result(sides.shows);
        if (decision.conflict && decision.move != Move::leave) report(p);
        if (decision.move == Move::apply) {
            p.edited = p.reported = false;
            if (p.local) p.memory.replaced_here(p.local->mark().hash);
            p.local = server;
            p.local->saw.reset();
            p.memory.in_step(*sides.remote);
            return finish(p);
        }
        if (decision.move == Move::leave) {
            const SceneMemory::Open open{sides.local->hash, sides.remote->hash};
            p.edited = p.reported = false;
            if (p.memory.open != open) {
                p.memory.open = open;
                report(p);
                p.must_merge = true;
                p.merges = *server;
            }
            return finish(p);
        }
        if (decision.rebase) p.memory.rebase(*sides.remote);
        if (decision.move == Move::push) {
            if (sides.shows == SceneMemory::Shows::undone && p.memory.count_undone() != 0) return;
            p.memory.sending_over(sides.remote);
            p.edited = false;
            p.pushing = p.local;
            p.pushing->saw = server ? server->stamp : Stamp{};
            return p.memory.sent.add(p.local->mark().hash);
        }
        p.edited = p.reported = false;
        if (decision.rebase) p.memory.in_step(*sides.remote);
        finish(p);
    }
    void settle(Program& p, bool accepted) {
        const Scene pushed = *std::exchange(p.pushing, {});
        if (!accepted) return static_cast<void>(p.edited = true);
        p.memory.pushed(pushed.mark());
        p.reported = p.edited;
        finish(p);
    }
    static void finish(Program& p) {
        if (!p.memory.unstored()) return;
        p.stored = p.memory.base();
        p.memory.set_stored();
    }
    void report(const Program& p) { reports |= p.local->edits | server->edits; }

    // ---- what must hold ------------------------------------------------------------------------

    void check(sim::Choice& c) const {
        unsigned kept = server ? server->edits : 0;
        for (const Program& p : programs) {
            if (p.local) kept |= p.local->edits;
            if (p.must_merge) c.reach("open conflict");
        }
        if (reports != 0) c.reach("conflict");
        // The others may overwrite an edit that the author of the push had not seen.
        if (kind != Kind::compares) return;
        c.require((kept | reports) == (1U << made) - 1, "an edit is kept or reported");
        if (server && settled()) {
            c.require((server->edits | reports) == (1U << made) - 1,
                      "in step, an edit is kept or reported");
        }
    }
    /// Returns whether both programs and the server have one scene, and nothing is under way.
    [[nodiscard]] bool settled() const {
        if (!server) return made == 0;
        for (const Program& p : programs) {
            if (p.pushing || p.must_merge || !p.local || p.local->edits != server->edits) {
                return false;
            }
        }
        return true;
    }
    void digest(sim::Digest& d) const {
        NamedFields fields{d, left_out};
        each_field(fields);
    }
    void each_field(NamedFields& f) const {
        const auto scene = [&](std::string_view part, const MaybeScene& s) {
            f(part, "is there", s.has_value());
            if (!s) return;
            f(part, "edits", s->edits);
            f(part, "time", time_of(s->stamp));
            f(part, "author", s->stamp.origin[0]);
            f(part, "saw", s->saw ? time_of(*s->saw) : -1);
            f(part, "saw of", s->saw ? static_cast<int>(s->saw->origin[0]) : -1);
        };
        for (const Program& p : programs) {
            if (!leaves_memory_out) p.memory.each_field([&](auto value) { f("memory", value); });
            scene("local", p.local);
            scene("pushing", p.pushing);
            const bool known = p.stored == p.memory.base();
            f("stored", "is known", p.stored.has_value() + 2 * known);
            if (p.stored && !known) {
                f("stored", "hash", p.stored->hash);
                f("stored", "time", time_of(p.stored->stamp));
                f("stored", "author", p.stored->stamp.origin[0]);
            }
            f("recalled", p.recalled);
            f("is new", p.is_new);
            f("edited", p.edited);
            f("reported", p.reported);
            f("must merge", p.must_merge);
            if (p.must_merge) scene("merges", p.merges);
        }
        scene("server", server);
        scene("late", late);
        if (restores != 0) scene("previous", previous);
        f("restores", restores);
        f("crashes", crashes);
        f("lost answers", lost_answers);
        f("made", made);
        f("reports", reports);
    }
};

/// Two programs that start with the scene that both sides last had.
BridgeModel in_step(BridgeModel model) {
    model.server = model.previous = Scene{0, stamp_of(1, 1), {}};
    for (Program& p : model.programs) {
        p.local = model.server;
        p.stored = model.server->mark();
    }
    return model;
}
/// Explores to a depth, or to BELAY_DEPTH.
sim::ExhaustReport explored(BridgeModel model, std::uint32_t depth) {
    depth = static_cast<std::uint32_t>(from_environment("BELAY_DEPTH", depth));
    model.edits_max = static_cast<unsigned>(from_environment("BELAY_EDITS", model.edits_max));
    return sim::exhaust({.depth = depth, .liveness = sim::Liveness::fair_schedule}, model);
}

TEST_CASE("bridges on a server that compares lose no edit in any sequence of steps",
          "[sync][bridge][exploration][sim]") {
    for (const BridgeModel& model : {BridgeModel{}, in_step(BridgeModel{})}) {
        const sim::ExhaustReport report = explored(model, 60);
        CHECK(report);
        CHECK(report.complete);
        CHECK(report.marks.contains("open conflict"));
    }
}

TEST_CASE("bridges on a server that is restored come into step after any sequence of steps",
          "[sync][bridge][exploration][sim]") {
    using Kind = BridgeModel::Kind;
    for (const Kind kind : {Kind::keeps_later, Kind::takes_all}) {
        CHECK(explored(BridgeModel{.kind = kind, .restores = 1}, 6));
    }
}

TEST_CASE("bridges: a digest without what a session keeps is detected",
          "[sync][bridge][exploration][sim]") {
    const auto is_detected = [](const BridgeModel& without, std::uint32_t depth,
                                std::uint32_t again) {
        BridgeModel model = without;
        model.kind = BridgeModel::Kind::takes_all;
        model.restores = 1;
        return finds_difference(sim::exhaust(
            {.depth = depth, .recheck_percent = 100, .recheck_max = again, .print = false}, model));
    };
    CHECK_FALSE(is_detected({}, 4, 5));
    // Alone, most of its fields follow from the others in sequences as short as these.
    CHECK(is_detected({.leaves_memory_out = true}, 7, 30));
    struct Field {
        std::string_view name;
        std::uint32_t depth;
    };
    for (const auto& [name, depth] : {Field{"local.edits", 3}, Field{"local.time", 2},
                                      Field{"late.time", 5}, Field{"crashes", 2}}) {
        INFO(name);
        CHECK(is_detected({.left_out = {&name, 1}}, depth, 5));
    }
}

}  // namespace bridge_exploration
