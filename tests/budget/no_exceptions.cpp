// SPDX-License-Identifier: MIT
// Goal: budget/ works under -fno-exceptions -fno-rtti. Method: each part once, without a framework.
#include <belay/budget/adaptive_limit.hpp>
#include <belay/budget/adaptive_throttle.hpp>
#include <belay/budget/budgets.hpp>
#include <belay/policy/policy.hpp>
#include <belay/policy/shared.hpp>

using namespace belay;
using namespace std::chrono_literals;

namespace {

/// Whether a call may begin after `failures` calls that failed, each with a retry planned.
template <class Budget>
bool begins_after_failures(Budget& budget, int failures) {
    Policy policy{Shared{budget}};
    Random bits{Seed{1}};
    Turn turn{Instant{1s}, bits};
    for (int i = 0; i < failures; ++i) {
        if (policy.begin(turn).verb != Advice::Verb::go) return false;
        if (policy.failed(Failure{Cause::lost}, turn).verb == Advice::Verb::stop) return false;
    }
    return true;
}

bool budgets_run_out() {
    TokenBudget tokens{TokenBudgetOptions::aws()};
    RatioBudget share;
    return begins_after_failures(tokens, 1) && !begins_after_failures(tokens, 1000) &&
           begins_after_failures(share, 1) && !begins_after_failures(share, 1000);
}

bool limits_hold_back() {
    AdaptiveLimit limit{Aimd{}};
    AdaptiveThrottle throttle;
    Random bits{Seed{1}};
    Turn turn{Instant{1s}, bits};
    {
        auto permit = limit.acquire(turn);
        if (limit.in_flight() != 1) return false;
        static_cast<void>(permit.failure(turn));
    }
    return limit.in_flight() == 0 && throttle.rejected_per_thousand(turn.now) == 0;
}

}  // namespace

int main() {
    if (!budgets_run_out()) return 1;
    if (!limits_hold_back()) return 2;
    return 0;
}
