// SPDX-License-Identifier: MIT
// Goal: redelivery waits as specified by a Backoff, and rejected work does not use up its
// deliveries. Method: an item that always fails, and an outage, in virtual time.
#include <belay/backoff/backoff.hpp>
#include <belay/backoff/jitters.hpp>
#include <belay/work/work_queue.hpp>

#include <algorithm>

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

TEST_CASE("WorkQueue: a worker that releases rejected work and waits outlasts an outage",
          "[work][work_queue][unit]") {
    belay_test::MemoryMedium medium;
    Moment now{Instant{1h}, WallTime{24h}};
    const Instant outage_ends = now.now + 30min;
    const WorkOptions options{.deliveries_max = 2, .slack_bytes = 4096};
    auto work = WorkQueue<belay_test::MemoryLog>::open(belay_test::MemoryLog{medium}, options, now);
    REQUIRE(work);
    for (int i = 0; i < 50; ++i) REQUIRE(work->push(as_bytes("body"), now));
    REQUIRE(work->push(as_bytes("of value for a minute"), now, {.expires_after = 1min}));
    // As on docs/how-to/job-queue.md: the wait of the breaker may be zero, or without end.
    int rejected = 0;
    while (!work->empty()) {
        const Result<Lease> job = work->lease(now);
        if (!job) {
            now.now = work->deadline();
            continue;
        }
        CHECK(job->delivery == 1);
        if (now.now >= outage_ends) {
            REQUIRE_FALSE(work->ack(*job));
            continue;
        }
        const Duration named = ++rejected % 2 == 0 ? Duration::zero() : forever;
        const Duration wait = std::clamp<Duration>(named, 1s, 1min);
        REQUIRE_FALSE(work->release(*job, now, wait));
        now = {now.now + wait, now.wall + wait};
    }
    CHECK(rejected < 62);
    CHECK(work->dead() == 1);  // only the expired item
    CHECK(medium.entries.size() < 200);
}
