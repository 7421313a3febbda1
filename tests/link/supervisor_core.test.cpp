// SPDX-License-Identifier: MIT
// Goal: the core keeps its guarantees about tokens, sleep, grace and time. Method: timelines,
// and a model of gates. All its states are in exploration.test.cpp.
#include <belay/link/supervisor_core.hpp>

#include <algorithm>
#include <optional>
#include <type_traits>
#include <vector>

#include <belay/backoff/backoff.hpp>
#include <belay/backoff/jitters.hpp>
#include <belay/breaker/breaker.hpp>
#include <belay/breaker/circuit_breaker.hpp>
#include <belay/breaker/open_waits.hpp>
#include <belay/budget/budgets.hpp>
#include <belay/policy/rules.hpp>
#include <belay/policy/shared.hpp>

#include "support/catch.hpp"

using namespace belay;
using namespace std::chrono_literals;
using belay::timeline::Input;

namespace {

constexpr Instant start_of_time{1000s};

}  // namespace

namespace {

/// A core whose retries cost one token of a shared budget; the test sets the time.
struct BudgetedCore {
    using Budgeted = decltype(Policy{Backoff{NoJitter{}, Cap{8s}, 4s},
                                     Shared{std::declval<TokenBudget&>(), AskAgain{2s}}});

    TokenBudget& budget;
    timeline::SupervisorCore<Budgeted> core{
        Policy{Backoff{NoJitter{}, Cap{8s}, 4s}, Shared{budget, AskAgain{2s}}},
        timeline::SupervisorCoreOptions{.spread_within = 0s}};
    Instant now = start_of_time;
    Random bits{Seed{1}};

    explicit BudgetedCore(TokenBudget& b) : budget{b} {}

