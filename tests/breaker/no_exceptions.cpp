// SPDX-License-Identifier: MIT
// Goal: breaker/ works under -fno-exceptions -fno-rtti. Method: each part once, without a framework.
#include <belay/breaker/breaker.hpp>
#include <belay/breaker/circuit_breaker.hpp>
#include <belay/breaker/trips.hpp>
#include <belay/core/clocks.hpp>
#include <belay/policy/policy.hpp>
#include <belay/policy/shared.hpp>

using namespace belay;
using namespace std::chrono_literals;

namespace {

bool rule_opens() {
    Policy policy{Breaker{ConsecutiveFailures{2}, OpenFor{10s}}};
    Random bits{Seed{1}};
    Turn turn{Instant{1s}, bits};
    for (int i = 0; i < 2; ++i) {
        if (policy.begin(turn).verb != Advice::Verb::go) return false;
        static_cast<void>(policy.failed(Failure{Cause::lost}, turn));
    }
    return policy.admit(turn.now).verb == Advice::Verb::suspend &&
           policy.admit(after(turn.now, 10s)).verb == Advice::Verb::go;
}

bool shared_one_opens_and_closes() {
    ManualClock clock;
    CircuitBreaker breaker{ConsecutiveFailures{2}, OpenFor{10s}, clock.view()};
    Policy policy{Shared{breaker}};
    Random bits{Seed{1}};
    Turn turn{clock.now(), bits};
    for (int i = 0; i < 2; ++i) {
        if (policy.begin(turn).verb != Advice::Verb::go) return false;
        static_cast<void>(policy.failed(Failure{Cause::lost}, turn));
    }
    if (breaker.acquire().advice().verb != Advice::Verb::suspend) return false;
    clock.advance(10s);
    breaker.acquire().success();
    return policy.admit(clock.now()).verb == Advice::Verb::go;
}

}  // namespace

int main() {
    if (!rule_opens()) return 1;
    if (!shared_one_opens_and_closes()) return 2;
    return 0;
}
