// SPDX-License-Identifier: MIT
// Goal: every reachable state of the core keeps the contract. Method: breadth-first over all
// inputs, to a bounded depth; the core is a value, so a state is explored by copying it.
#include <belay/link/supervisor_core.hpp>

#include <algorithm>
#include <deque>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <belay/backoff/backoff.hpp>
#include <belay/backoff/no_jitter.hpp>
#include <belay/breaker/circuit_breaker.hpp>
#include <belay/budget/token_budget.hpp>
#include <belay/policy/deadline.hpp>
#include <belay/policy/max_elapsed.hpp>
#include <belay/policy/reset_when_stable.hpp>
#include <belay/policy/shared.hpp>

#include "support/catch.hpp"
#include "support/link/link_states.hpp"

using namespace belay;
using namespace std::chrono_literals;
using belay::timeline::Input;

namespace {

constexpr Instant start_of_time{1000s};

/// What a shared object, which others use too, says of attempts.
struct Mood {
    Advice advice{};
    bool permit_gone = false;
};
Mood mood;

/// The policy of the exploration. It counts what it is told, and answers by the counts.
struct Probe {
    int open = 0;     // begun without verdict
    int planned = 0;  // planned, and neither begun nor abandoned
    int faults = 0;   // promises to a rule that were broken
    int fails = 0;    // in a row
    Instant advised = always;

    Advice admit(Instant now) const noexcept {
        // At a time that no supervisor asks about it tells what it has counted.
        if (now == always)
            return Advice::suspend(
                Instant{Duration{open + 10 * fails + 1000 * planned + 10000 * faults}});
        if (mood.advice.verb != Verb::go && !mood.advice.allows(now)) return mood.advice;
        if (fails >= 4) return Advice::stop();
        return fails == 3 && now < advised ? Advice::suspend(advised) : Advice::go();
    }
    Advice begin(Turn& turn) noexcept {
        if (mood.permit_gone) return Advice::suspend(turn.now + 1s);
        faults += open++ != 0;
        planned = 0;
        return Advice::go();
    }
    Advice review(const Advice& plan, Turn&) noexcept {
        faults += open != 0 || planned++ != 0 || plan.verb == Verb::stop;
        return Advice::go();
    }
    Advice failed(const Failure& f, Turn& turn) noexcept {
        faults += open-- != 1 || f.cause == Cause::planned || f.cause == Cause::none;
        ++fails;
        advised = turn.now + 4s;
        return fails == 2 ? Advice::wait_exactly(advised) : Advice::wait_at_least(turn.now + 2s);
    }
    Advice lost(const Failure& f, Turn& turn) noexcept {
        faults += open != 0 || f.cause == Cause::planned;
        return Advice::wait_at_least(turn.now + 1s);
    }
    void succeeded(Turn&) noexcept {
        faults += open-- != 1;
        fails = 0;
    }
    void abandoned(Turn&) noexcept {
        faults += open + planned != 1;
        open = planned = 0;
    }
    void reset() noexcept { fails = 0; }
    Duration stable_window() const noexcept { return 3s; }
    Duration attempt_limit() const noexcept { return 5s; }
};

/// The same with a rule that hears when an attempt is wanted.
struct HearingProbe : Probe {
    void wanted(Turn&) noexcept { faults += open != 0 || planned++ != 0; }
};

template <class Rule>
struct Node {
    SupervisorCore<Rule> core{Rule{}, SupervisorCoreOptions{.settle_within = 0s}};
    Instant now = start_of_time;
    Instant floor = always;  // what a server asked for
    Mood mood{};
    bool live = false;  // a connection exists
    std::string path{};

