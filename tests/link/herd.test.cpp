// SPDX-License-Identifier: MIT
// Goal: ten thousand clients whose server comes back after 20 s do not fall upon it: at most 1.2 % of
// them in any 100 ms, at most 6.5 dials each. Method: virtual time, the same run as bench/link/herd; a
// rule without chance shows what is measured.
#include <belay/call/policies.hpp>

#include <belay/backoff/no_jitter.hpp>

#include "support/catch.hpp"
#include "support/link/herd.hpp"

using namespace belay;
using namespace std::chrono_literals;
using belay_test::herd;
using belay_test::HerdTally;

TEST_CASE("policies::connection keeps ten thousand clients from falling upon their server",
          "[link][herd][sim]") {
    const HerdTally tally = herd(policies::connection(), 10'000, 20s, Seed{1});
    CHECK(tally.back.size() == 10'000);
    CHECK(tally.peak_after() <= 1.2);
    CHECK(tally.peak_away() <= 20);
    CHECK(tally.dials_each() <= 6.5);
    CHECK(tally.seconds_until(1) <= 30);
}

TEST_CASE("A herd without chance comes as one", "[link][herd][sim]") {
    const HerdTally tally = herd(Policy{Backoff{NoJitter{}, Cap{30s}, 1s}}, 1000, 20s, Seed{1});
    CHECK(tally.peak_after() == 100);
    CHECK(tally.dials_each() == 5);
    CHECK(herd(belay_test::phoenix_rule, 100, 20s, Seed{1}).peak_after() == 100);
}

TEST_CASE("A herd is the same for the same seed", "[link][herd][sim]") {
    const auto run = [](Seed seed) { return herd(policies::connection(), 500, 20s, seed); };
    CHECK(run(Seed{1}).dials == run(Seed{1}).dials);
    CHECK(run(Seed{1}).dials != run(Seed{2}).dials);
}
