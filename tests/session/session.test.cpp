// SPDX-License-Identifier: MIT
// Goal: every accepted operation takes effect once and in order, under all faults. Method:
// simulated worlds with random faults.
#include <belay/session/session.hpp>

#include "support/catch.hpp"
#include "support/seeds.hpp"
#include "support/session/session_world.hpp"

using namespace belay;
using namespace belay_test;
using belay_test::for_each_seed;

TEST_CASE("Session delivers everything when nothing fails", "[session][session][sim]") {
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
          "[session][session][sim][property]") {
    std::uint64_t worlds = 0, connects = 0, kills_in_flight = 0;
    SessionWorldOptions options;
    options.latency_max = 60ms;
    options.receiver.commit_within = 20ms;
    for_each_seed([&](Seed seed) {
        SessionWorld<> w{seed, options};
        const bool finished = w.run();
        INFO(w.verdict());
        REQUIRE(w.verdict().empty());
        REQUIRE(finished);
        REQUIRE(w.blocked.empty());
        ++worlds;
        connects += static_cast<std::uint64_t>(w.connects);
        kills_in_flight += static_cast<std::uint64_t>(w.kills_in_flight);
    });
    if (worlds < 100) return;
    // The worlds must have been worth passing.
    CHECK(connects > 5 * worlds);
    CHECK(kills_in_flight > worlds);
}

TEST_CASE("Session drains within the time limit, and delivers all accepted operations",
          "[session][session][sim][property]") {
    int worlds = 0, drained = 0, late = 0;
    SessionWorldOptions options;
    options.adversary.drains = 8;
    options.latency_max = 60ms;
    for_each_seed(
        [&](Seed seed) {
            SessionWorld<> w{seed, options};
            const bool finished = w.run();
            INFO(w.verdict());
            REQUIRE(w.verdict().empty());
            REQUIRE(finished);
            ++worlds;
            drained += w.drained;
            late += w.drained_late;
        },
        500);
    if (worlds < 100) return;
    CHECK(drained > 3 * worlds);
    CHECK(late > worlds / 5);
}

TEST_CASE("Session and Receiver have the same history however often they are advanced",
          "[session][session][sim][property]") {
    for_each_seed(
        [&](Seed seed) {
            SessionWorldOptions often;
            often.world.extra_turns_one_in = 2;
            SessionWorld<> a{seed}, b{seed}, c{seed, often};
            static_cast<void>(a.run());
            static_cast<void>(b.run());
            static_cast<void>(c.run());
            REQUIRE(a.world.trace_hash() == b.world.trace_hash());
            REQUIRE(a.world.trace_hash() == c.world.trace_hash());
        },
        200);
}
