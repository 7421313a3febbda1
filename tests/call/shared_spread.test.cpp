// SPDX-License-Identifier: MIT
// Goal: callers that wait for the same shared object do not continue at the same instant. Method: a
// thousand callers of each kind of object at one instant of virtual time; the waits by quarters of
// the spread.
#include <belay/policy/shared.hpp>

#include <optional>
#include <vector>

#include <belay/backoff/backoff.hpp>
#include <belay/backoff/jitters.hpp>
#include <belay/breaker/breaker.hpp>
#include <belay/breaker/circuit_breaker.hpp>
#include <belay/budget/adaptive_limit.hpp>
#include <belay/budget/adaptive_throttle.hpp>
#include <belay/call/limiters.hpp>
#include <belay/core/clocks.hpp>
#include <belay/policy/policy.hpp>
#include <belay/policy/rules.hpp>

#include "support/catch.hpp"

using namespace belay;
using namespace std::chrono_literals;

namespace {

constexpr int many = 1000;

// Counts the waits that end in each quarter of the spread after the earliest one.
struct Quarters {
    Instant earliest;
    Duration spread;
    int of[4] = {};
    void count(Instant until) {
        REQUIRE(until >= earliest);
        REQUIRE(until <= earliest + spread);
        ++of[(until - earliest) / (spread / 4 + 1ns)];
    }
    void check() const {
        for (const int callers : of) CHECK(callers > many / 5);
    }
};

// Each of many callers wants an attempt at the same instant, while `object` is full.
template <class Object>
void check_spread(Object& object, Turn& turn, Instant earliest, Duration spread) {
    CHECK(object.spread() == spread);
    Quarters quarters{earliest, spread};
    for (int i = 0; i < many; ++i) {
        Shared rule{object};
        rule.wanted(turn);
        Advice advice = rule.admit(turn.now);
        // Some objects return the wait only with a permit.
        if (advice.verb == Advice::Verb::go) advice = rule.begin(turn);
        REQUIRE(advice.verb == Advice::Verb::suspend);
        quarters.count(advice.until);
    }
    quarters.check();

    // These rules do not wait, so they draw no random number and get the exact time.
    Random same = turn.bits;
    if (object.admit(turn.now).verb != Advice::Verb::suspend) return;
    Shared fails_fast{object, FailFast{}};
    fails_fast.wanted(turn);
    CHECK(fails_fast.begin(turn).until == earliest);
    Shared layer{object};
    layer.do_not_spread();
    layer.wanted(turn);
    CHECK(layer.begin(turn).until == earliest);
    CHECK(turn.bits() == same());
}

// Callers of `object` that want an attempt, each after `prepare(caller)`.
template <class Object, class F>
std::vector<Shared<Object>> callers_of(Object& object, int count, Turn& turn, F prepare) {
    std::vector<Shared<Object>> callers;
    for (int i = 0; i < count; ++i) {
        callers.emplace_back(object);
        callers.back().wanted(turn);
        prepare(callers.back());
    }
    return callers;
}

// Opens the breaker by the failure of one more attempt. Returns the end of the open wait.
template <class Breaker>
Instant open_by_failure(Breaker& breaker, Turn& turn, Duration open = 30s) {
    Shared opens{breaker};
    opens.wanted(turn);
    REQUIRE(opens.begin(turn).verb == Advice::Verb::go);
    const Instant closes = turn.now + open;
    CHECK(opens.failed(Failure{Cause::lost}, turn).until == closes);
    return closes;
}

}  // namespace

TEST_CASE("Shared spreads the callers that wait for a Bulkhead over ask_every",
          "[call][shared_spread][unit]") {
    Random bits{Seed{1}};
    Turn turn{Instant{1h}, bits};
    Bulkhead bulkhead{{.limit = 1, .ask_every = 20ms}};
    const auto held = bulkhead.acquire(turn);
    check_spread(bulkhead, turn, turn.now + 20ms, 20ms);
}

