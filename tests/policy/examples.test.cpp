// SPDX-License-Identifier: MIT
// Goal: the rule of docs/how-to/policies-in-a-program.md, and examples of retries and breakers, compile and
// work as described. Keep the rule in step with the page.
#include <optional>

#include <belay/backoff/backoff.hpp>
#include <belay/breaker/breaker.hpp>
#include <belay/breaker/circuit_breaker.hpp>
#include <belay/call/retry.hpp>
#include <belay/core/clocks.hpp>
#include <belay/policy/policy.hpp>
#include <belay/policy/rules.hpp>
#include <belay/policy/shared.hpp>

#include "support/archetypes.hpp"
#include "support/catch.hpp"

using namespace belay;
using namespace std::chrono_literals;

namespace {

/// At most so many attempts in a row without a pause: then wait a minute.
struct PauseAfterFailures {
    static constexpr std::string_view name = "PauseAfterFailures";
    int in_a_row = 5;
    int failures = 0;

    constexpr Advice failed(const Failure& failure, Turn& turn) noexcept {
        const Duration pause = ++failures % in_a_row == 0 ? 60s : 0s;
        // A server may request a longer wait.
        const Duration wait = std::max(pause, failure.retry_after);
        return wait > 0s ? Advice::wait_at_least(after(turn.now, wait)) : Advice::go();
    }
    constexpr void succeeded(Turn&) noexcept { failures = 0; }
};

}  // namespace

TEST_CASE("Example: retry a call until it works", "[policy][examples][unit]") {
    Random bits{Seed{1}};
    belay_test::MinimalSleeper sleeper{bits};
    int calls = 0;
    const auto fetch_scene = [&]() -> std::optional<int> {
        if (++calls < 3) return std::nullopt;
        return 42;
    };

    Policy policy{
        Backoff{FullJitter{}, Cap{30s}, 1s},
        CooldownOn{Cause::overloaded, 5s, 15s},
        Breaker{ConsecutiveFailures{5}, OpenFor{300s}},
        MaxAttempts{10},
        ResetWhenStable{10s},
    };
    Result<int> scene = retry(policy, sleeper, fetch_scene);

    CHECK(scene.value() == 42);
    CHECK(calls == 3);
}

TEST_CASE("Example: one breaker for many callers", "[policy][examples][unit]") {
    ManualClock clock;
    const auto ask = [] { return false; };
    int answered_at_once = 0;

    CircuitBreaker breaker{ConsecutiveFailures{5}, OpenFor{300s}, clock.view()};
    Policy calls{Backoff{FullJitter{}, Cap{10s}, 100ms}, Shared{breaker}, MaxAttempts{5}};

    for (int i = 0; i < 8; ++i) {
        if (auto permit = breaker.acquire()) {
            ask() ? permit.success() : permit.failure();
        } else {
            ++answered_at_once;  // until permit.retry_at()
        }
    }

    CHECK(answered_at_once == 3);
    CHECK(calls.admit(clock.now()).by == "CircuitBreaker");
}

TEST_CASE("Example: a user's own rule", "[policy][examples][unit]") {
    constexpr auto fifth_wait = [] {
        Policy policy{PauseAfterFailures{}, MaxAttempts{10}};
        Random bits{Seed{1}};
        Turn turn{Instant{}, bits};
        for (int i = 0; i < 4; ++i) static_cast<void>(policy.failed(Failure{Cause::lost}, turn));
        return policy.failed(Failure{Cause::lost}, turn);
    };
    static_assert(RuleLike<PauseAfterFailures>);
    static_assert(fifth_wait() ==
                  Advice{Advice::Verb::wait_at_least, Instant{} + 60s, "PauseAfterFailures"});
    constexpr auto wait_of = [](int in_a_row, Duration retry_after) {
        PauseAfterFailures rule{.in_a_row = in_a_row};
        Random bits{Seed{1}};
        Turn turn{Instant{}, bits};
        return rule.failed(Failure{.cause = Cause::overloaded, .retry_after = retry_after}, turn);
    };
    static_assert(wait_of(5, 0s) == Advice::go());
    static_assert(wait_of(5, 7s) == Advice::wait_at_least(Instant{} + 7s));
    static_assert(wait_of(1, 7s) == Advice::wait_at_least(Instant{} + 60s));
    static_assert(wait_of(1, 90s) == Advice::wait_at_least(Instant{} + 90s));
}
