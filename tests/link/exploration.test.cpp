// SPDX-License-Identifier: MIT
// Goal: every reachable state of the core keeps the contract. tests/scripts/mutants.py leaves rules
// out of the core, one by one, and this exploration must detect each. Method: sim::exhaust over all
// inputs. BELAY_DEPTH in the environment is the depth; docs/contributing/tests.md has the counts.
#include <belay/core/instant.hpp>

#include <belay/link/supervisor_core.hpp>

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include <belay/sim/exhaust.hpp>

#include "support/catch.hpp"
#include "support/link/link_transitions.hpp"
#include "support/seeds.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

/// The advice of a rule that is shared with other users, and whether its permit is taken.
struct Behaviour {
    Advice advice{};
    bool permit_gone = false;
};
Behaviour behaviour;
/// The time of the last opening; `never` if there is no connection.
Instant connected_since = never;
/// Whether its peer has proved that it is alive.
bool proved = false;

// Times at which no supervisor calls admit(). The policy then returns its counts, and the time
// until which it has advised to wait.
constexpr Instant asks_counts = always;
constexpr Instant asks_advised{Duration{1}};

/// The policy of the exploration. It counts the calls of its functions, and its advice follows from
/// the counts.
struct Probe {
    static constexpr bool recycles = false;
    int open = 0;     // begun without a verdict
    int planned = 0;  // planned, and neither begun nor abandoned
    int faults = 0;   // promises to a rule that were broken
    int fails = 0;    // failures in a row
    Instant advised = always;

    Advice admit(Instant now) const noexcept {
        if (now == asks_counts) return encode(open + 10 * fails + 1000 * planned + 10000 * faults);
        if (now == asks_advised) return Advice::suspend(advised);
        if (behaviour.advice.verb != Advice::Verb::go && !behaviour.advice.allows(now))
            return behaviour.advice;
        if (fails >= 4) return Advice::stop();
        return fails == 3 && now < advised ? Advice::suspend(advised) : Advice::go();
    }
    Advice begin(Turn& turn) noexcept {
        if (behaviour.permit_gone) return Advice::suspend(turn.now + 1s);
        faults += open++ != 0;
        planned = 0;
        return Advice::go();
    }
    Advice review(const Advice& plan, Turn&) noexcept {
        faults += open != 0 || planned++ != 0 || plan.verb == Advice::Verb::stop;
        return Advice::go();
    }
    Advice failed(const Failure& f, Turn& turn) noexcept {
        faults += open-- != 1 || f.cause == Cause::planned || f.cause == Cause::none;
        faults += is_stable(turn);
        ++fails;
        advised = turn.now + 4s;
        return fails == 2 ? Advice::wait_exactly(advised) : Advice::wait_at_least(turn.now + 2s);
    }
    Advice lost(const Failure& f, Turn& turn) noexcept {
        faults += open != 0 || f.cause == Cause::planned;
        return Advice::wait_at_least(turn.now + 1s);
    }
    void succeeded(Turn& turn) noexcept {
        faults += open-- != 1 || !is_stable(turn);
        fails = 0;
    }
    void abandoned(Turn&) noexcept {
        faults += open + planned != 1;
        open = planned = 0;
    }
    void reset() noexcept { fails = 0; }
    Duration stable_window() const noexcept { return 3s; }
    Duration attempt_limit() const noexcept { return 5s; }

    static Advice encode(int count) noexcept { return Advice::suspend(Instant{Duration{count}}); }
    static bool is_stable(const Turn& turn) noexcept {
        return connected_since != never && proved && elapsed(connected_since, turn.now) >= 3s;
    }
};

/// The same with a rule whose `wanted` is called when an attempt is wanted.
struct RecordingProbe : Probe {
    void wanted(Turn&) noexcept { faults += open != 0 || planned++ != 0; }
};

/// The same with new credentials that end the connection of the old ones.
struct RecyclingProbe : RecordingProbe {
    static constexpr bool recycles = true;
};

/// A core that exposes every value on which its decisions depend.
template <class Rule>
struct Explored : timeline::SupervisorCore<Rule> {
    Explored()
        : timeline::SupervisorCore<Rule>{Rule{}, {.spread_within = 0s, .recycle = Rule::recycles}} {
    }

