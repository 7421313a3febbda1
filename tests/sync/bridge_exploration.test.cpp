// SPDX-License-Identifier: MIT
// Goal: two bridges on one server become equal after every sequence of edits, rounds, crashes and
// lost answers, and no edit is lost without a report. Method: sim::exhaust over the state that a
// bridge keeps of a session and its decisions, with an owner that carries the decisions out as
// BridgeEngine.
#include <algorithm>
#include <array>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

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

/// A program with one session, and the part of BridgeEngine that handles it.
struct Program {
    // These remain after a crash.
    MaybeScene local{};
    std::optional<SceneMark> stored{};
    // These are lost in a crash.
    SceneMemory memory{};
    bool recalled = false;
    bool is_new = false;
    bool edited = false;
    bool reported = false;
    MaybeScene pushing{};  // the scene of a running push
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
    MaybeScene late{};      // a push whose caller does not wait for its answer any more
    unsigned made = 0;
    unsigned reports = 0;  // the edits that reports contain
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
        // The stamp is later than all that were applied, as that of a HybridClock. The other clock
        // may be ahead.
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
            sides.base_to_remote = memory.compare(server->mark(), server->saw);
            sides.stays = memory.has_replaced(server->mark());
        }
        carry_out(c, p, sides);
    }
    void carry_out(sim::Choice& c, Program& p, const SceneSides& sides) {
        const SceneDecision decision = detail::reconcile_scenes(sides);
        c.result(decision.move);
        c.result(decision.conflict);
        c.result(sides.base_to_remote);
        if (decision.conflict && decision.move != Move::leave) report(p);
        if (decision.move == Move::apply) {
            p.edited = p.reported = false;
            if (p.local) p.memory.replaced_here(p.local->mark().hash);
            p.local = server;
            p.local->saw.reset();
            p.memory.pulled(*sides.remote);
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
        const bool is_push = decision.move == Move::push;
        if (decision.rebase && is_push) p.memory.rebase(*sides.remote);
        if (is_push) {
            if (sides.base_to_remote == detail::Relation::mine_newer &&
                p.memory.count_undone() != 0)
                return;
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
        // The other kinds of servers may overwrite an edit that the author of the push had not
        // seen.
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
                const auto& by = p.stored->made_by;
                f("stored", "made by", by ? 1 + static_cast<int>(*by) : 0);
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

/// Returns the number of names that the fields of the digest have.
std::size_t names_of_fields() {
    BridgeModel model = in_step(BridgeModel{.restores = 1});
    Program& program = model.programs[0];
    program.pushing = model.late = model.server;
    program.must_merge = true;
    program.merges = *model.server;
    ++program.stored->hash;
    std::set<std::string> names;
    sim::Digest digest;
    NamedFields fields{digest, {}, &names};
    model.each_field(fields);
    return names.size();
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

TEST_CASE("bridges on a restored server agree with it after any sequence of steps",
          "[sync][bridge][exploration][sim]") {
    using Kind = BridgeModel::Kind;
    for (const Kind kind : {Kind::keeps_later, Kind::takes_all}) {
        CHECK(explored(BridgeModel{.kind = kind, .restores = 1}, 6));
    }
}

TEST_CASE("bridges: a digest without the memory of a session is detected",
          "[sync][bridge][exploration][sim]") {
    const auto explored_without = [](const BridgeModel& without, std::uint32_t depth,
                                     std::uint32_t again) {
        BridgeModel model = without;
        model.kind = BridgeModel::Kind::takes_all;
        model.restores = 1;
        return sim::exhaust(
            {.depth = depth, .recheck_percent = 100, .recheck_max = again, .print = false}, model);
    };
    // The fields that the others imply here. A digest without all of them has as many states.
    const std::vector<std::string_view> implied{"edited",
                                                "late.author",
                                                "late.edits",
                                                "late.is there",
                                                "late.saw",
                                                "late.saw of",
                                                "local.author",
                                                "local.is there",
                                                "local.saw",
                                                "local.saw of",
                                                "made",
                                                "merges.author",
                                                "merges.edits",
                                                "merges.is there",
                                                "merges.saw",
                                                "merges.saw of",
                                                "merges.time",
                                                "must merge",
                                                "previous.author",
                                                "previous.edits",
                                                "previous.is there",
                                                "previous.saw",
                                                "previous.saw of",
                                                "previous.time",
                                                "pushing.author",
                                                "pushing.edits",
                                                "pushing.is there",
                                                "pushing.saw",
                                                "pushing.saw of",
                                                "recalled",
                                                "reports",
                                                "server.author",
                                                "server.edits",
                                                "server.is there",
                                                "server.saw",
                                                "stored.author",
                                                "stored.hash",
                                                "stored.made by",
                                                "stored.time"};
    const sim::ExhaustReport whole = explored_without({}, 4, 5);
    const sim::ExhaustReport without_implied = explored_without({.left_out = implied}, 4, 5);
    CHECK(whole);
    CHECK(without_implied);
    CHECK(whole.states == without_implied.states);

    // Some are detected only by sequences that take minutes without optimization: with
    // BELAY_DEPTH=7, all are explored.
    struct Field {
        std::string_view name;
        std::uint32_t depth;
    };
    const std::vector<Field> fields{
        {"crashes", 2},         {"local.time", 2},   {"restores", 2},      {"local.edits", 3},
        {"late.time", 4},       {"pushing.time", 4}, {"server.saw of", 4}, {"server.time", 5},
        {"stored.is known", 5}, {"lost answers", 6}, {"memory", 6},        {"reported", 6},
        {"is new", 7}};
    CHECK(names_of_fields() == implied.size() + fields.size());
    const std::uint64_t deepest = from_environment("BELAY_DEPTH", 3);
    for (const auto& [name, depth] : fields) {
        if (depth > deepest) continue;
        INFO(name);
        std::vector<std::string_view> left_out = implied;
        left_out.push_back(name);
        CHECK(finds_difference(explored_without({.left_out = left_out}, depth, 5)));
    }
    // Leaving out all of a session's memory, or the stamp of a late push, is detected sooner.
    CHECK(finds_difference(explored_without({.leaves_memory_out = true}, 7, 30)));
    const std::string_view late = "late.time";
    CHECK(finds_difference(explored_without({.left_out = {&late, 1}}, 5, 5)));
}

}  // namespace bridge_exploration
