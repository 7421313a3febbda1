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
    check(breaker.acquire().advice().verb == Verb::suspend, "the breaker is open");
    clock.advance(10s);
    breaker.acquire().success();
    check(policy.admit(clock.now()).verb == Verb::go, "the breaker is closed");
}

}  // namespace

int main() {
    shares_a_breaker();
    return failures == 0 ? 0 : 1;
}