    [[nodiscard]] std::int64_t counts() const {
        return this->policy().admit(asks_counts).until.time_since_epoch().count();
    }
    /// Calls `f` with every number in which two states at `now` may differ.
    template <class F>
    void each(Instant now, F f) const {
        // All past times count as equal.
        const auto left = [now](Instant t) {
            return t == never ? -1 : t <= now ? 0 : elapsed(now, t) / 1ms;
        };
        const LinkStatus& s = this->status_;
        const bool waits = s.retry_at != never;
        f(static_cast<std::int64_t>(s.state));
        f(this->begun_ + 2 * this->planned_ + 4 * this->spread_ + 8 * this->fresh_credentials_ +
          16 * s.retry_failed + 32 * this->tries_failed_ +
          256 * (s.state == LinkState::connected && this->alive()));
        f(this->gates_.all() + 4 * this->gates_.any_shut());
        // A gate whose grace is over differs, until the tick, from one without a grace.
        f((this->gates_.grace_ends(1) != always) + 2 * (this->gates_.grace_ends(2) != always));
        f(left(this->gates_.grace_ends(1)));
        f(left(this->gates_.grace_ends(2)));
        f(waits ? elapsed(s.since, s.retry_at) / 1ms : 0);
        f(waits ? elapsed(now, s.retry_at) / 1ms : 0);
        const bool limited = s.state == LinkState::connecting || s.state == LinkState::draining;
        f(limited ? left(this->attempt_ends_) : 0);
        f(s.state == LinkState::connected ? left(after(s.since, 3s)) : 0);
        f(left(this->floor_));
        f(left(this->not_before_));
        f(this->manual_at_ == always ? 0 : left(after(this->manual_at_, 1s)));
    }
};

template <class Rule>
struct Node {
    Explored<Rule> core;
    Instant now{1000s};
    Instant floor = always;           // the wait that a server requested
    Instant manual_allowed = always;  // when reconnect_now() may be granted again
    Instant connected_since = never;
    Instant drain_ends = never;
    Behaviour behaviour{};
    bool live = false;               // a connection exists
    bool proved = false;             // its peer is alive
    bool fresh_credentials = false;  // set since the dial
    // A field of the digest that a test leaves out.
    int leave_out = -1;

    /// Whether its connection must be replaced, because credentials were set after its dial.
    [[nodiscard]] bool outdated() const {
        return Rule::recycles && fresh_credentials && core.status().state == LinkState::connected;
    }
    /// Whether a gate is shut, and none of its grace is left.
    [[nodiscard]] bool shut() const {
        const std::uint32_t g = core.gates();
        return ((g & 1) != 0 && core.grace_ends(Gate{1}) <= now) ||
               ((g & 2) != 0 && core.grace_ends(Gate{2}) <= now);
    }
    /// Calls `f` with every number that identifies the state.
    template <class F>
    void each(F f) const {
        core.each(now, f);
        f(core.counts());
        f(core.status().attempt);  // follows from the counts of this policy
        const Instant advised = core.policy().admit(asks_advised).until;
        for (const Instant t :
             {advised, behaviour.advice.until, floor, manual_allowed, drain_ends}) {
            f(part::time_left(now, t) / 1ms);
        }
        f(connected_since != never && elapsed(connected_since, now) >= 3s);
        f(static_cast<int>(behaviour.advice.verb));
        f(behaviour.permit_gone + 2 * live + 4 * fresh_credentials + 8 * proved);
    }
    void digest(sim::Digest& d) const {
        int i = 0;
        each([&](auto n) {
            if (i++ != leave_out) d(n);
        });
    }
    /// Whether the link needs no connection, has one, or cannot dial because of a shared rule.
    [[nodiscard]] bool settled() const {
        const LinkState s = core.status().state;
        return (s != LinkState::connecting && s != LinkState::cooldown &&
                s != LinkState::suspended && s != LinkState::draining) ||
               behaviour.permit_gone;
    }
    void step(sim::Choice& c);
};

/// Marks for `Move::wait`: the time passes up to the deadline, or long past it.
constexpr Duration at_deadline{-1}, long_after_deadline{-2};

struct Move {
    const char* name;
    timeline::Step step;
    Duration wait{};
    bool needs_connection = false;
    bool overrides_floor = false;
    std::optional<Behaviour> behaviour{};
};

