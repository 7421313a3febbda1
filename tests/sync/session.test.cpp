// SPDX-License-Identifier: MIT
// Goal: whatever fails, every accepted operation takes effect once and in order; found by worlds of
// faults.
#include <belay/sync/session.hpp>

#include "support/catch.hpp"
#include "support/seeds.hpp"
#include "support/session_world.hpp"

using namespace belay;
using namespace belay::test;
using belay_test::for_each_seed;

TEST_CASE("Session delivers everything when nothing fails", "[sync][session][sim]") {
    SessionWorld<> w{Seed{1},
                     {.adversary = {.server_kills = 0,
                                    .client_kills = 0,
                                    .partitions = 0,
                                    .pauses = 0,
                                    .half_opens = 0,
                                    .drops = 0,
                                    .cut_one_in = 0,
                                    .within = 5s}}};
    CHECK(w.run());
    CHECK(w.verdict().empty());
    CHECK(w.connects == 1);
    CHECK(w.blocked.empty());
}

TEST_CASE("Session delivers each operation exactly once, in order, under all faults",
          "[sync][session][sim][property]") {
    std::uint64_t connects = 0;
    std::uint64_t events = 0;
    for_each_seed([&](Seed seed) {
        SessionWorld<> w{seed};
        const bool finished = w.run();
        INFO(w.verdict());
        REQUIRE(w.verdict().empty());
        REQUIRE(finished);
        REQUIRE(w.blocked.empty());
        connects += static_cast<std::uint64_t>(w.connects);
        events += w.world.events();
    });
    WARN("connections: " << connects << ", events: " << events);
}
