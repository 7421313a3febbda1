// SPDX-License-Identifier: MIT
// Goal: ten thousand clients whose server returns after 20 s spread their dials: at most 1.2 % of
// them in any 100 ms, at most 6.5 dials each. Method: virtual time, the same run as
// bench/link/mass_reconnect. A policy without randomness shows that the measurement works.
#include <belay/call/policies.hpp>

#include <belay/backoff/jitters.hpp>

#include "support/catch.hpp"
#include "support/link/mass_reconnect.hpp"

using namespace belay;
using namespace std::chrono_literals;
using belay_test::mass_reconnect;
using belay_test::ReconnectTally;

TEST_CASE("policies::connection spreads the dials of ten thousand clients after an outage",
          "[link][mass_reconnect][sim]") {
    const ReconnectTally tally = mass_reconnect(policies::connection(), 10'000, 20s, Seed{1});
    CHECK(tally.back.size() == 10'000);
    CHECK(tally.peak_after() <= 1.2);
    CHECK(tally.peak_away() <= 20);
    CHECK(tally.dials_each() <= 6.5);
    CHECK(tally.seconds_until(1) <= 30);
}

TEST_CASE("A policy without randomness makes all clients dial at once",
          "[link][mass_reconnect][sim]") {
    const ReconnectTally tally =
        mass_reconnect(Policy{Backoff{NoJitter{}, Cap{30s}, 1s}}, 1000, 20s, Seed{1});
    CHECK(tally.peak_after() == 100);
    CHECK(tally.dials_each() == 5);
    CHECK(mass_reconnect(belay_test::phoenix_rule, 100, 20s, Seed{1}).peak_after() == 100);
}

TEST_CASE("The dials of ten thousand clients are the same for the same seed",
          "[link][mass_reconnect][sim]") {
    const auto run = [](Seed seed) {
        return mass_reconnect(policies::connection(), 500, 20s, seed);
    };
    CHECK(run(Seed{1}).dials == run(Seed{1}).dials);
    CHECK(run(Seed{1}).dials != run(Seed{2}).dials);
}
