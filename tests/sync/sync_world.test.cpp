// SPDX-License-Identifier: MIT
// Goal: offline operations of clients are in the server's store exactly once, under all faults.
// Method: exploration of clients with journals, wrong clocks and sessions, and a server with a
// processor on a store. A verification reads the server's disk; it is tested with planted mistakes.
#include <belay/sync/sync_processor.hpp>

#include "support/catch.hpp"
#include "support/sync/sync_world.hpp"
#include "support/worlds/explored.hpp"

using namespace belay;
using namespace belay_test;

TEST_CASE("offline operations of clients are in the store once, in order, under all faults",
          "[sync][sync_world][sim][property]") {
    const std::uint64_t seeds = std::min(from_environment("BELAY_SEEDS", 2000), histories(500));
    const sim::Report report =
        explored_as_wanted({.seeds = seeds, .scenario = sync_world_faults()}, sync_body());
    CHECK(report);
    // Most worlds must have reached these states, except in a replay.
    if (report.seeds_run < 20) return;
    for (const char* const mark :
         {"conflict", "store busy", "restarted after a failure", "ledger failed"}) {
        CAPTURE(mark);
        const auto reached = report.marks.find(mark);
        CHECK((reached != report.marks.end() && reached->second >= report.seeds_run / 2));
    }
}

TEST_CASE("the verification of the simulated worlds detects planted mistakes",
          "[sync][sync_world][sim]") {
    using Planted = std::pair<SyncBug, const char*>;
    for (const auto& [bug, name] :
         {Planted{SyncBug::forgets_ids, "forgets ids"},
          Planted{SyncBug::forgets_tombstones, "forgets tombstones"},
          Planted{SyncBug::not_durable, "not durable"},
          Planted{SyncBug::half_transactions, "half transactions"},
          Planted{SyncBug::progress_first, "progress first"},
          Planted{SyncBug::swallows_failures, "swallows failures"},
          Planted{SyncBug::clamps_stamps, "clamps stamps"}, Planted{SyncBug::reorders, "reorders"},
          Planted{SyncBug::forgets_clock, "forgets the clock"}}) {
        const sim::Report report = explored_as_wanted(
            {.seeds = 60, .scenario = sync_world_faults(), .shrink_worlds_max = 0, .print = false},
            sync_body(bug));
        INFO(name);
        CHECK(report.failing);
        if (std::getenv("BELAY_TELL") != nullptr) WARN(name << ": " << report.text());
    }
}
