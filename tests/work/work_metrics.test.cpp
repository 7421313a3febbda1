// SPDX-License-Identifier: MIT
// Goal: the metrics of a work queue show the states of its items. Method: one item in each state.
#include <belay/work/work_metrics.hpp>

#include "support/catch.hpp"
#include "support/journal/memory_log.hpp"
#include "support/metrics/collected.hpp"

using namespace belay;
using namespace std::chrono_literals;
using belay_test::Collected;

TEST_CASE("visit_metrics passes the number of items of a WorkQueue in each state",
          "[work][metrics][unit]") {
    belay_test::MemoryMedium medium;
    Moment now{Instant{1s}, WallTime{1'700'000'000s}};
    auto work = WorkQueue<belay_test::MemoryLog>::open(belay_test::MemoryLog{medium},
                                                       {.deliveries_max = 1}, now);
    REQUIRE(work);
    REQUIRE(work->push(as_bytes("dies"), now));
    const auto first = work->lease(now);
    REQUIRE(first);
    CHECK_FALSE(work->nack(*first, now));
    REQUIRE(work->push(as_bytes("leased"), now));
    const auto second = work->lease(now);
    REQUIRE(second);
    REQUIRE(work->push(as_bytes("delayed"), now, {.delay = 1h}));
    REQUIRE(work->push(as_bytes("waits"), now));
    const Collected collected{*work};
    CHECK(collected["work.items"] == 3);
    CHECK(collected["work.leased"] == 1);
    CHECK(collected["work.delayed"] == 1);
    CHECK(collected["work.dead"] == 1);
    CHECK(collected["work.held_bytes"] == work->bytes());
    CHECK(collected["work.failed"] == 0);
}
