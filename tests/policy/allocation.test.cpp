// SPDX-License-Identifier: MIT
// Goal: no hook of a rule allocates, at any time. Method: a counting operator new.
#include <belay/policy/cooldown_on.hpp>
#include <belay/policy/max_attempts.hpp>
#include <belay/policy/policy.hpp>
#include <belay/policy/reset_when_stable.hpp>

#include "support/catch.hpp"
#include "support/counting_new.hpp"

using namespace belay;
using namespace std::chrono_literals;
using belay_test::Counting;

TEST_CASE("Hooks of rules never allocate", "[policy][allocation][unit]") {
    Policy policy{CooldownOn{Cause::overloaded, 5s, 15s}, MaxAttempts{10}, ResetWhenStable{10s}};
    Random bits{Seed{1}};
    Turn turn{Instant{}, bits};
    std::uint64_t sum = 0;
    std::size_t made = 0;
    {
        const Counting counting;
        for (int i = 0; i < 100; ++i) {
            turn.now += 1s;
            const bool allowed = policy.admit(turn.now).allows(turn.now);
            if (allowed && policy.begin(turn).verb == Verb::go) {
                if (i % 3 == 0) {
                    policy.succeeded(turn);
                } else {
                    sum += policy.failed(Failure{.cause = Cause::overloaded}, turn).by.size();
                }
            }
            sum += policy.lost(Failure{.cause = Cause::lost}, turn).by.size();
        }
        made = counting.made();
    }
    CHECK(sum != 0);
    CHECK(made == 0);
}
