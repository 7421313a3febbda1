// SPDX-License-Identifier: MIT
// Goal: offline operations of clients are in the server's store exactly once, under all faults.
// Method: clients with journals, wrong clocks and sessions, a server with a processor on a
// store, in simulated worlds with all faults of network and disk, and crashes at any write. A
// verification reads the server's disk; it is tested with planted mistakes.
#include <belay/sync/sync_processor.hpp>

#include "support/catch.hpp"
#include "support/seeds.hpp"
#include "support/sync/sync_world.hpp"

using namespace belay;
using namespace belay_test;

TEST_CASE("offline operations of clients are in the store once, in order, under all faults",
          "[sync][sync_world][sim][property]") {
    std::size_t worlds = 0, conflicts = 0, restarts = 0, ledger_failures = 0;
    std::uint64_t retries = 0;
    for_each_seed(
        [&](Seed seed) {
            SyncWorld w{seed};
            const bool finished = w.run();
            const std::string verdict = w.verdict();
            INFO(verdict);
            REQUIRE(verdict.empty());
            REQUIRE(finished);
            ++worlds;
            conflicts += w.conflicts;
            restarts += w.restarts;
            ledger_failures += w.ledger_failures;
            retries += w.retries;
        },
        histories(500));
    if (worlds < 20) return;
    // The worlds must have been worth passing.
    CHECK(conflicts > 5 * worlds);
    CHECK(restarts > worlds);
    CHECK(ledger_failures > worlds / 4);
    CHECK(retries > worlds);
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
        std::string found;
        for (std::uint64_t seed = 1; seed <= 60 && found.empty(); ++seed) {
            SyncWorld w{Seed{seed}, bug};
            const bool finished = w.run();
            found = w.verdict();
            if (!finished && found.empty()) found = "it does not end";
        }
        INFO(name);
        CHECK_FALSE(found.empty());
        if (std::getenv("BELAY_TELL") != nullptr) WARN(name << ": " << found);
    }
}