    /// Whether a gate is shut, and none of its grace is left.
    [[nodiscard]] bool shut() const {
        const std::uint32_t g = core.gates();
        return ((g & 1) != 0 && core.grace_ends(Gate{1}) <= now) ||
               ((g & 2) != 0 && core.grace_ends(Gate{2}) <= now);
    }
    [[nodiscard]] bool in_grace() const {
        return core.grace_ends(Gate{1}) > now || core.grace_ends(Gate{2}) > now;
    }
    [[nodiscard]] std::int64_t counts() const {
        return core.policy().admit(always).until.time_since_epoch().count();
    }
    /// What tells two states apart; times count from now.
    [[nodiscard]] std::string key() const {
        const auto from_now = [&](Instant t) {
            if (t == never) return std::string{"n"};
            return t <= now ? std::string{"p"} : std::to_string((t - now) / 1ms);
        };
        const LinkStatus& s = core.status();
        std::string k;
        for (const auto part :
             {static_cast<std::int64_t>(s.state), static_cast<std::int64_t>(s.attempt),
              static_cast<std::int64_t>(core.gates()), static_cast<std::int64_t>(s.retry_failed),
              static_cast<std::int64_t>(s.failure.cause), counts()}) {
            k += std::to_string(part) + ",";
        }
        k += std::to_string(static_cast<int>(mood.advice.verb)) + (mood.permit_gone ? "g," : ",");
        for (const Instant t : {mood.advice.until, core.deadline(), floor, core.grace_ends(Gate{1}),
                                core.grace_ends(Gate{2}), core.manual_attempt_at(now, false),
                                core.manual_attempt_at(now, true)}) {
            k += from_now(t) + ",";
        }
        return k;
    }
};

struct Move {
    std::string name;
    timeline::Step step;
    Duration wait{};
    bool needs_connection = false;
    bool overrides_floor = false;
    std::optional<Mood> mood{};
};

const std::vector<Move>& moves() {
    static const std::vector<Move> all{
        {"start", {.input = Input::start}, 0s, false, true},
        {"stop", {.input = Input::stop}},
        {"shut", {.input = Input::gates, .gates = 1}},
        {"shut both", {.input = Input::gates, .gates = 3}},
        {"shut the other gently", {.input = Input::gates, .gates = 2, .within = 1500ms}},
        {"shut both, gently", {.input = Input::gates, .gates = 3, .within = 1s}},
        {"open", {.input = Input::gates, .gates = 0}},
        {"drain", {.input = Input::drain, .within = 2s}},
        {"credentials", {.input = Input::credentials}, 0s, false, true},
        {"reconnect", {.input = Input::reconnect_now}},
        {"force", {.input = Input::reconnect_now, .force = true}, 0s, false, true},
        {"opened", {.input = Input::opened}, 0s, true},
        {"lost", {.input = Input::closed, .failure = {.cause = Cause::lost}}, 0s, true},
        {"nameless", {.input = Input::closed}, 0s, true},
        {"unauthorized",
         {.input = Input::closed, .failure = {.cause = Cause::unauthorized}},
         0s,
         true},
        {"forbidden", {.input = Input::closed, .failure = {.cause = Cause::forbidden}}, 0s, true},
        {"planned", {.input = Input::closed, .failure = {.cause = Cause::planned}}, 0s, true},
        {"overloaded",
         {.input = Input::closed, .failure = {.cause = Cause::overloaded, .retry_after = 3s}},
         0s,
         true},
        {"tick", {.input = Input::tick}},
        {"wait", {.input = Input::tick}, 700ms},
        {"breaker opens", {}, 0s, false, false, Mood{Advice::suspend(start_of_time + 3s)}},
        {"limiter waits", {}, 0s, false, false, Mood{Advice::wait_at_least(start_of_time + 2s)}},
        {"somebody says stop", {}, 0s, false, false, Mood{Advice::stop()}},
        {"the permit is gone", {}, 0s, false, false, Mood{{}, true}},
        {"all is well", {}, 0s, false, false, Mood{}},
        {"deadline", {.input = Input::tick}, Duration{-1}},
    };
    return all;
}

/// What must hold of a state, and of the step that led to it; empty if it does.
template <class Rule>
std::string broken(const Node<Rule>& before, const Node<Rule>& n, const Move& m,
                   const timeline::Actions& a) {
    const LinkStatus &s = n.core.status(), &old = before.core.status();
    const LinkState state = s.state;
    const bool up = state == LinkState::connecting || state == LinkState::connected ||
                    state == LinkState::draining;
    const bool waits = state == LinkState::cooldown || state == LinkState::suspended;
    const Instant d = n.core.deadline();
    const bool changed =
        old.state != state || a.dial || s.retry_at != old.retry_at || s.since != old.since;
    if (changed && !a.notify) return "a change was not told";
    if (a.notify && (a.change.from != old.state || !(a.change.to == s)))
        return "told something else";
    if (a.notify && !belay_test::is_legal(old.state, state)) return "not in the table";
    if (a.teardown && !before.live) return "tore down nothing";
    if (a.dial && before.live && !a.teardown) return "two connections";
    if (a.dial && (state != LinkState::connecting || n.shut())) return "dialled where it must not";
    if (up != n.live) return "the connection does not fit the state";
    if (waits != (s.retry_at != never)) return "retry_at does not fit the state";
    const bool graced = n.in_grace() && state == LinkState::connected;
    if ((d != never) != (waits || state == LinkState::connecting || state == LinkState::draining ||
                         graced || (state == LinkState::connected && n.counts() % 10 == 1))) {
        return "the timer does not fit the state";
    }
    if (n.counts() >= 10000) return "a promise to the policy was broken";
    if (n.counts() >= 1000 && !waits) return "a planned attempt was not abandoned";
    if ((n.counts() % 10 == 1) !=
            (state == LinkState::connecting || (state == LinkState::connected && d != never)) &&
        !graced) {
        return "an attempt without verdict";
    }
    // One whose grace is over while others speak waits for the tick, which is due.
    const bool tears = n.shut() && state != LinkState::draining && (up || waits);
    if (tears && (d > n.now || m.step.input == Input::tick)) return "up behind a shut gate";
    if (a.drain && (state != LinkState::draining || a.teardown)) return "drained nothing";
    if (state == LinkState::offline && n.core.gates() == 0) return "offline with all gates open";
    if (d <= n.now && m.step.input == Input::tick && !a.notify && state != LinkState::connected)
        return "a due tick did nothing";
    if (m.step.input == Input::tick && n.now < before.core.deadline() && a.notify)
        return "an early tick did something";
    if (m.step.input == Input::stop && state != LinkState::stopped) return "stop did not stop";
    if (s.attempt > 1000) return "the attempt counter ran under zero";
    if ((s.down_since == never) != (state == LinkState::connected) &&
        !(state == LinkState::stopped && s.since == always))
        return "down_since is wrong";
    const bool afresh = old.state == LinkState::failed || old.state == LinkState::blocked_auth;
    if (a.dial && n.now < before.floor && !m.overrides_floor && !afresh)
        return "dialled before the server's wait was over";
    if (a.dial && m.step.input == Input::tick && n.now < old.retry_at)
        return "dialled before the wait was over";
    return {};
}

}  // namespace