    LinkState step(const timeline::Step& s, Duration wait = 0s) {
        now += wait;
        Turn turn{now, bits};
        core.step(s, turn);
        return core.status().state;
    }
    LinkState fails(Cause cause = Cause::refused) {
        return step({.input = Input::closed, .failure = {.cause = cause}});
    }
    /// Takes the steps up to the first wait.
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

TEST_CASE("SupervisorCore: a status that is connected has no failure",
          "[link][supervisor_core][regression]") {
    timeline::SupervisorCore core{Policy{Backoff{NoJitter{}, Cap{8s}, 4s}, ResetWhenStable{10s}},
                                  timeline::SupervisorCoreOptions{.spread_within = 0s}};
    Random bits{Seed{1}};
    Turn turn{start_of_time, bits};
    const auto step = [&](const timeline::Step& s) {
        turn.now += 4s;
        const timeline::Actions actions = core.step(s, turn);
        CHECK(actions.change.to == core.status());
        return core.status();
    };
    step({.input = Input::start});
    CHECK(step({.input = Input::closed, .failure = {.cause = Cause::refused}}).failure.cause ==
          Cause::refused);
    CHECK(step({.input = Input::tick}).failure.cause == Cause::refused);
    const LinkStatus connected = step({.input = Input::opened});
    CHECK(connected.state == LinkState::connected);
    CHECK(connected.failure == Failure{});
    // It is not stable yet, so the attempts still count.
    CHECK(connected.attempt == 2);
    // An end by this side has no failure of its own, and restores no old one.
    const LinkStatus shut = step({.input = Input::gates, .gates = 1});
    CHECK(shut.withdrawn);
    CHECK(shut.failure == Failure{});
    turn.now += 4s;
    core.step({.input = Input::gates}, turn);
    core.step({.input = Input::tick}, turn);
    REQUIRE(core.status().state == LinkState::connecting);
    CHECK(core.status().withdrawn);
    CHECK_FALSE(step({.input = Input::opened}).withdrawn);
}

TEST_CASE("SupervisorCore holds the token of a retry during the wait, and returns it on every path",
          "[link][supervisor_core][unit]") {
    TokenBudget budget{one_each};
    SECTION("stop") {
        BudgetedCore s{budget};
        s.plan();
        CHECK(budget.tokens_milli() == 1'000);
        CHECK(s.step({.input = Input::stop}, 1s) == LinkState::stopped);
        CHECK(budget.tokens_milli() == 2'000);
    }
    SECTION("a gate shuts and opens again") {
        BudgetedCore s{budget};
        s.plan();
        CHECK(s.step({.input = Input::gates, .gates = 1}, 1s) == LinkState::offline);
        CHECK(budget.tokens_milli() == 2'000);
        // The attempt is still a retry, and takes its token when it begins.
        CHECK(s.step({.input = Input::gates}, 1h) == LinkState::cooldown);
        CHECK(s.step({}) == LinkState::connecting);
        CHECK(budget.tokens_milli() == 1'000);
        CHECK(s.step({.input = Input::stop}) == LinkState::stopped);
        CHECK(budget.tokens_milli() == 2'000);
    }
    SECTION("destruction, and copies in mid-run") {
        {
            BudgetedCore s{budget};
            s.plan();
            BudgetedCore copy{s};
            CHECK(budget.tokens_milli() == 1'000);
            CHECK(copy.step({.input = Input::stop}) == LinkState::stopped);
            CHECK(budget.tokens_milli() == 1'000);
        }
        CHECK(budget.tokens_milli() == 2'000);
    }
    SECTION("credentials are rejected, or a failure is permanent") {
        for (const Cause cause : {Cause::unauthorized, Cause::permanent, Cause::forbidden}) {
            BudgetedCore s{budget};
            s.step({.input = Input::start});
            CHECK(s.fails(cause) ==
                  (cause == Cause::unauthorized ? LinkState::blocked_auth : LinkState::failed));
            CHECK(budget.tokens_milli() == 2'000);
        }
    }
    SECTION("an attempt that succeeds") {
        BudgetedCore s{budget};
        s.plan();
        CHECK(s.step({}, 4s) == LinkState::connecting);
        CHECK(budget.tokens_milli() == 1'000);
        CHECK(s.step({.input = Input::opened, .proof = true}) == LinkState::connected);
        // The connection is stable, so the token returns to the budget.
        CHECK(s.step({}, 10s) == LinkState::connected);
        CHECK(budget.tokens_milli() == 2'000);
        // The first attempt after a loss is no retry.
        CHECK(s.fails() == LinkState::cooldown);
        CHECK(budget.tokens_milli() == 2'000);
    }
}

TEST_CASE("SupervisorCore waits for an empty budget, and then attempts with tokens or without",
          "[link][supervisor_core][unit]") {
    const bool are_returned = GENERATE(false, true);
    TokenBudget budget{one_each};
    Random bits{Seed{1}};
    Turn turn{start_of_time, bits};
    auto all = budget.reserve(Cause::lost, turn);
    auto rest = budget.reserve(Cause::lost, turn);
    BudgetedCore s{budget};
    s.step({.input = Input::start});
    CHECK(s.fails() == LinkState::suspended);
    CHECK(s.core.status().decided_by == "TokenBudget");
    CHECK(s.core.deadline() == s.now + 4s);
    CHECK(s.step({}, 3s) == LinkState::suspended);
    if (are_returned) all.neutral();
    CHECK(s.step({}, 1s) == LinkState::connecting);
    CHECK(budget.tokens_milli() == 0);
    CHECK(s.step({.input = Input::stop}) == LinkState::stopped);
    CHECK(budget.tokens_milli() == (are_returned ? 1'000 : 0));
}

TEST_CASE("SupervisorCore with MaxElapsed fails when its first attempt is not admitted in time",
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
    SECTION("breaker held open: it tries until the time is over") {
        breaker.set_mode(BreakerMode::forced_open);
        timeline::SupervisorCore core{policy};
        // The core tries again after 1 s to 2 s.
        const auto is_near = [](Duration end, Duration most) {
            return end <= most && end > most - 2s;
        };
        CHECK(is_near(run(core, {{.input = Input::start}}), 30s));
        // A shut gate stops the time. When it opens, the time runs again.
        turn.now = start_of_time;
        core.step({.input = Input::reconnect_now}, turn);
        CHECK(core.status().state == LinkState::suspended);
        turn.now += 10s;
        core.step({.input = Input::gates, .gates = 1}, turn);
        turn.now += 1h;
        CHECK(is_near(run(core, {{.input = Input::gates}}), 30s + 1h));
    }
    SECTION("breaker opened by others for five minutes: it does not wait for the end") {
        static_cast<void>(breaker.acquire(turn).failure(turn));
        timeline::SupervisorCore core{policy};
        CHECK(run(core, {{.input = Input::start}}) == 0s);
        // The same holds for a core that begins with a wait of its own.
        timeline::SupervisorCore later{policy, timeline::SupervisorCoreOptions{.start_within = 1s}};
        turn.now = start_of_time;
        CHECK(run(later, {{.input = Input::start}}) == 0s);
    }
    SECTION("breaker opened by others in a wait of its own") {
        std::optional<timeline::SupervisorCore<std::remove_const_t<decltype(policy)>>> core;
        Duration jitter{};
        while (jitter <= 30s) {  // half of all draws
            core.emplace(policy, timeline::SupervisorCoreOptions{.start_within = 1min});
            core->step({.input = Input::start}, turn);
            jitter = elapsed(turn.now, core->deadline());
        }
        CHECK(core->status().state == LinkState::cooldown);
        static_cast<void>(breaker.acquire(turn).failure(turn));
        CHECK(run(*core, {}) == jitter);
    }
    SECTION("after a planned close") {
        timeline::SupervisorCore core{policy};
        core.step({.input = Input::start}, turn);
        core.step({.input = Input::opened}, turn);
        breaker.set_mode(BreakerMode::forced_open);
        const timeline::Step rotated{.input = Input::closed, .failure = {.cause = Cause::planned}};
        const Duration end = run(core, {rotated});
        CHECK(end <= 30s);
        CHECK(end > 28s);
    }
}

TEST_CASE("SupervisorCore with MaxElapsed counts no wait of its own before an attempt",
          "[link][supervisor_core][unit]") {
    timeline::SupervisorCore core{MaxElapsed{0s},
                                  timeline::SupervisorCoreOptions{.start_within = 1h}};
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
    timeline::SupervisorCore core{Policy{Shared{breaker}, Deadline{start_of_time + 1min}}};
    core.step({.input = Input::start}, turn);
    CHECK(core.status().state == LinkState::failed);
    CHECK(core.status().decided_by == "Deadline");
}

TEST_CASE("SupervisorCore with MaxElapsed counts no time while a gate is shut",
          "[link][supervisor_core][unit]") {
    timeline::SupervisorCore core{Policy{Backoff{NoJitter{}, Cap{4s}, 4s}, MaxElapsed{10s}},
                                  timeline::SupervisorCoreOptions{.spread_within = 0s}};
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
    // A command starts the time again.
    CHECK(step({.input = Input::reconnect_now}) == LinkState::connecting);
    CHECK(step(refused) == LinkState::cooldown);
}

TEST_CASE("SupervisorCore waits no longer for a server than its limit, whichever rule follows it",
          "[link][supervisor_core][regression]") {
    const Duration limit = GENERATE(Duration{1h}, Duration{1min});
    const timeline::SupervisorCoreOptions options{.retry_after_max = limit};
    const auto waits_for = [&](const auto& policy, Duration asked) {
        timeline::SupervisorCore core{policy, options};
        Random bits{Seed{1}};
        Turn turn{start_of_time, bits};
        core.step({.input = Input::start}, turn);
        const Failure busy{.cause = Cause::overloaded, .retry_after = asked};
        core.step({.input = Input::closed, .failure = busy}, turn);
        CHECK(core.status().failure == busy);
        return elapsed(turn.now, core.status().retry_at);
    };
    const Policy backoff{Backoff{NoJitter{}, Cap{1s}, 1s}};
    const Policy exactly{CooldownOn{Cause::overloaded, 1s, 1s}};
    const Policy none{MaxAttempts{9}};
    const Policy opens{Breaker{ConsecutiveFailures{1}, OpenAsAsked{OpenFor{30s}, 24h}}};
    for (const Duration asked : {limit - Duration{1}, limit, limit + Duration{1}, forever}) {
        CHECK(waits_for(backoff, asked) == std::min(asked, limit));
        CHECK(waits_for(exactly, asked) == std::min(asked, limit));
        CHECK(waits_for(none, asked) == std::min(asked, limit));
        CHECK(waits_for(opens, asked) == std::min(asked, limit));
    }
}

TEST_CASE("SupervisorCore counts a connection that ends before it is stable as a failed attempt",
          "[link][supervisor_core][unit]") {
    timeline::SupervisorCore core{Policy{Backoff{NoJitter{}, Cap{64s}, 1s}, ResetWhenStable{10s}}};
    Random bits{Seed{1}};
    Turn turn{start_of_time, bits};
    const auto falls_after = [&](Duration up) {
        core.step({.input = Input::opened, .proof = true}, turn);
        turn.now += up;
        core.step({.input = Input::closed, .failure = {.cause = Cause::lost}}, turn);
        const Duration wait = core.deadline() - turn.now;
        turn.now = core.deadline();
        core.step({}, turn);
        REQUIRE(core.status().state == LinkState::connecting);
        return wait;
    };
    core.step({.input = Input::start}, turn);
    // Pitfall 9: a server that accepts and then drops the connection.
    CHECK(falls_after(0s) == 1s);
    CHECK(falls_after(1s) == 2s);
    CHECK(falls_after(10s - 1ns) == 4s);
    CHECK(falls_after(10s) == 1s);
    CHECK(falls_after(0s) == 2s);
}

TEST_CASE("SupervisorCore measures stability from the validation; later inputs do not restart it",
          "[link][supervisor_core][unit]") {
    timeline::SupervisorCore core{Policy{Backoff{NoJitter{}, Cap{64s}, 1s}, ResetWhenStable{10s}}};
    Random bits{Seed{1}};
    Turn turn{start_of_time, bits};
    core.step({.input = Input::start}, turn);
    turn.now += 1s;
    core.step({.input = Input::opened, .proof = true}, turn);
    const Instant validated = turn.now;
    CHECK(core.deadline() == validated + 10s);
    // These inputs are no reason to measure again.
    for (const timeline::Step& step :
         {timeline::Step{}, timeline::Step{.input = Input::start},
          timeline::Step{.input = Input::opened},
          timeline::Step{.input = Input::gates, .gates = 1, .within = 5s},
          timeline::Step{.input = Input::gates, .gates = 3, .within = 5s},
          timeline::Step{.input = Input::gates}, timeline::Step{.input = Input::credentials},
          timeline::Step{}}) {
        turn.now += 1s;
        const timeline::Actions actions = core.step(step, turn);
        CHECK_FALSE(actions.notify);
        CHECK(core.status().state == LinkState::connected);
        CHECK(core.status().since == validated);
    }
    CHECK(core.deadline() == validated + 10s);
    SECTION("seen at its tick") {
        turn.now = validated + 10s - 1ns;
        core.step({}, turn);
        CHECK(core.status().attempt == 1);
        turn.now += 1ns;
        core.step({}, turn);
        CHECK(core.status().attempt == 0);
        CHECK(core.deadline() == never);
    }
    SECTION("seen at a drain whose tick is late") {
        turn.now = validated + 10s;
        core.step({.input = Input::drain, .within = 1s}, turn);
        CHECK(core.status().attempt == 0);
    }
    SECTION("not stable yet at an earlier drain") {
        turn.now = validated + 10s - 1ns;
        core.step({.input = Input::drain, .within = 1h}, turn);
        turn.now += 1min;
        core.step({.input = Input::closed, .failure = {.cause = Cause::planned}}, turn);
        CHECK(core.status().state == LinkState::stopped);
    }
    SECTION("after a clock that did not advance") {
        // The machine was suspended, and was connected all the time.
        turn.now = validated + 9h;
        core.step({.input = Input::closed, .failure = {.cause = Cause::lost}}, turn);
        CHECK(core.deadline() == turn.now + 1s);
    }
}

TEST_CASE("SupervisorCore settles with jitter after a gate opens",
          "[link][supervisor_core][unit]") {
    // Pitfall 25: without jitter, the timers of many laptops would all fire at once.
    std::vector<Duration> waits;
    for (std::uint64_t seed = 1; seed <= 200; ++seed) {
        timeline::SupervisorCore core{Policy{Backoff{NoJitter{}, Cap{64s}, 1s}},
                                      timeline::SupervisorCoreOptions{.spread_within = 2s}};
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