const std::vector<Move>& moves() {
    static const std::vector<Move> all{
        {"start", {.input = timeline::Input::start}, 0s, false, true},
        {"stop", {.input = timeline::Input::stop}},
        {"shut", {.input = timeline::Input::gates, .gates = 1}},
        {"shut both", {.input = timeline::Input::gates, .gates = 3}},
        {"shut the other gently", {.input = timeline::Input::gates, .gates = 2, .within = 2s}},
        {"shut both, gently", {.input = timeline::Input::gates, .gates = 3, .within = 1s}},
        {"open", {.input = timeline::Input::gates, .gates = 0}},
        {"drain", {.input = timeline::Input::drain, .within = 2s}},
        {"credentials", {.input = timeline::Input::credentials}, 0s, false, true},
        {"reconnect", {.input = timeline::Input::reconnect_now}},
        {"force", {.input = timeline::Input::reconnect_now, .force = true}, 0s, false, true},
        {"opened", {.input = timeline::Input::opened}, 0s, true},
        {"opened, proved", {.input = timeline::Input::opened, .proof = true}, 0s, true},
        {"alive", {.input = timeline::Input::alive}, 0s, true},
        {"lost", {.input = timeline::Input::closed, .failure = {.cause = Cause::lost}}, 0s, true},
        {"nameless", {.input = timeline::Input::closed}, 0s, true},
        {"unauthorized",
         {.input = timeline::Input::closed, .failure = {.cause = Cause::unauthorized}},
         0s,
         true},
        {"forbidden",
         {.input = timeline::Input::closed, .failure = {.cause = Cause::forbidden}},
         0s,
         true},
        {"unauthorized at one endpoint",
         {.input = timeline::Input::closed,
          .failure = {.cause = Cause::unauthorized},
          .has_alternative = true},
         0s,
         true},
        {"forbidden at one endpoint",
         {.input = timeline::Input::closed,
          .failure = {.cause = Cause::forbidden},
          .has_alternative = true},
         0s,
         true},
        {"planned",
         {.input = timeline::Input::closed, .failure = {.cause = Cause::planned}},
         0s,
         true},
        {"withdrawn",
         {.input = timeline::Input::closed,
          .failure = {.cause = Cause::refused},
          .withdrawn = true},
         0s,
         true},
        {"lost after writes",
         {.input = timeline::Input::closed, .failure = {.cause = Cause::lost}, .wrote = true},
         0s,
         true},
        {"lost without pings",
         {.input = timeline::Input::closed, .failure = {.cause = Cause::lost}, .unprobed = true},
         0s,
         true},
        {"overloaded",
         {.input = timeline::Input::closed,
          .failure = {.cause = Cause::overloaded, .retry_after = 3s}},
         0s,
         true},
        {"tick", {.input = timeline::Input::tick}},
        {"a second", {.input = timeline::Input::tick}, 1s},
        {"breaker opens", {}, 0s, false, false, Behaviour{Advice::suspend(Instant{3s})}},
        {"limiter waits", {}, 0s, false, false, Behaviour{Advice::wait_at_least(Instant{2s})}},
        {"another user stops", {}, 0s, false, false, Behaviour{Advice::stop()}},
        {"the permit is gone", {}, 0s, false, false, Behaviour{{}, true}},
        {"all is well", {}, 0s, false, false, Behaviour{}},
        {"opened late, proved", {.input = timeline::Input::opened, .proof = true}, 6s, true},
        {"alive late", {.input = timeline::Input::alive}, 4s, true},
        {"lost late",
         {.input = timeline::Input::closed, .failure = {.cause = Cause::lost}},
         4s,
         true},
        {"deadline", {.input = timeline::Input::tick}, at_deadline},
        {"slept through", {.input = timeline::Input::tick}, long_after_deadline},
    };
    return all;
}

std::span<const char* const> names() {
    static const std::vector<const char*> all = [] {
        std::vector<const char*> out;
        for (const Move& m : moves()) out.push_back(m.name);
        return out;
    }();
    return all;
}

std::string change(LinkState from, LinkState to) {
    return std::string{to_string(from)} + " > " + std::string{to_string(to)};
}