TEMPLATE_TEST_CASE("SupervisorCore keeps its contract in every reachable state",
                   "[link][supervisor_core][property]", Probe, HearingProbe) {
    using State = Node<TestType>;
    constexpr int depth = 8;
    constexpr std::size_t nodes_max = 60'000;
    std::deque<std::pair<State, int>> frontier;
    std::set<std::string> known;
    std::set<std::pair<LinkState, LinkState>> seen;
    frontier.push_back({State{}, 0});
    known.insert(State{}.key());
    while (!frontier.empty()) {
        const auto [node, level] = frontier.front();
        frontier.pop_front();
        if (level == depth || known.size() > nodes_max) continue;
        for (const Move& m : moves()) {
            if (m.needs_connection && !node.live) continue;
            State next = node;
            if (m.mood) {
                next.mood = *m.mood;
                if (m.mood->advice.verb == Verb::go) {
                    next.mood.advice.until = always;
                } else if (m.mood->advice.until != never) {
                    next.mood.advice.until = node.now + (m.mood->advice.until - start_of_time);
                }
                next.path += m.name + "; ";
                mood = next.mood;
                if (known.insert(next.key()).second)
                    frontier.push_back({std::move(next), level + 1});
                continue;
            }
            mood = node.mood;
            if (m.wait < 0s) {
                if (node.core.deadline() == never) continue;
                next.now = std::max(next.now, node.core.deadline());
            } else {
                next.now += m.wait;
            }
            Random bits{Seed{1}};
            Turn turn{next.now, bits};
            const timeline::Actions a = next.core.step(m.step, turn);
            next.live = a.dial || (node.live && !a.teardown);
            next.path += m.name + "; ";
            const std::string fault = broken(node, next, m, a);
            if (!fault.empty()) FAIL(fault << ": " << next.path);
            if (a.notify) seen.insert({a.change.from, a.change.to.state});
            const LinkState state = next.core.status().state;
            if (m.step.failure.retry_after > 0s && a.teardown)
                next.floor = next.now + m.step.failure.retry_after;
            const LinkState old = node.core.status().state;
            const bool afresh = m.step.input == Input::start ||
                                (m.step.input == Input::reconnect_now &&
                                 (old == LinkState::failed || old == LinkState::blocked_auth));
            if (state == LinkState::connected || state == LinkState::stopped || afresh)
                next.floor = always;
            if (known.insert(next.key()).second) frontier.push_back({std::move(next), level + 1});
        }
    }
    CHECK(known.size() > 5000);
    // The table promises no transition that cannot happen.
    for (int from = 0; from < 9; ++from) {
        for (int to = 0; to < 9; ++to) {
            const std::pair<LinkState, LinkState> step{static_cast<LinkState>(from),
                                                       static_cast<LinkState>(to)};
            INFO(to_string(step.first) << " > " << to_string(step.second));
            CHECK(seen.count(step) ==
                  static_cast<std::size_t>(belay_test::is_legal(step.first, step.second)));
        }
    }
}