TEST_CASE("Shared spreads the callers that wait for an AdaptiveLimit over its wait",
          "[call][shared_spread][unit]") {
    Random bits{Seed{1}};
    Turn turn{Instant{1h}, bits};
    AdaptiveLimit limit{Aimd{{.initial = 1, .least = 1, .most = 1}}, 300ms};
    const auto held = limit.acquire(turn);
    check_spread(limit, turn, turn.now + 300ms, 300ms);
}

TEST_CASE("Shared spreads the callers that a throttle rejects over ask_again",
          "[call][shared_spread][unit]") {
    Random bits{Seed{1}};
    Turn turn{Instant{1h}, bits};
    AdaptiveThrottle throttle{{.attempts_per_thousand = 1000, .ask_again = 2s}};
    for (int i = 0; i < 10'000; ++i) {
        static_cast<void>(throttle.acquire(turn).failure(turn));
    }
    CHECK(throttle.spread() == 2s);
    Quarters quarters{turn.now + 2s, 2s};
    int rejected = 0;
    while (rejected < many) {
        Shared rule{throttle};
        rule.wanted(turn);
        const Advice advice = rule.begin(turn);
        if (advice.verb == Advice::Verb::go) continue;
        quarters.count(advice.until);
        ++rejected;
    }
    quarters.check();
}

TEST_CASE("Shared spreads the callers that were under way when a breaker opened",
          "[call][shared_spread][regression]") {
    ManualClock clock;
    CircuitBreaker breaker{ConsecutiveFailures{1}, OpenFor{30s}, clock.view()};
    Random bits{Seed{1}};
    Turn turn{clock.now(), bits};
    auto callers = callers_of(
        breaker, many, turn, [&](auto& one) { REQUIRE(one.begin(turn).verb == Advice::Verb::go); });
    const Instant closes = open_by_failure(breaker, turn);
    turn.now += 1s;
    Quarters quarters{closes, 30s};
    for (auto& caller : callers) {
        const Advice advice = caller.failed(Failure{Cause::lost}, turn);
        REQUIRE(advice.verb == Advice::Verb::suspend);
        quarters.count(advice.until);
        CHECK(caller.admit(turn.now) == advice);
    }
    quarters.check();
}

TEST_CASE("Shared spreads the callers that planned a retry before a breaker opened",
          "[call][shared_spread][regression]") {
    ManualClock clock;
    CircuitBreaker breaker{ConsecutiveFailures{many + 1}, OpenFor{30s}, clock.view()};
    Random bits{Seed{1}};
    Turn turn{clock.now(), bits};
    auto callers = callers_of(breaker, many, turn, [&](auto& one) {
        REQUIRE(one.begin(turn).verb == Advice::Verb::go);
        REQUIRE(one.failed(Failure{Cause::lost}, turn).verb == Advice::Verb::go);
    });
    const Instant closes = open_by_failure(breaker, turn);
    Quarters quarters{closes, 30s};
    for (auto& caller : callers) quarters.count(caller.admit(turn.now).until);
    quarters.check();
}

TEST_CASE("Shared spreads the connections that were stable before a breaker opened",
          "[call][shared_spread][regression]") {
    ManualClock clock;
    CircuitBreaker breaker{ConsecutiveFailures{1}, OpenFor{30s}, clock.view()};
    Random bits{Seed{1}};
    Turn turn{clock.now(), bits};
    auto connections = callers_of(breaker, many, turn, [&](auto& one) {
        REQUIRE(one.begin(turn).verb == Advice::Verb::go);
        one.succeeded(turn);
    });
    Quarters quarters{open_by_failure(breaker, turn), 30s};
    for (auto& one : connections) quarters.count(one.admit(turn.now).until);
    quarters.check();
}

TEST_CASE(
    "Shared spreads the callers whose attempts a peer ended as planned before a breaker opened",
    "[call][shared_spread][regression]") {
    ManualClock clock;
    CircuitBreaker breaker{ConsecutiveFailures{1}, OpenFor{30s}, clock.view()};
    Random bits{Seed{1}};
    Turn turn{clock.now(), bits};
    auto callers = callers_of(breaker, many, turn, [&](auto& one) {
        REQUIRE(one.begin(turn).verb == Advice::Verb::go);
        REQUIRE(one.failed(Failure{Cause::planned}, turn).verb == Advice::Verb::go);
    });
    const Instant closes = open_by_failure(breaker, turn);
    Quarters quarters{closes, 30s};
    for (auto& caller : callers) quarters.count(caller.admit(turn.now).until);
    quarters.check();
}

