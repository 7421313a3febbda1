// SPDX-License-Identifier: MIT
// Goal: an optional rule that is set counts like a rule in its place, and one that is not set
// counts like no rule. Method: two forms of the same policy get the same random events; examples.
#include <belay/policy/any_policy.hpp>

#include <belay/backoff/backoff.hpp>
#include <belay/breaker/breaker.hpp>
#include <belay/budget/budgets.hpp>
#include <belay/call/retry.hpp>
#include <belay/policy/remembered.hpp>
#include <belay/policy/rules.hpp>
#include <belay/policy/shared.hpp>

#include "support/catch.hpp"
#include "support/policy/policy_twins.hpp"

using namespace belay;
using namespace std::chrono_literals;
using belay_test::twins_agree;
using policies::AnyPolicy;
using policies::OptionalRule;

TEST_CASE("A full optional rule counts as if it were written in its place",
          "[policy][optional_rule][property]") {
    CHECK(rc::check("all rules are optional", [] {
        TokenBudget budgets[2];
        const Policy flat{Backoff{FullJitter{}, Cap{30s}, 100ms},
                          CooldownOn{Cause::overloaded, 5s, 15s},
                          SpreadHint::plus_percent(50),
                          Breaker{ConsecutiveFailures{3}, OpenFor{40s}},
                          Shared{budgets[0]},
                          MaxElapsed{10min},
                          AttemptTimeout{9s},
                          MaxAttempts{20}};
        const Policy optional{
            std::optional{Backoff{FullJitter{}, Cap{30s}, 100ms}},
            std::optional{Policy{std::optional{CooldownOn{Cause::overloaded, 5s, 15s}},
                                 SpreadHint::plus_percent(50)}},
            std::optional{Breaker{ConsecutiveFailures{3}, OpenFor{40s}}},
            std::optional{Shared{budgets[1]}},
            std::optional{AnyPolicy{MaxElapsed{10min}}},
            std::optional{AttemptTimeout{9s}},
            std::optional{MaxAttempts{20}}};
        twins_agree(flat, optional);
        RC_ASSERT(budgets[0].tokens_milli() == budgets[1].tokens_milli());
    }));
}

TEST_CASE("An empty optional rule counts as if it were not written",
          "[policy][optional_rule][property]") {
    CHECK(rc::check("no optional rule is set", [] {
        const Policy without{Backoff{FullJitter{}, Cap{30s}, 100ms}, MaxElapsed{10min}};
        const Policy empty{
            std::optional<CooldownOn>{},     Backoff{FullJitter{}, Cap{30s}, 100ms},
            std::optional<AttemptTimeout>{}, std::optional<SpreadHint>{},
            std::optional<Breaker<>>{},      std::optional<MaxElapsed>{MaxElapsed{10min}},
            std::optional<MaxAttempts>{},    std::optional<AnyPolicy>{}};
        twins_agree(without, empty);
    }));
}

TEST_CASE("Policy::reset does not remove an optional rule", "[policy][optional_rule][unit]") {
    Random bits{Seed{1}};
    Turn turn{Instant{}, bits};
    Policy policy{std::optional{MaxAttempts{1}}};
    policy.reset();
    CHECK(policy.failed(Failure{Cause::lost}, turn).verb == Advice::Verb::stop);
    policy.reset();
    CHECK(policy.admit(turn.now).verb == Advice::Verb::go);
    CHECK(policy.failed(Failure{Cause::lost}, turn).by == "MaxAttempts");
}

TEST_CASE("An optional rule requires that a call takes an Attempt only if the rule limits attempts",
          "[policy][optional_rule][unit]") {
    STATIC_REQUIRE(RuleLike<OptionalRule<MaxAttempts>>);
    STATIC_REQUIRE(!detail::limits_attempts<decltype(Policy{std::optional<MaxAttempts>{}})>);
    STATIC_REQUIRE(detail::limits_attempts<decltype(Policy{std::optional<AttemptTimeout>{}})>);
    STATIC_REQUIRE(
        !detail::limits_attempts<decltype(Policy{std::optional<Policy<MaxAttempts>>{}})>);
    STATIC_REQUIRE(!detail::HasWanted<OptionalRule<MaxAttempts>>);
    STATIC_REQUIRE(detail::HasWanted<OptionalRule<MaxElapsed>>);
    STATIC_REQUIRE(Policy{std::optional<AttemptTimeout>{}, AttemptTimeout{7s}}.attempt_limit(9s) ==
                   7s);
    STATIC_REQUIRE(Policy{std::optional<AttemptTimeout>{}}.attempt_limit(9s) == 9s);
}
