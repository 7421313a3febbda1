// SPDX-License-Identifier: MIT
// Goal: exactly the given number of failures is allowed within any period. Method: examples, and a
// brute-force model on random histories.
#include <belay/policy/rules.hpp>

#include <algorithm>
#include <type_traits>
#include <vector>

#include <belay/call/retry.hpp>
#include <belay/policy/policy.hpp>

#include "support/aborts.hpp"
#include "support/archetypes.hpp"
#include "support/catch.hpp"
#include "support/shorthand.hpp"

using namespace belay;
using namespace std::chrono_literals;
using belay_test::lost;

namespace {

template <std::size_t Most>
constexpr Advice::Verb fail(RestartIntensity<Most>& rule, Instant now, Failure failure = lost) {
    Random bits{Seed{1}};
    Turn turn{now, bits};
    return rule.failed(failure, turn).verb;
}
template <std::size_t Most>
constexpr Advice::Verb lose(RestartIntensity<Most>& rule, Instant now) {
    Random bits{Seed{1}};
    Turn turn{now, bits};
    return rule.lost(lost, turn).verb;
}

// The rule in its simplest form.
struct Model {
    std::size_t most;
    Duration period;
    std::vector<Instant> failures{};
    bool stopped = false;

    bool fail(Instant now) {
        const auto recent = std::count_if(failures.begin(), failures.end(),
                                          [&](Instant t) { return now - t <= period; });
        failures.push_back(now);
        stopped = stopped || static_cast<std::size_t>(recent) >= most;
        return stopped;
    }
};

template <std::size_t Most>
void agrees_with_model() {
    const Duration period{*rc::gen::inRange<std::int64_t>(1, 30)};
    RestartIntensity<Most> rule{period};
    Model model{Most, period};
    Instant now{};
    for (const auto step :
         *rc::gen::container<std::vector<std::int64_t>>(rc::gen::inRange<std::int64_t>(0, 20))) {
        now += Duration{step};
        const bool stop = (step % 2 == 0 ? fail(rule, now) : lose(rule, now)) == Advice::Verb::stop;
        RC_ASSERT(stop == model.fail(now));
        RC_ASSERT((rule.admit(now).verb == Advice::Verb::stop) == model.stopped);
        if (stop && step % 3 == 0) {
            rule.reset();
            model = Model{Most, period};
        }
    }
}

}  // namespace

static_assert(sizeof(RestartIntensity<5>) == 5 * 8 + 32);
static_assert(std::is_trivially_copyable_v<RestartIntensity<5>>);

TEST_CASE("RestartIntensity stops at one more than it allows within the period",
          "[policy][restart_intensity][unit]") {
    STATIC_REQUIRE([] {
        RestartIntensity<3> rule{60s};
        bool ok = true;
        for (int i = 0; i < 3; ++i) ok = ok && fail(rule, Instant{i * 20s}) == Advice::Verb::go;
        // At exactly 60 s the first failure is still within the period, as in Erlang.
        return ok && fail(rule, Instant{60s}) == Advice::Verb::stop;
    }());
    STATIC_REQUIRE([] {
        RestartIntensity<3> rule{60s};
        bool ok = true;
        for (int i = 0; i < 3; ++i) ok = ok && fail(rule, Instant{i * 20s}) == Advice::Verb::go;
        return ok && fail(rule, Instant{60s + 1ns}) == Advice::Verb::go;
    }());
    STATIC_REQUIRE([] {
        RestartIntensity<1> rule{1ns};
        return fail(rule, Instant{}) == Advice::Verb::go &&
               fail(rule, Instant{2ns}) == Advice::Verb::go &&
               fail(rule, Instant{3ns}) == Advice::Verb::stop;
    }());
}

TEST_CASE("RestartIntensity uses a sliding period: it counts failures on both sides of any instant",
          "[policy][restart_intensity][unit]") {
    // Pitfall 17: five failures at the end of one fixed window, and five at the start of the next.
    RestartIntensity<5> rule{30s};
    for (int i = 0; i < 5; ++i) CHECK(fail(rule, Instant{29900ms}) == Advice::Verb::go);
    CHECK(fail(rule, Instant{30100ms}) == Advice::Verb::stop);
}

