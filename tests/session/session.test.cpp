// SPDX-License-Identifier: MIT
// Goal: every accepted operation takes effect once and in order, under all faults. Method:
// exploration, and worlds that run again.
#include <belay/session/session.hpp>

#include "support/catch.hpp"
#include "support/session/session_world.hpp"
#include "support/worlds/explored.hpp"

using namespace belay;
using namespace belay_test;

namespace {

/// BELAY_SEEDS worlds, but no more than `most`.
sim::Report explored_sessions(const SessionWorldOptions& options, std::uint64_t most) {
    const std::uint64_t seeds = std::min(from_environment("BELAY_SEEDS", 2000), most);
    return explored_as_wanted({.seeds = seeds, .scenario = options.faults},
                              session_body<>(options));
}
/// In how many worlds a mark was reached.
std::uint64_t reached(const sim::Report& report, std::string_view mark) {
    const auto found = report.marks.find(mark);
    return found == report.marks.end() ? 0 : found->second;
}

}  // namespace

TEST_CASE("Session delivers everything when nothing fails", "[session][session][sim]") {
    sim::World world{Seed{1}};
    SessionWorld<>& w = world.make<SessionWorld<>>(world, SessionWorldOptions{.cut_one_in = 0});
    CHECK(w.run());
    CHECK(w.connected.size() == 1);
    CHECK_FALSE(world.marks().contains("connected again"));
}

TEST_CASE("Session delivers each operation exactly once, in order, under all faults",
          "[session][session][sim][property]") {
    SessionWorldOptions options;
    options.latency_max = 60ms;
    options.receiver.commit_within = 20ms;
    const sim::Report report = explored_sessions(options, no_limit);
    CHECK(report);
    // The worlds must have been worth passing.
    CHECK(reached(report, "connected again") >= report.seeds_run / 2);
    CHECK(reached(report, "killed with operations in flight") >= report.seeds_run / 2);
}

TEST_CASE("Session drains within the time limit, and delivers all accepted operations",
          "[session][session][sim][property]") {
    SessionWorldOptions options;
    options.drains = 8;
    options.latency_max = 60ms;
    const sim::Report report = explored_sessions(options, 500);
    CHECK(report);
    CHECK(reached(report, "drained") >= report.seeds_run / 2);
    CHECK(reached(report, "drained late") >= report.seeds_run / 8);
}

TEST_CASE("Session and Receiver have the same history however often they are advanced",
          "[session][session][sim][property]") {
    const auto hash = [](Seed seed, std::uint32_t extra_turns_one_in) {
        const SessionWorldOptions options;
        sim::World world{seed, {.extra_turns_one_in = extra_turns_one_in, .draw = options.faults}};
        REQUIRE(session_body<>(options)(world));
        return world.trace_hash();
    };
    for_each_seed(
        [&](Seed seed) {
            // Two equal runs are compared above: ExploreOptions::recheck_percent.
            REQUIRE(hash(seed, 0) == hash(seed, 2));
        },
        150);
}
