// SPDX-License-Identifier: MIT
// Goal: the metrics of a queue have all its numbers. Method: structured bindings that name each
// member; pushes and pops.
#include <belay/queue/queue_metrics.hpp>

#include <belay/queue/storages.hpp>

#include "support/catch.hpp"
#include "support/metrics/collected.hpp"

using namespace belay;
using belay_test::Collected;

TEST_CASE("visit_metrics passes each member of QueueCounters", "[queue][metrics][unit]") {
    QueueCounters counters;
    auto& [pushed, rejected, dropped, popped, drained, released, failed, deepest] = counters;
    belay_test::check_each_member_visited(counters, pushed, rejected, dropped, popped, drained,
                                          released, failed, deepest);
}

TEST_CASE("visit_metrics passes what waits in a Queue, its limit and its QueueCounters",
          "[queue][metrics][unit]") {
    Queue<Deque<int>, Reject, QueueCounters> queue{Deque<int>{}, {.limit = 2}};
    for (int i = 0; i < 3; ++i) static_cast<void>(queue.push(i));
    static_cast<void>(queue.pop());
    const Collected collected{queue};
    CHECK(collected["queue.waiting"] == 1);
    CHECK(collected["queue.limit"] == 2);
    CHECK(collected["queue.pushed"] == 2);
    CHECK(collected["queue.rejected"] == 1);
    CHECK(collected["queue.deepest"] == 2);
    CHECK_FALSE(collected.has("queue.waiting_bytes"));
    const Queue<Deque<int>> alone{Deque<int>{}};
    CHECK(Collected{alone}["queue.waiting"] == 0);
    CHECK_FALSE(Collected{alone}.has("queue.pushed"));
}