namespace {

/// A core whose retries cost one token of a shared budget; where time goes is told to it.
struct Spender {
    using Budgeted = decltype(Policy{Backoff{NoJitter{}, Cap{8s}, 4s},
                                     Shared{std::declval<TokenBudget&>(), AskAgain{2s}}});

    TokenBudget& budget;
    SupervisorCore<Budgeted> core{
        Policy{Backoff{NoJitter{}, Cap{8s}, 4s}, Shared{budget, AskAgain{2s}}},
        SupervisorCoreOptions{.settle_within = 0s}};
    Instant now = start_of_time;
    Random bits{Seed{1}};

    explicit Spender(TokenBudget& b) : budget{b} {}

    LinkState step(const timeline::Step& s, Duration wait = 0s) {
        now += wait;
        Turn turn{now, bits};
        core.step(s, turn);
        return core.status().state;
    }
    LinkState fails(Cause cause = Cause::refused) {
        return step({.input = Input::closed, .failure = {.cause = cause}});
    }
    /// Up to the first wait.
    void plan() {
        step({.input = Input::start});
        REQUIRE(fails() == LinkState::cooldown);
        REQUIRE(budget.tokens_milli() < budget.options().capacity_milli);
    }
};

constexpr TokenBudgetOptions one_each{.capacity_milli = 2'000,
                                      .retry_cost_milli = 1'000,
                                      .timeout_cost_milli = 1'000,
                                      .success_gain_milli = 0};

}  // namespace

