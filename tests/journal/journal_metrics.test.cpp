// SPDX-License-Identifier: MIT
// Goal: the metrics of a journal follow what is appended, made durable and acknowledged. Method: a
// simulated disk.
#include <belay/journal/journal_metrics.hpp>

#include <belay/sim/disk.hpp>

#include "support/catch.hpp"
#include "support/metrics/collected.hpp"

using namespace belay;
using belay_test::Collected;

TEST_CASE("visit_metrics passes the numbers of a Journal, also after it was opened again",
          "[journal][metrics][unit]") {
    sim::Disk disk;
    const JournalOptions options{.flush = Flush::group, .seed = Seed{7}};
    {
        auto journal = Journal<sim::Disk>::open(disk, "data/j", options);
        REQUIRE(journal);
        for (const char* text : {"a", "b", "c"}) REQUIRE(journal->append(as_bytes(text)));
        CHECK(Collected{*journal}["journal.durable"] == 0);
        REQUIRE_FALSE(journal->commit());
        REQUIRE_FALSE(journal->ack(1));
        const Collected collected{*journal};
        CHECK(collected["journal.appended"] == 3);
        CHECK(collected["journal.durable"] == 3);
        CHECK(collected["journal.acknowledged"] == 1);
        CHECK(collected["journal.acknowledged_durable"] == journal->acked_durable());
        CHECK(collected["journal.waiting"] == 2);
        CHECK(collected["journal.held_bytes"] == journal->bytes());
        CHECK(collected["journal.failed"] == 0);
        REQUIRE_FALSE(journal->commit());
    }
    auto journal = Journal<sim::Disk>::open(disk, "data/j", options);
    REQUIRE(journal);
    CHECK(Collected{*journal}["journal.appended"] == 3);
    CHECK(Collected{*journal}["journal.waiting"] == journal->size());
    CHECK(Collected{*journal}["journal.truncated_bytes"] == 0);
}
