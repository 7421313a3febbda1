// SPDX-License-Identifier: MIT
// Goal: Queue adds limit, suspend and drain to a storage. Method: examples, and a model for drain.
#include <belay/queue/queue.hpp>

#include <belay/queue/deque.hpp>
#include <belay/queue/drop_oldest.hpp>
#include <belay/queue/journal.hpp>
#include <belay/queue/ring.hpp>
#include <belay/sim/disk.hpp>
#include <memory>

#include "support/catch.hpp"
#include "support/queue_archetypes.hpp"

using namespace belay;

static_assert(std::is_same_v<decltype(Queue{Ring<int, 4>{}}), Queue<Ring<int, 4>, Reject>>);
static_assert(std::is_same_v<decltype(Queue{Deque<int>{}, {.limit = 3}}), Queue<Deque<int>>>);
static_assert(std::is_same_v<decltype(Queue{Deque<int>{}, {.limit = 3}, DropOldest{}}),
                             Queue<Deque<int>, DropOldest<>>>);
static_assert(std::is_default_constructible_v<Queue<Ring<int, 4>>>);
static_assert(!Queue<Deque<int>>::drops && Queue<Deque<int>, DropOldest<>>::drops);

namespace {

Queue<Deque<int>> filled(int count) {
    Queue queue{Deque<int>{}};
    for (int i = 1; i <= count; ++i) REQUIRE_FALSE(queue.push(i));
    return queue;
}

}  // namespace

TEST_CASE("Queue holds 1000 values unless told otherwise", "[queue][queue][unit]") {
    Queue queue{Deque<int>{}};
    CHECK(queue.limit() == 1000);
    for (int i = 0; i < 1000; ++i) REQUIRE_FALSE(queue.push(i));
    CHECK(queue.full());
    CHECK(queue.push(1000) == QueueErrc::queue_full);
    CHECK(queue.size() == 1000);
    CHECK(*queue.pop() == 0);
    CHECK_FALSE(queue.push(1000));
}

TEST_CASE("Queue's limit is the storage's capacity where that is smaller", "[queue][queue][unit]") {
    Queue queue{Ring<int, 4>{}};
    CHECK(queue.limit() == 4);
    CHECK(Queue{Ring<int, 4>{}, {.limit = 2}}.limit() == 2);
}

TEST_CASE("Queue::push leaves what it refuses as it was", "[queue][queue][unit]") {
    Queue queue{Deque<std::unique_ptr<int>>{}, {.limit = 1}};
    CHECK_FALSE(queue.push(std::make_unique<int>(1)));
    auto refused = std::make_unique<int>(2);
    CHECK(queue.push(std::move(refused)) == QueueErrc::queue_full);
    REQUIRE(refused != nullptr);
    CHECK(*refused == 2);
}

TEST_CASE("Queue::suspend refuses pushes, and nothing else, until resume", "[queue][queue][unit]") {
    auto queue = filled(2);
    queue.suspend();
    CHECK(queue.suspended());
    CHECK(queue.push(3) == QueueErrc::queue_suspended);
    CHECK(*queue.pop() == 1);
    CHECK(queue.drain([](int) {}).drained == 1);
    queue.resume();
    CHECK_FALSE(queue.push(3));
    CHECK(queue.size() == 1);
}

TEST_CASE("Queue::drain executes in order, and reports how many", "[queue][queue][unit]") {
    auto queue = filled(5);
    std::vector<int> seen;
    const DrainResult result = queue.drain([&](int value) { seen.push_back(value); });
    CHECK(result.drained == 5);
    CHECK_FALSE(result.error);
    CHECK(seen == std::vector{1, 2, 3, 4, 5});
    CHECK(queue.empty());
}

TEST_CASE("Queue::drain stops at the first failure, which stays the first",
          "[queue][queue][property]") {
    CHECK(
        rc::check("exactly those before the failure are gone", [](std::uint8_t n, std::uint8_t f) {
            const int count = n % 50;
            const int fails = f % 60;
            auto queue = filled(count);
            std::vector<int> seen;
            const DrainResult result = queue.drain([&](int value) {
                seen.push_back(value);
                return value - 1 != fails;
            });
            const int done = std::min(count, fails);
            RC_ASSERT(result.drained == static_cast<std::size_t>(done));
            RC_ASSERT((result.error == QueueErrc::executor_failed) == (fails < count));
            RC_ASSERT(queue.size() == static_cast<std::size_t>(count - done));
            if (fails < count) {
                RC_ASSERT(seen.back() == fails + 1);
                RC_ASSERT(*queue.pop() == fails + 1);
            }
        }));
}

