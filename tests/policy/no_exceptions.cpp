// SPDX-License-Identifier: MIT
// Goal: policy/ works under -fno-exceptions -fno-rtti. Method: each part once, without a framework.
#include <belay/policy/policy.hpp>
#include <belay/policy/remembered.hpp>
#include <belay/policy/rules.hpp>

using namespace belay;
using namespace std::chrono_literals;

namespace {

bool rules_fold() {
    Policy policy{MaxAttempts{3}, StopOn{Cause::permanent}, AttemptTimeout{2s},
                  ResetWhenStable{10s}, CooldownOn{Cause::overloaded, 5s, 15s}};
    Random bits{Seed{1}};
    Turn turn{Instant{1s}, bits};
    if (policy.begin(turn).verb != Advice::Verb::go) return false;
    const Advice cooled = policy.failed(Failure{Cause::overloaded}, turn);
    if (cooled.verb == Advice::Verb::stop || cooled.until < after(turn.now, 5s)) return false;
    turn.now = cooled.until;
    if (policy.begin(turn).verb != Advice::Verb::go) return false;
    return policy.failed(Failure{Cause::permanent}, turn).verb == Advice::Verb::stop;
}

bool attempts_end() {
    Policy policy{MaxAttempts{2}};
    Random bits{Seed{1}};
    Turn turn{Instant{1s}, bits};
    static_cast<void>(policy.begin(turn));
    if (policy.failed(Failure{Cause::lost}, turn).verb == Advice::Verb::stop) return false;
    static_cast<void>(policy.begin(turn));
    return policy.failed(Failure{Cause::lost}, turn).verb == Advice::Verb::stop;
}

}  // namespace

int main() {
    if (!rules_fold()) return 1;
    if (!attempts_end()) return 2;
    return 0;
}
