// SPDX-License-Identifier: MIT
// Goal: redelivery waits as a Backoff specifies. Method: an item that always fails, in virtual
// time.
#include <belay/backoff/backoff.hpp>
#include <belay/backoff/no_jitter.hpp>
#include <belay/work/work_queue.hpp>

#include "support/catch.hpp"
#include "support/journal/memory_log.hpp"

using namespace belay;
using namespace std::chrono_literals;

TEST_CASE("WorkQueue leases a failed item again after the delay of a Backoff, up to its cap",
          "[work][work_queue][unit]") {
    static constexpr Backoff again{NoJitter{}, Cap{5s}, 1s};
    belay_test::MemoryMedium medium;
    Moment now{Instant{1h}, WallTime{24h}};
    auto work = WorkQueue<belay_test::MemoryLog>::open(belay_test::MemoryLog{medium},
                                                       {.deliveries_max = 10}, now);
    REQUIRE(work);
    REQUIRE(work->push(as_bytes("body"), now));
    for (const Duration wait : {1s, 2s, 4s, 5s, 5s}) {
        const Result<Lease> job = work->lease(now);
        REQUIRE(job);
        REQUIRE_FALSE(work->nack(*job, now, again.max_delay(job->delivery - 1)));
        CHECK(work->deadline() == now.now + wait);
        now.now += wait - 1ns;
        CHECK(work->lease(now).error() == QueueErrc::queue_empty);
        now.now += 1ns;
    }
    CHECK(work->lease(now)->delivery == 6);
}
