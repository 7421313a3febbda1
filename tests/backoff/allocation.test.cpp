// SPDX-License-Identifier: MIT
// Goal: no draw allocates, alone or in a policy. Method: a counting operator new.
#include <belay/backoff/backoff.hpp>
#include <belay/backoff/caps.hpp>
#include <belay/backoff/jitters.hpp>
#include <belay/policy/policy.hpp>

#include "support/catch.hpp"
#include "support/counting_new.hpp"

using namespace belay;
using namespace std::chrono_literals;
using belay_test::Counting;

TEST_CASE("Backoff::next never allocates, nor does a policy with one",
          "[backoff][allocation][unit]") {
    Policy policy{Backoff{FullJitter{}, Cap{30s}, 1s}};
    Backoff backoff{FullJitter{}, Cap{30s}, 1s, Seed{7}};
    Random bits{Seed{1}};
    Turn turn{Instant{}, bits};
    std::uint64_t sum = 0;
    std::size_t made = 0;
    {
        const Counting counting;
        for (int i = 0; i < 100; ++i) {
            sum += static_cast<std::uint64_t>(backoff.next().count());
            turn.now += 1s;
            sum += policy.failed(Failure{.cause = Cause::lost}, turn).by.size();
        }
        made = counting.made();
    }
    CHECK(sum != 0);
    CHECK(made == 0);
}
