// SPDX-License-Identifier: MIT
// Goal: QueueCounters counts every event once. Method: random histories compared with the test's
// own counts.
#include <belay/queue/queue.hpp>

#include <belay/core/random.hpp>
#include <belay/queue/overflows.hpp>
#include <belay/queue/storages.hpp>

#include "support/catch.hpp"

using namespace belay;

static_assert(noexcept(std::declval<QueueCounters&>().on_pushed(1)));
static_assert(noexcept(std::declval<QueueCounters&>().on_dropped(1)));

namespace {

/// Runs a random history; every count is compared after every step.
template <class Overflow>
void counts_everything(std::uint64_t seed) {
    Random bits{Seed{seed}};
    Queue queue{Deque<int>{}, Overflow{}, {.limit = 5}, QueueCounters{}};
    QueueCounters expected;
    std::uint64_t lost_from_inside = 0;
    for (int i = 0; i < 200; ++i) {
        const std::size_t before = queue.size();
        switch (bits() % 5) {
            case 0:
                if (queue.pop()) ++expected.popped;
                break;
            case 1: {
                const std::uint64_t most = bits() % 4;
                const std::uint64_t fails = bits() % 6;
                std::uint64_t calls = 0;
                const DrainReport result = queue.drain([&](int) { return calls++ != fails; }, most);
                expected.drained += result.drained;
                if (result.error) ++expected.failed;
                break;
            }
            default: {
                const bool full = before == 5;
                const bool rejected = static_cast<bool>(queue.push(i));
                if (full && Overflow::drops) ++expected.dropped;
                if (rejected) ++expected.rejected;
                if (!full || std::same_as<Overflow, DropOldest>) ++expected.pushed;
                if (full && std::same_as<Overflow, DropOldest>) ++lost_from_inside;
                break;
            }
        }
        if (queue.size() > expected.deepest) expected.deepest = queue.size();
        RC_ASSERT(queue.observer() == expected);
        // The counters account for every value.
        RC_ASSERT(expected.pushed ==
                  expected.popped + expected.drained + lost_from_inside + queue.size());
    }
}

}  // namespace

TEST_CASE("QueueCounters counts every event, with any overflow policy",
          "[queue][queue_counters][property]") {
    CHECK(rc::check("Reject", [](std::uint64_t seed) { counts_everything<Reject>(seed); }));
    CHECK(rc::check("DropOldest", [](std::uint64_t seed) { counts_everything<DropOldest>(seed); }));
    CHECK(rc::check("DropNewest", [](std::uint64_t seed) { counts_everything<DropNewest>(seed); }));
}

TEST_CASE("QueueCounters counts a drain that throws as failed, and the values before it",
          "[queue][queue_counters][unit]") {
    Queue queue{Deque<int>{}, Reject{}, {}, QueueCounters{}};
    for (int i = 0; i < 3; ++i) CHECK_FALSE(queue.push(i));
    CHECK_THROWS_AS(queue.drain([](int value) {
        if (value == 1) throw value;
    }),
                    int);
    CHECK(queue.observer().drained == 1);
    CHECK(queue.observer().failed == 1);
    CHECK(queue.observer().deepest == 3);
}

TEST_CASE("The difference of two copies of QueueCounters counts the events between them",
          "[queue][queue_counters][unit]") {
    Queue queue{Deque<int>{}, Reject{}, {}, QueueCounters{}};
    CHECK_FALSE(queue.push(1));
    const QueueCounters before = queue.observer();
    for (int i = 0; i < 10; ++i) CHECK_FALSE(queue.push(i));
    for (int i = 0; i < 4; ++i) CHECK(queue.pop());
    CHECK(queue.observer().pushed - before.pushed == 10);
    CHECK(queue.observer().popped - before.popped == 4);
    CHECK(before.pushed == 1);
}
