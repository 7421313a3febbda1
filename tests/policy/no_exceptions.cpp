// SPDX-License-Identifier: MIT
// A program without exceptions and run-time type information: policies must work there too.
#include <cstdio>
#include <optional>

#include <belay/core/manual_clock.hpp>
#include <belay/policy/attempt_timeout.hpp>
#include <belay/policy/backoff.hpp>
#include <belay/policy/breaker.hpp>
#include <belay/policy/circuit_breaker.hpp>
#include <belay/policy/cooldown_on.hpp>
#include <belay/policy/max_attempts.hpp>
#include <belay/policy/no_jitter.hpp>
#include <belay/policy/policy.hpp>
#include <belay/policy/proportional_jitter.hpp>
#include <belay/policy/reset_when_stable.hpp>
#include <belay/policy/retry.hpp>
#include <belay/policy/shared.hpp>
#include <belay/policy/stop_on.hpp>

#include "support/archetypes.hpp"

using namespace belay;
using namespace std::chrono_literals;

namespace {

int failures = 0;

void check(bool ok, const char* what) {
    if (ok) return;
    ++failures;
    std::fprintf(stderr, "failed: %s\n", what);
}

void retries_until_it_works() {
    Random bits{Seed{1}};
    belay_test::MinimalSleeper sleeper{bits};
    const Policy policy{Backoff{NoJitter{}, Cap{30s}, 1s},
                        CooldownOn{Cause::overloaded, 5s, 15s},
                        Breaker{ConsecutiveFailures{5}, OpenFor{300s}},
                        StopOn{Cause::permanent},
                        MaxAttempts{10},
                        ResetWhenStable{10s},
                        AttemptTimeout{5s}};
    int calls = 0;
    check(retry(policy, sleeper, [&] { return ++calls == 4; }).has_value(), "retry of a bool");
    check(sleeper.now() == Instant{} + 7s, "the waits of retry");
    check(retry(policy, sleeper, [] { return std::optional{5}; }).value() == 5, "optional");
    const auto error = std::make_error_code(std::errc::no_such_device);
    check(retry(policy, sleeper, [&] { return error; }) == error, "retry of an error code");
    check(retry(policy, sleeper, [] {}).has_value(), "retry of void");
    const StopSource source;
    source.request_stop();
    check(retry(
              policy, sleeper, [] { return 1; }, source.token())
                  .error() == PolicyErrc::stopped,
          "a stopped retry");
}

void shares_a_breaker() {
    ManualClock clock;
    CircuitBreaker breaker{ConsecutiveFailures{2}, OpenFor{10s}, clock.view()};
    Policy policy{Backoff{ProportionalJitter::plus_percent(10), Cap{1s}, 1s}, Shared{breaker}};
    Random bits{Seed{1}};
    Turn turn{clock.now(), bits};
    for (int i = 0; i < 2; ++i) {
        check(policy.begin(turn).verb == Verb::go, "begin while closed");
        static_cast<void>(policy.failed(Failure{Cause::lost}, turn));
    }
    check(!breaker.acquire(), "the breaker is open");
    clock.advance(10s);
    breaker.acquire().success();
    check(policy.admit(clock.now()).verb == Verb::go, "the breaker is closed");
}

}  // namespace

int main() {
    retries_until_it_works();
    shares_a_breaker();
    return failures == 0 ? 0 : 1;
}