TEST_CASE("Queue::drain takes every kind of answer", "[queue][queue][unit]") {
    auto queue = filled(8);
    const std::error_code lost = std::make_error_code(std::errc::connection_reset);
    CHECK(queue.drain([](int) {}, 1).drained == 1);
    CHECK(queue.drain([](int) { return true; }, 1).drained == 1);
    CHECK(queue.drain([](int) { return std::error_code{}; }, 1).drained == 1);
    CHECK(queue.drain([](int) { return Result<int>{7}; }, 1).drained == 1);
    CHECK(queue.drain([](int) { return Result<void>{}; }, 1).drained == 1);
    CHECK(queue.drain([](int) { return false; }, 1).error == QueueErrc::executor_failed);
    CHECK(queue.drain([&](int) { return lost; }, 1).error == lost);
    CHECK(queue.drain([&](int) { return Result<int>{lost}; }, 1).error == lost);
    CHECK(queue.size() == 3);
}

TEST_CASE("Queue::drain leaves what is pushed meanwhile for the next time",
          "[queue][queue][unit]") {
    auto queue = filled(3);
    const DrainResult result = queue.drain([&](int value) { CHECK_FALSE(queue.push(value + 10)); });
    CHECK(result.drained == 3);
    CHECK(queue.size() == 3);
    CHECK(*queue.pop() == 11);
}

TEST_CASE("Queue::drain refuses to run, and pop to take, inside an executor",
          "[queue][queue][unit]") {
    auto queue = filled(1);
    queue.drain([&](int) {
        CHECK(queue.drain([](int) {}).error == QueueErrc::draining);
        CHECK_FALSE(queue.pop());
    });
    CHECK(queue.empty());
    CHECK_FALSE(queue.push(1));
    CHECK(queue.pop());
}

TEST_CASE("Queue::drain keeps the operation whose executor throws", "[queue][queue][unit]") {
    auto queue = filled(3);
    CHECK_THROWS_AS(queue.drain([](int value) {
        if (value == 2) throw value;
    }),
                    int);
    CHECK(queue.size() == 2);
    CHECK(queue.drain([](int) {}).drained == 2);
}

TEST_CASE("Queue over a Journal drains operations, and gives access to the rest",
          "[queue][queue][unit]") {
    sim::Disk disk;
    auto journal = Journal<sim::Disk>::open(disk, "q");
    REQUIRE(journal);
    Queue queue{std::move(journal).value()};
    for (const char* text : {"one", "two", "three"}) CHECK_FALSE(queue.push(as_bytes(text)));
    CHECK_FALSE(queue.storage().sync());
    CHECK(queue.storage().durable() == 3);
    std::string seen;
    const DrainResult result = queue.drain([&](BytesView body) {
        seen += as_text(body);
        return as_text(body) != "two";
    });
    CHECK(result.drained == 1);
    CHECK(seen == "onetwo");
    CHECK(queue.size() == 2);
    CHECK(as_text(*queue.pop()) == "two");
    CHECK(queue.storage().base() == 3);
}

TEST_CASE("Queue passes on why a storage did not take, or lend", "[queue][queue][fault]") {
    sim::Disk disk;
    auto journal = Journal<sim::Disk>::open(disk, "q", {.record_bytes_max = 8});
    REQUIRE(journal);
    Queue queue{std::move(journal).value()};
    CHECK(queue.push(as_bytes("far too long")) == QueueErrc::too_large);
    CHECK_FALSE(queue.push(as_bytes("short")));
    CHECK_FALSE(queue.storage().sync());
    disk.put("q/0000000000000001.journal", Bytes(4096));
    const DrainResult result = queue.drain([](BytesView) {});
    CHECK(result.drained == 0);
    CHECK(result.error == QueueErrc::corrupt);
    CHECK(queue.size() == 1);
}