/// Returns the part of the contract that the state, or the step that led to it, breaks; null if
/// none.
template <class N>
const char* broken(const N& before, const N& n, const Move& m, const timeline::Actions& a) {
    const LinkStatus &s = n.core.status(), &old = before.core.status();
    const LinkState state = s.state;
    const bool up = state == LinkState::connecting || state == LinkState::connected ||
                    state == LinkState::draining;
    const bool waits = state == LinkState::cooldown || state == LinkState::suspended;
    const Instant d = n.core.deadline();
    const bool changed =
        old.state != state || a.dial || s.retry_at != old.retry_at || s.since != old.since;
    if (changed && !a.notify) return "a change was not reported";
    if (a.notify && (a.change.from != old.state || !(a.change.to == s)))
        return "reported another change";
    if (a.notify && !belay_test::is_legal(old.state, state)) return "not in the table";
    if (a.teardown && !before.live) return "tore down nothing";
    if (a.dial && before.live && !a.teardown) return "two connections";
    if (a.dial && (state != LinkState::connecting || n.shut())) return "dialled where it must not";
    if (up != n.live) return "the connection does not fit the state";
    if (waits != (s.retry_at != never)) return "retry_at does not fit the state";
    // This includes a connection whose grace is over, until the tick.
    const bool graced = n.core.gates() != 0 && state == LinkState::connected;
    if ((d != never) !=
        (waits || state == LinkState::connecting || state == LinkState::draining || graced ||
         n.outdated() ||
         (state == LinkState::connected && n.proved && n.core.counts() % 10 == 1))) {
        return "the timer does not fit the state";
    }
    if (n.core.counts() >= 10000) return "a promise to the policy was broken";
    if (n.core.counts() >= 1000 && !waits) return "a planned attempt was not abandoned";
    if (state == LinkState::connected && n.proved != n.core.alive()) return "evidence was missed";
    if ((n.core.counts() % 10 == 1) !=
            (state == LinkState::connecting ||
             (state == LinkState::connected && (d != never || !n.proved))) &&
        !graced && !n.outdated()) {
        return "an attempt without verdict";
    }
    if (state == LinkState::draining && (d > n.drain_ends || n.drain_ends == never))
        return "a drain that nothing ends in time";
    if (n.outdated() && (d > n.now || m.step.input == timeline::Input::tick))
        return "a connection outlives its credentials";
    // A connection whose grace ends during another input waits for the tick, which is due.
    const bool tears = n.shut() && state != LinkState::draining && (up || waits);
    if (tears && (d > n.now || m.step.input == timeline::Input::tick))
        return "up behind a shut gate";
    if (a.drain && (state != LinkState::draining || a.teardown)) return "drained nothing";
    if (state == LinkState::offline && n.core.gates() == 0) return "offline with all gates open";
    if (d <= n.now && m.step.input == timeline::Input::tick && !a.notify &&
        state != LinkState::connected)
        return "a due tick did nothing";
    if (m.step.input == timeline::Input::tick && n.now < before.core.deadline() && a.notify)
        return "an early tick did something";
    if (m.step.input == timeline::Input::stop && state != LinkState::stopped)
        return "stop did not stop";
    const bool ended = a.teardown && m.step.input == timeline::Input::closed;
    const bool aged =
        before.connected_since != never && elapsed(before.connected_since, n.now) >= 3s;
    if (ended && s.failure.cause == Cause::planned && !(aged && before.proved))
        return "a planned close of a connection that was not stable counted nothing";
    if (ended && (m.step.wrote || m.step.unprobed) && aged &&
        n.core.counts() / 10 % 100 > before.core.counts() / 10 % 100)
        return "the loss of an old connection that was used counted as a failure";
    if (ended && m.step.unprobed && aged && old.state == LinkState::connected &&
        n.core.counts() / 10 % 100 != 0)
        return "failures before an old connection without pings still count";
    if (s.attempt > 1000) return "the attempt counter fell below zero";
    if ((s.down_since == never) != (state == LinkState::connected) &&
        !(state == LinkState::stopped && s.since == always))
        return "down_since is wrong";
    const bool afresh = old.state == LinkState::failed || old.state == LinkState::blocked_auth;
    if (a.dial && n.now < before.floor && !m.overrides_floor && !afresh)
        return "dialled before the server's wait was over";
    if (a.dial && m.step.input == timeline::Input::tick && n.now < old.retry_at)
        return "dialled before the wait was over";
    const bool asked = m.step.input == timeline::Input::reconnect_now && !m.step.force;
    if (a.dial && asked && !afresh && n.now < std::min(before.manual_allowed, old.retry_at))
        return "reconnect_now dialled too soon";
    const Cause cause = m.step.failure.cause;
    const bool goes_on = m.step.has_alternative && !(aged && before.proved);
    if (ended && old.state != LinkState::draining && !goes_on) {
        if (cause == Cause::unauthorized && !before.fresh_credentials &&
            state != LinkState::blocked_auth) {
            return "continued with credentials that were rejected";
        }
        if (cause == Cause::forbidden && state != LinkState::failed)
            return "continued after a final failure";
    }
    // The policy of this exploration stops only by its admit(). The end of the wait counts, too.
    const bool stops = n.behaviour.advice.verb == Advice::Verb::stop ||
                       n.core.policy().admit(never).verb == Advice::Verb::stop;
    if (ended && old.state != LinkState::draining && goes_on && !waits && !stops)
        return "did not try another endpoint after a final failure of one";
    return nullptr;
}

