// SPDX-License-Identifier: MIT
// Goal: no attempt starts after the instant, and no wait for one begins. Method: timelines at
// compile time.
#include <belay/policy/rules.hpp>

#include <type_traits>

#include <belay/backoff/backoff.hpp>
#include <belay/backoff/jitters.hpp>
#include <belay/breaker/breaker.hpp>
#include <belay/call/retry.hpp>
#include <belay/policy/policy.hpp>

#include "support/archetypes.hpp"
#include "support/catch.hpp"

using namespace belay;
using namespace std::chrono_literals;

namespace {
constexpr Instant noon{12h};
}

static_assert(sizeof(Deadline) == 8 && std::is_trivially_copyable_v<Deadline>);
static_assert(Deadline{noon} == Deadline{noon} && Deadline{noon} != Deadline{never});

TEST_CASE("Deadline admits attempts up to and including its instant", "[policy][deadline][unit]") {
    STATIC_REQUIRE(Deadline{noon}.admit(always).verb == Advice::Verb::go);
    STATIC_REQUIRE(Deadline{noon}.admit(noon).verb == Advice::Verb::go);
    STATIC_REQUIRE(Deadline{noon}.admit(noon + 1ns).verb == Advice::Verb::stop);
    STATIC_REQUIRE(Deadline{never}.admit(never).verb == Advice::Verb::go);
    STATIC_REQUIRE(Deadline{always}.admit(Instant{}).verb == Advice::Verb::stop);
}

TEST_CASE("Deadline stops a plan that ends after it, with any verb", "[policy][deadline][unit]") {
    STATIC_REQUIRE([] {
        Random bits{Seed{1}};
        Turn turn{noon - 1h, bits};
        const Deadline rule{noon};
        bool ok = rule.review(Advice::go(), turn) == Advice::go();
        for (const auto make : {&Advice::wait_at_least, &Advice::wait_exactly, &Advice::suspend}) {
            ok = ok && rule.review(make(noon), turn) == Advice::go();
            ok = ok && rule.review(make(noon + 1ns), turn) == Advice::stop();
            ok = ok && rule.review(make(never), turn) == Advice::stop();
            ok = ok && rule.review(make(always), turn) == Advice::go();
        }
        turn.now = noon + 1ns;
        // A plan for an instant in the past means now.
        return ok && rule.review(Advice::go(), turn) == Advice::stop() &&
               rule.review(Advice::wait_at_least(noon), turn) == Advice::stop();
    }());
}

TEST_CASE("Deadline in a policy fails at once instead of waiting for a hint or an open breaker",
          "[policy][deadline][unit]") {
    Policy policy{Deadline{noon}, Backoff{NoJitter{}, Cap{1h}, 1s},
                  Breaker{ConsecutiveFailures{2}, OpenFor{300s}}};
    Random bits{Seed{1}};
    Turn turn{noon - 60s, bits};
    static_cast<void>(policy.begin(turn));
    CHECK(policy.failed(Failure{.cause = Cause::lost, .retry_after = 60s}, turn) ==
          Advice{Advice::Verb::wait_at_least, noon, "Backoff"});
    static_cast<void>(policy.begin(turn));
    // The open wait of the breaker ends after the deadline.
    CHECK(policy.failed(Failure{Cause::lost}, turn) ==
          Advice{Advice::Verb::stop, never, "Deadline"});
    policy.reset();
    CHECK(policy.lost(Failure{.cause = Cause::lost, .retry_after = 61s}, turn).verb ==
          Advice::Verb::stop);
}

TEST_CASE("Deadline ends a retry before the wait that would be too long",
          "[policy][deadline][unit]") {
    Random bits{Seed{1}};
    belay_test::MinimalSleeper sleeper{bits};
    const Instant start = sleeper.now();
    int calls = 0;
    const Policy policy{Backoff{NoJitter{}, Cap{1h}, 1s}, Deadline{start + 3s}};
    CHECK_FALSE(retry(policy, sleeper, [&] { return ++calls, false; }).has_value());
    CHECK(calls == 3);
    CHECK(sleeper.now() == start + 3s);
    // A run that begins too late makes no call.
    sleeper.sleep_until(start + 4s, 0);
    CHECK(retry(policy, sleeper, [&] { return ++calls, true; }).error() ==
          make_error_code(CallErrc::gave_up));
    CHECK(calls == 3);
}

TEST_CASE("Deadline lets no attempt start after it", "[policy][deadline][property]") {
    CHECK(rc::check("for any planned waits", [] {
        const Instant last{Duration{*rc::gen::inRange<std::int64_t>(0, 100)}};
        Random bits{Seed{1}};
        Turn turn{Instant{}, bits};
        const Policy policy{Deadline{last}};
        for (int i = 0; i < 50; ++i) {
            const Instant until{Duration{*rc::gen::inRange<std::int64_t>(0, 120)}};
            const Advice advice = Deadline{last}.review(Advice::wait_at_least(until), turn);
            const Instant start = until > turn.now ? until : turn.now;
            RC_ASSERT((advice.verb == Advice::Verb::stop) == (start > last));
            RC_ASSERT((policy.admit(start).verb == Advice::Verb::stop) == (start > last));
            turn.now += Duration{*rc::gen::inRange<std::int64_t>(-2, 5)};
        }
    }));
}