TEST_CASE("Shared spreads the callers that lose a permit to another caller",
          "[call][shared_spread][regression]") {
    Random bits{Seed{1}};
    Turn turn{Instant{1h}, bits};
    Bulkhead bulkhead{{.limit = 1, .ask_every = 20ms}};
    auto callers = callers_of(bulkhead, many + 1, turn, [&](auto& one) {
        REQUIRE(one.admit(turn.now).verb == Advice::Verb::go);
    });
    callers.pop_back();
    Shared first{bulkhead};
    REQUIRE(first.begin(turn).verb == Advice::Verb::go);
    Quarters quarters{turn.now + 20ms, 20ms};
    for (auto& caller : callers) quarters.count(caller.begin(turn).until);
    quarters.check();
}

TEST_CASE("Shared spreads the callers over a spread of a few microseconds, and one of centuries",
          "[call][shared_spread][regression]") {
    Random bits{Seed{1}};
    Turn turn{Instant{1h}, bits};
    Bulkhead brief{{.limit = 1, .ask_every = 20us}};
    const auto of_brief = brief.acquire(turn);
    check_spread(brief, turn, turn.now + 20us, 20us);
    Bulkhead endless{{.limit = 1, .ask_every = 876'000h}};
    const auto of_endless = endless.acquire(turn);
    check_spread(endless, turn, turn.now + 876'000h, 876'000h);
}

TEST_CASE("Shared draws one random part for each instant", "[call][shared_spread][unit]") {
    Random bits{Seed{1}};
    Turn turn{Instant{1h}, bits};
    Bulkhead bulkhead{{.limit = 1, .ask_every = 20ms}};
    const auto held = bulkhead.acquire(turn);
    Shared rule{bulkhead};
    rule.wanted(turn);
    Quarters quarters{Instant{}, 20ms};
    for (int i = 0; i < many; ++i) {
        turn.now += 7ms;
        const Advice advice = rule.admit(turn.now);
        CHECK(rule.admit(turn.now) == advice);
        quarters.earliest = turn.now + 20ms;
        quarters.count(advice.until);
    }
    quarters.check();
}

TEST_CASE("A single caller whose probe fails waits exactly for the open wait",
          "[call][shared_spread][regression]") {
    for (const Duration open : {Duration{100ms}, Duration{1s}, Duration{30s}}) {
        ManualClock clock;
        CircuitBreaker breaker{ConsecutiveFailures{1}, OpenFor{open}, clock.view()};
        Random bits{Seed{1}};
        Shared caller{breaker};
        for (int i = 0; i < 5; ++i) {
            Turn turn{clock.now(), bits};
            caller.wanted(turn);
            REQUIRE(caller.admit(turn.now).verb == Advice::Verb::go);
            REQUIRE(caller.begin(turn).verb == Advice::Verb::go);
            CHECK(caller.failed(Failure{Cause::lost}, turn).until == turn.now + open);
            CHECK(caller.admit(turn.now).until == turn.now + open);
            clock.advance(open);
        }
    }
}

TEST_CASE("Shared spreads the callers of a breaker that is restored while open",
          "[call][shared_spread][regression]") {
    ManualClock clock;
    CircuitBreaker before{ConsecutiveFailures{1}, OpenFor{30s}, clock.view()};
    before.acquire().failure();
    CircuitBreaker restored{ConsecutiveFailures{1}, OpenFor{30s}, clock.view()};
    clock.advance(10s);
    REQUIRE(restored.restore(before.snapshot()));
    Random bits{Seed{1}};
    Turn turn{clock.now(), bits};
    check_spread(restored, turn, turn.now + 20s, 30s);
}

TEST_CASE("Shared spreads the callers of a breaker that is restored after its wait",
          "[call][shared_spread][regression]") {
    ManualClock clock;
    // The snapshot is of an open breaker shortly before or after the end of its wait, or of one
    // that probes.
    const int way = GENERATE(0, 1, 2);
    CircuitBreaker before{ConsecutiveFailures{1}, OpenFor{30s}, clock.view()};
    before.acquire().failure();
    clock.advance(way == 0 ? Duration{30s} - 1us : Duration{30s});
    std::optional<decltype(before.acquire())> probe;
    if (way == 2) probe.emplace(before.acquire());
    CircuitBreaker restored{ConsecutiveFailures{1}, OpenFor{30s}, clock.view()};
    REQUIRE(restored.restore(before.snapshot()));
    clock.advance(1us);
    const auto first = restored.acquire();
    REQUIRE(static_cast<bool>(first));
    Random bits{Seed{1}};
    Turn turn{clock.now(), bits};
    check_spread(restored, turn, restored.admit(turn.now).until, 30s);
}

TEST_CASE("Shared spreads the callers of a breaker that is restored by the wait of its opening",
          "[call][shared_spread][regression]") {
    const Backoff grows{NoJitter{}, Cap{64s}, 1s};
    ManualClock clock;
    CircuitBreaker breaker{ConsecutiveFailures{1}, grows, clock.view()};
    REQUIRE(breaker.restore({BreakerMode::automatic, BreakerState::half_open, 4, Duration{}}));
    CHECK(breaker.spread() == 8s);
    REQUIRE(breaker.restore({BreakerMode::automatic, BreakerState::closed, 0, Duration{}}));
    CHECK(breaker.spread() == 0s);
}

TEST_CASE("Shared spreads the callers of a breaker that is held open before it ever opened",
          "[call][shared_spread][regression]") {
    ManualClock clock;
    CircuitBreaker breaker{ConsecutiveFailures{1}, OpenFor{30s}, clock.view()};
    CHECK(breaker.spread() == 0s);
    const int way = GENERATE(0, 1, 2);
    std::optional<decltype(breaker.isolate())> isolation;
    if (way == 0) isolation.emplace(breaker.isolate());
    if (way == 1) breaker.set_mode(BreakerMode::forced_open);
    if (way == 2)
        REQUIRE(breaker.restore({BreakerMode::forced_open, BreakerState::open, 0, Duration{}}));
    Random bits{Seed{1}};
    Turn turn{clock.now(), bits};
    check_spread(breaker, turn, turn.now + 1s, 1s);
}

TEST_CASE("Shared spreads the callers of a breaker that is held open over at most a second",
          "[call][shared_spread][regression]") {
    ManualClock clock;
    CircuitBreaker breaker{ConsecutiveFailures{1}, OpenFor{30s}, clock.view()};
    SECTION("when it opened before") { breaker.acquire().failure(); }
    SECTION("when it opened and closed before") {
        breaker.acquire().failure();
        clock.advance(30s);
        breaker.acquire().success();
        REQUIRE(breaker.state() == BreakerState::closed);
    }
    auto isolation = breaker.isolate();
    SECTION("when its rules were replaced since then") {
        breaker.set_rules(ConsecutiveFailures{1}, OpenFor{300s});
    }
    Random bits{Seed{1}};
    Turn turn{clock.now(), bits};
    check_spread(breaker, turn, turn.now + 1s, 1s);
    // When it opens after the hold, the spread is that of its rules.
    isolation.end();
    breaker.set_rules(ConsecutiveFailures{1}, OpenFor{5s});
    open_by_failure(breaker, turn, 5s);
    CHECK(breaker.spread() == 5s);
}

TEST_CASE("Shared does not spread by the open wait of former rules",
          "[call][shared_spread][unit]") {
    ManualClock clock;
    CircuitBreaker breaker{ConsecutiveFailures{1}, OpenFor{300s}, clock.view()};
    breaker.acquire().failure();
    Random bits{Seed{1}};
    Turn turn{clock.now(), bits};
    breaker.set_rules(ConsecutiveFailures{1}, OpenFor{5s});
    {
        const auto probe = breaker.acquire();
        Shared waits{breaker};
        waits.wanted(turn);
        CHECK(waits.admit(turn.now).until >= turn.now + 1s);
        CHECK(waits.admit(turn.now).until <= turn.now + 6s);
    }
    open_by_failure(breaker, turn, 5s);
    CHECK(breaker.spread() == 5s);
}
