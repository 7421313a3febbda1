// SPDX-License-Identifier: MIT
// Goal: an outbox keeps its promise through power cuts, partitions and cut connections. Method:
// simulated worlds, half of them for each promise, and a verification of what arrived.
#include <belay/session/outbox.hpp>

#include "support/catch.hpp"
#include "support/seeds.hpp"
#include "support/session/outbox_world.hpp"

using namespace belay;
using belay_test::OutboxWorld;

TEST_CASE("Outbox keeps its promise and its order in worlds that fail",
          "[session][outbox_world][sim]") {
    std::size_t repeated = 0;
    std::size_t missing = 0;
    int refused = 0;
    belay_test::for_each_seed([&](Seed seed) {
        const auto promise =
            seed.value % 2 == 0 ? OutboxOptions::at_most_once : OutboxOptions::at_least_once;
        OutboxWorld world{seed, promise};
        REQUIRE(world.run());
        refused += world.refused;
        REQUIRE(world.verdict() == "");
        const std::set<std::string> there(world.received.begin(), world.received.end());
        if (promise == OutboxOptions::at_least_once) {
            repeated += world.received.size() - there.size();
        } else {
            missing += world.accepted.size() - there.size();
        }
    });
    // The faults met messages on their way; otherwise this test shows nothing.
    CHECK(repeated > 0);
    CHECK(missing > 0);
    CHECK(refused > 0);
}