TEST_CASE("RestartIntensity allows failures at a slow rate for ever",
          "[policy][restart_intensity][unit]") {
    RestartIntensity<2> rule{10s};
    for (int i = 0; i < 1000; ++i) CHECK(fail(rule, Instant{i * 5001ms}) == Advice::Verb::go);
}

TEST_CASE("RestartIntensity counts lost connections, also after a success",
          "[policy][restart_intensity][unit]") {
    STATIC_REQUIRE(!detail::HasSucceeded<RestartIntensity<2>>);
    // A connection that works for a moment and is lost, again and again.
    Policy policy{RestartIntensity<2>{60s}};
    Random bits{Seed{1}};
    Turn turn{Instant{}, bits};
    for (int i = 0; i < 3; ++i) {
        static_cast<void>(policy.begin(turn));
        turn.now += 10s;
        policy.succeeded(turn);
        const Advice advice = policy.lost(lost, turn);
        CHECK(advice.verb == (i < 2 ? Advice::Verb::go : Advice::Verb::stop));
        if (i == 2) CHECK(advice.by == "RestartIntensity");
    }
}

TEST_CASE("RestartIntensity counts no planned or abandoned attempt, and reset clears it",
          "[policy][restart_intensity][unit]") {
    STATIC_REQUIRE(!detail::HasAbandoned<RestartIntensity<2>>);
    RestartIntensity<1> rule{60s};
    for (int i = 0; i < 10; ++i) {
        CHECK(fail(rule, Instant{}, Failure{Cause::planned}) == Advice::Verb::go);
    }
    CHECK(rule == RestartIntensity<1>{60s});
    CHECK(fail(rule, Instant{}) == Advice::Verb::go);
    CHECK(fail(rule, Instant{}) == Advice::Verb::stop);
    // The passed time does not change the advice: stop is final.
    CHECK(rule.admit(Instant{24h}).verb == Advice::Verb::stop);
    CHECK(fail(rule, Instant{24h}) == Advice::Verb::stop);
    rule.reset();
    CHECK(rule == RestartIntensity<1>{60s});
}

TEST_CASE("RestartIntensity works with clocks that stand still, step back or jump",
          "[policy][restart_intensity][unit]") {
    // Pitfall 11: a step back counts as no time, and nothing overflows.
    RestartIntensity<2> rule{10s};
    CHECK(fail(rule, Instant{100h}) == Advice::Verb::go);
    CHECK(fail(rule, Instant{1h}) == Advice::Verb::go);
    CHECK(fail(rule, always) == Advice::Verb::stop);
    RestartIntensity<2> ends{forever};
    CHECK(fail(ends, always) == Advice::Verb::go);
    CHECK(fail(ends, Instant{}) == Advice::Verb::go);
    CHECK(fail(ends, never) == Advice::Verb::stop);
    RestartIntensity<1> jump{10s};
    CHECK(fail(jump, always) == Advice::Verb::go);
    CHECK(fail(jump, never) == Advice::Verb::go);
}

TEST_CASE("RestartIntensity bounds a retry that has no wait", "[policy][restart_intensity][unit]") {
    Random bits{Seed{1}};
    belay_test::MinimalSleeper sleeper{bits};
    int calls = 0;
    CHECK_FALSE(
        retry(RestartIntensity<4>{1s}, sleeper, [&] { return ++calls, false; }).has_value());
    CHECK(calls == 5);
}

TEST_CASE("RestartIntensity agrees with a list of all failures",
          "[policy][restart_intensity][property]") {
    CHECK(rc::check("1", [] { agrees_with_model<1>(); }));
    CHECK(rc::check("2", [] { agrees_with_model<2>(); }));
    CHECK(rc::check("5", [] { agrees_with_model<5>(); }));
}

TEST_CASE("RestartIntensity aborts on invalid arguments", "[policy][restart_intensity][unit]") {
    CHECK(belay_test::aborts_with([] {
              static_cast<void>(RestartIntensity<3>{0s});
          }).find("the period must be > 0ns") != std::string::npos);
    CHECK(belay_test::aborts_with([] {
              static_cast<void>(RestartIntensity<3>{Duration::min()});
          }).find("the period must be > 0ns") != std::string::npos);
}
