// SPDX-License-Identifier: MIT
// Goal: no hook of a rule allocates, at any time. Method: a counting operator new.
#include <belay/policy/rules.hpp>

#include <belay/policy/policy.hpp>

#include "support/catch.hpp"
#include "support/counting_new.hpp"
#include "support/policy/policy_step.hpp"

using namespace belay;
using namespace std::chrono_literals;
using belay_test::Counting;
using belay_test::policy_step;

TEST_CASE("Hooks of rules never allocate", "[policy][allocation][unit]") {
    Policy policy{CooldownOn{Cause::overloaded, 5s, 15s}, MaxAttempts{10}, ResetWhenStable{10s}};
    Random bits{Seed{1}};
    Turn turn{Instant{}, bits};
    std::size_t sum = 0;
    std::size_t made = 0;
    {
        const Counting counting;
        for (int i = 0; i < 100; ++i) {
            turn.now += 1s;
            sum += policy_step(policy, turn, i);
        }
        made = counting.made();
    }
    CHECK(sum != 0);
    CHECK(made == 0);
}