TEST_CASE(
    "SupervisorCore holds the token of a retry over the wait, and gives it back on every path",
    "[link][supervisor_core][unit]") {
    TokenBudget budget{one_each};
    SECTION("stop") {
        Spender s{budget};
        s.plan();
        CHECK(budget.tokens_milli() == 1'000);
        CHECK(s.step({.input = Input::stop}, 1s) == LinkState::stopped);
        CHECK(budget.tokens_milli() == 2'000);
    }
    SECTION("a gate shuts, and opens again") {
        Spender s{budget};
        s.plan();
        CHECK(s.step({.input = Input::gates, .gates = 1}, 1s) == LinkState::offline);
        CHECK(budget.tokens_milli() == 2'000);
        // Still a retry: it is paid for when it begins.
        CHECK(s.step({.input = Input::gates}, 1h) == LinkState::cooldown);
        CHECK(s.step({}) == LinkState::connecting);
        CHECK(budget.tokens_milli() == 1'000);
        CHECK(s.step({.input = Input::stop}) == LinkState::stopped);
        CHECK(budget.tokens_milli() == 2'000);
    }
    SECTION("destruction, and copies in mid-run") {
        {
            Spender s{budget};
            s.plan();
            Spender copy{s};
            CHECK(budget.tokens_milli() == 1'000);
            CHECK(copy.step({.input = Input::stop}) == LinkState::stopped);
            CHECK(budget.tokens_milli() == 1'000);
        }
        CHECK(budget.tokens_milli() == 2'000);
    }
    SECTION("credentials are refused, or all hope is gone") {
        for (const Cause cause : {Cause::unauthorized, Cause::permanent, Cause::forbidden}) {
            Spender s{budget};
            s.step({.input = Input::start});
            CHECK(s.fails(cause) ==
                  (cause == Cause::unauthorized ? LinkState::blocked_auth : LinkState::failed));
            CHECK(budget.tokens_milli() == 2'000);
        }
    }
    SECTION("the attempt that it was for") {
        Spender s{budget};
        s.plan();
        CHECK(s.step({}, 4s) == LinkState::connecting);
        CHECK(budget.tokens_milli() == 1'000);
        CHECK(s.step({.input = Input::opened}) == LinkState::connected);
        // Stable: it worked, so the token comes back.
        CHECK(s.step({}, 10s) == LinkState::connected);
        CHECK(budget.tokens_milli() == 2'000);
        // To get back what was lost is no retry.
        CHECK(s.fails() == LinkState::cooldown);
        CHECK(budget.tokens_milli() == 2'000);
    }
}

TEST_CASE("SupervisorCore waits for an empty budget, and goes on when others pay back",
          "[link][supervisor_core][unit]") {
    TokenBudget budget{one_each};
    Random bits{Seed{1}};
    Turn turn{start_of_time, bits};
    auto all = budget.reserve(Cause::lost, turn);
    auto rest = budget.reserve(Cause::lost, turn);
    Spender s{budget};
    s.step({.input = Input::start});
    CHECK(s.fails() == LinkState::suspended);
    CHECK(s.core.status().decided_by == "TokenBudget");
    CHECK(s.core.deadline() == s.now + 4s);
    CHECK(s.step({}, 4s) == LinkState::suspended);
    CHECK(s.core.deadline() == s.now + 2s);
    all.neutral();
    CHECK(s.step({}, 2s) == LinkState::connecting);
    CHECK(budget.tokens_milli() == 0);
    CHECK(s.step({.input = Input::stop}) == LinkState::stopped);
    CHECK(budget.tokens_milli() == 1'000);
}

TEST_CASE("SupervisorCore with MaxElapsed fails when its first attempt is not let through in time",
          "[link][supervisor_core][regression]") {
    CircuitBreaker breaker{ConsecutiveFailures{1}, OpenFor{5min}};
    Random bits{Seed{1}};
    Turn turn{start_of_time, bits};
    const Policy policy{Shared{breaker}, MaxElapsed{30s}};
    const auto run = [&](auto& core, std::initializer_list<timeline::Step> inputs) {
        for (const timeline::Step& s : inputs) core.step(s, turn);
        for (int i = 0; i < 1000 && core.deadline() != never; ++i) {
            turn.now = detail::larger(turn.now, core.deadline());
            core.step({}, turn);
        }
        CHECK(core.status().decided_by == "MaxElapsed");
        CHECK(core.status().state == LinkState::failed);
        return elapsed(start_of_time, turn.now);
    };
    SECTION("held open by a person: it asks until the time is over") {
        breaker.set_mode(BreakerMode::forced_open);
        SupervisorCore core{policy};
        CHECK(run(core, {{.input = Input::start}}) == 30s);
        // A shut gate stops the time, and one that opens lets it run on.
        turn.now = start_of_time;
        core.step({.input = Input::reconnect_now}, turn);
        CHECK(core.status().state == LinkState::suspended);
        turn.now += 10s;
        core.step({.input = Input::gates, .gates = 1}, turn);
        turn.now += 1h;
        CHECK(run(core, {{.input = Input::gates}}) == 30s + 1h);
    }
    SECTION("opened by others for five minutes: it does not wait for them to be over") {
        static_cast<void>(breaker.acquire(turn).failure(turn));
        SupervisorCore core{policy};
        CHECK(run(core, {{.input = Input::start}}) == 0s);
        // Not even where it begins with a wait of its own.
        SupervisorCore later{policy, SupervisorCoreOptions{.start_within = 1s}};
        turn.now = start_of_time;
        CHECK(run(later, {{.input = Input::start}}) == 0s);
    }
    SECTION("opened by others in a wait of its own") {
        SupervisorCore core{policy, SupervisorCoreOptions{.start_within = 1min}};
        core.step({.input = Input::start}, turn);
        const Duration jitter = elapsed(turn.now, core.deadline());
        REQUIRE(jitter > 30s);
        CHECK(core.status().state == LinkState::cooldown);
        static_cast<void>(breaker.acquire(turn).failure(turn));
        CHECK(run(core, {}) == jitter);
    }
    SECTION("after a connection that was closed as planned") {
        SupervisorCore core{policy};
        core.step({.input = Input::start}, turn);
        core.step({.input = Input::opened}, turn);
        breaker.set_mode(BreakerMode::forced_open);
        const timeline::Step rotated{.input = Input::closed, .failure = {.cause = Cause::planned}};
        CHECK(run(core, {rotated}) == 30s);
    }
}

TEST_CASE("SupervisorCore with MaxElapsed counts no wait of its own before an attempt",
          "[link][supervisor_core][unit]") {
    SupervisorCore core{MaxElapsed{0s}, SupervisorCoreOptions{.start_within = 1h}};
    Random bits{Seed{1}};
    Turn turn{start_of_time, bits};
    core.step({.input = Input::start}, turn);
    REQUIRE(core.deadline() > start_of_time + 1s);
    turn.now = core.deadline();
    CHECK(core.step({}, turn).dial);
    core.step({.input = Input::gates, .gates = 1}, turn);
    core.step({.input = Input::gates}, turn);
    turn.now = core.deadline();
    CHECK(core.step({}, turn).dial);
}

TEST_CASE("SupervisorCore does not wait for a Deadline that will be over",
          "[link][supervisor_core][regression]") {
    CircuitBreaker breaker{ConsecutiveFailures{1}, OpenFor{5min}};
    Random bits{Seed{1}};
    Turn turn{start_of_time, bits};
    static_cast<void>(breaker.acquire(turn).failure(turn));
    SupervisorCore core{Policy{Shared{breaker}, Deadline{start_of_time + 1min}}};
    core.step({.input = Input::start}, turn);
    CHECK(core.status().state == LinkState::failed);
    CHECK(core.status().decided_by == "Deadline");
}

TEST_CASE("SupervisorCore with MaxElapsed counts no time behind a shut gate",
          "[link][supervisor_core][unit]") {
    SupervisorCore core{Policy{Backoff{NoJitter{}, Cap{4s}, 4s}, MaxElapsed{10s}},
                        SupervisorCoreOptions{.settle_within = 0s}};
    Random bits{Seed{1}};
    Turn turn{start_of_time, bits};
    const auto step = [&](const timeline::Step& s, Duration wait = 0s) {
        turn.now += wait;
        core.step(s, turn);
        return core.status().state;
    };
    const timeline::Step refused{.input = Input::closed, .failure = {.cause = Cause::refused}};
    step({.input = Input::start});
    CHECK(step(refused) == LinkState::cooldown);
    CHECK(step({.input = Input::gates, .gates = 1}, 1s) == LinkState::offline);
    CHECK(step({.input = Input::gates}, 8h) == LinkState::cooldown);
    CHECK(step({}, 0s) == LinkState::connecting);
    CHECK(step(refused, 5s) == LinkState::cooldown);
    CHECK(step({}, 4s) == LinkState::connecting);
    CHECK(step(refused) == LinkState::failed);
    CHECK(core.status().decided_by == "MaxElapsed");
    // By command it starts afresh.
    CHECK(step({.input = Input::reconnect_now}) == LinkState::connecting);
    CHECK(step(refused) == LinkState::cooldown);
}

TEST_CASE("SupervisorCore takes a connection that falls before it is stable for a failed attempt",
          "[link][supervisor_core][unit]") {
    SupervisorCore core{Policy{Backoff{NoJitter{}, Cap{64s}, 1s}, ResetWhenStable{10s}}};
    Random bits{Seed{1}};
    Turn turn{start_of_time, bits};
    const auto falls_after = [&](Duration up) {
        core.step({.input = Input::opened}, turn);
        turn.now += up;
        core.step({.input = Input::closed, .failure = {.cause = Cause::lost}}, turn);
        const Duration wait = core.deadline() - turn.now;
        turn.now = core.deadline();
        core.step({}, turn);
        REQUIRE(core.status().state == LinkState::connecting);
        return wait;
    };
    core.step({.input = Input::start}, turn);
    // Pitfall 9: a server that accepts and drops.
    CHECK(falls_after(0s) == 1s);
    CHECK(falls_after(1s) == 2s);
    CHECK(falls_after(10s - 1ns) == 4s);
    CHECK(falls_after(10s) == 1s);
    CHECK(falls_after(0s) == 2s);
}

TEST_CASE("SupervisorCore settles with jitter after a gate opens",
          "[link][supervisor_core][unit]") {
    // Pitfall 25: a fleet of laptops whose timers all fire at once.
    std::vector<Duration> waits;
    for (std::uint64_t seed = 1; seed <= 200; ++seed) {
        SupervisorCore core{Policy{Backoff{NoJitter{}, Cap{64s}, 1s}},
                            SupervisorCoreOptions{.settle_within = 2s}};
        Random bits{Seed{seed}};
        Turn turn{start_of_time, bits};
        core.step({.input = Input::start}, turn);
        core.step({.input = Input::gates, .gates = 1}, turn);
        turn.now += 8h;
        core.step({.input = Input::gates}, turn);
        REQUIRE(core.status().state == LinkState::cooldown);
        waits.push_back(core.deadline() - turn.now);
    }
    const auto [least, most] = std::minmax_element(waits.begin(), waits.end());
    CHECK(*least < 100ms);
    CHECK(*most > 1900ms);
    CHECK(*most <= 2s);
}