/// Takes the step in the core and in the model.
template <class N>
timeline::Actions take(const N& node, N& next, const Move& m) {
    behaviour = node.behaviour;
    connected_since = node.connected_since;
    const bool up = node.core.status().state == LinkState::connected;
    // Without pings, the end that the peer makes is proof in hindsight.
    proved = node.proved || (up && (m.step.input == timeline::Input::alive || m.step.unprobed));
    Random bits{Seed{1}};
    Turn turn{next.now, bits};
    const timeline::Actions a = next.core.step(m.step, turn);
    const LinkState old = node.core.status().state;
    const LinkState state = next.core.status().state;
    const bool afresh = m.step.input == timeline::Input::start ||
                        (m.step.input == timeline::Input::reconnect_now &&
                         (old == LinkState::failed || old == LinkState::blocked_auth));
    next.live = a.dial || (node.live && !a.teardown);
    if (m.step.failure.retry_after > 0s && a.teardown) {
        next.floor = after(next.now, m.step.failure.retry_after);
    }
    if (state == LinkState::connected || state == LinkState::stopped || afresh) {
        next.floor = always;
    }
    if (m.step.input == timeline::Input::credentials) next.fresh_credentials = true;
    if (a.dial || state == LinkState::stopped) next.fresh_credentials = false;
    if (m.step.input == timeline::Input::start && old == LinkState::stopped)
        next.manual_allowed = always;
    if (m.step.input == timeline::Input::reconnect_now && a.dial) {
        next.manual_allowed = after(next.now, 1s);
    }
    if (m.step.input == timeline::Input::drain)
        next.drain_ends = std::min(next.drain_ends, after(next.now, m.step.within));
    if (state != LinkState::draining) next.drain_ends = never;
    if (state != LinkState::connected) next.connected_since = never;
    if (state == LinkState::connected && old != state) next.connected_since = next.now;
    next.proved = state == LinkState::connected &&
                  (old == state ? proved : m.step.input == timeline::Input::opened && m.step.proof);
    return a;
}

template <class Rule>
void Node<Rule>::step(sim::Choice& c) {
    const Move& m = moves()[c.choose(names())];
    if (m.needs_connection && !live) return c.impossible();
    // Only two inputs are certain: a driver's tick at the deadline, and the answer of a server to a
    // dial.
    if (m.wait != at_deadline && !(m.step.input == timeline::Input::opened && m.wait == 0s)) {
        c.unfair();
    }
    if (m.behaviour) {
        behaviour = *m.behaviour;
        const Instant until = m.behaviour->advice.until;
        if (until != never && until != always) {
            behaviour.advice.until = after(now, until - Instant{});
        }
        return;
    }
    if (m.wait < 0s && core.deadline() == never) return c.impossible();
    const Node before = *this;
    if (m.wait < 0s) now = std::max(now, core.deadline());
    now += m.wait == long_after_deadline ? 11s : std::max(m.wait, Duration{});
    const timeline::Actions a = take(before, *this, m);
    const char* const what = broken(before, *this, m, a);
    if (what != nullptr) c.require(false, what);
    c.result(a.dial + 2 * a.teardown + 4 * a.drain + 8 * a.notify);
    c.result(core.status().attempt);
    if (a.notify) c.reach(change(a.change.from, a.change.to.state));
}

sim::ExhaustReport explore(const auto& node, std::uint32_t depth, std::uint32_t recheck_percent) {
    return sim::exhaust(
        {.depth = depth, .recheck_percent = recheck_percent, .recheck_max = 30, .print = false},
        node);
}

}  // namespace

TEMPLATE_TEST_CASE("SupervisorCore keeps its contract after every sequence of events",
                   "[link][exploration][property]", Probe, RecordingProbe, RecyclingProbe) {
    const sim::ExhaustReport report =
        sim::exhaust({.depth = static_cast<std::uint32_t>(from_environment("BELAY_DEPTH", 7))},
                     Node<TestType>{});
    CHECK(report);
    CHECK(report.states > 5000);
    // Every transition of the table is reached.
    for (int from = 0; from < 9; ++from) {
        for (int to = 0; to < 9; ++to) {
            const auto a = static_cast<LinkState>(from);
            const auto b = static_cast<LinkState>(to);
            INFO(change(a, b));
            CHECK(report.marks.contains(change(a, b)) == belay_test::is_legal(a, b));
        }
    }
}

TEST_CASE("The digest of SupervisorCore contains every field that changes its decisions",
          "[link][exploration][property]") {
    Node<RecyclingProbe> node;
    int fields = 0;
    node.core.each(node.now, [&](auto) { ++fields; });
    CHECK(explore(node, 4, 100));
    for (node.leave_out = 0; node.leave_out < fields; ++node.leave_out) {
        INFO("field " << node.leave_out);
        CHECK_FALSE(explore(node, 5, 100));
    }
}
