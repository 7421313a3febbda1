// SPDX-License-Identifier: MIT
// Goal: DropOldest keeps the newest and reports each loss. Method: examples, and a model.
#include <belay/queue/drop_oldest.hpp>

#include <belay/queue/deque.hpp>
#include <belay/queue/queue.hpp>

#include "support/catch.hpp"

using namespace belay;

TEST_CASE("DropOldest keeps the newest values and reports every other one",
          "[queue][drop_oldest][property]") {
    CHECK(rc::check("what was pushed = what was reported + what is left", [](std::uint8_t count) {
        std::vector<int> dropped;
        Queue queue{Deque<int>{}, {.limit = 10}, DropOldest{[&](int v) { dropped.push_back(v); }}};
        for (int i = 0; i < count; ++i) RC_ASSERT(!queue.push(i));
        std::vector<int> all = dropped;
        while (const auto value = queue.pop()) all.push_back(*value);
        RC_ASSERT(dropped.size() == static_cast<std::size_t>(std::max(0, count - 10)));
        for (int i = 0; i < count; ++i) RC_ASSERT(all[static_cast<std::size_t>(i)] == i);
    }));
}

TEST_CASE("DropOldest does not drop what is being executed", "[queue][drop_oldest][unit]") {
    Queue queue{Deque<int>{}, {.limit = 1}, DropOldest{}};
    CHECK_FALSE(queue.push(1));
    queue.drain([&](int value) {
        CHECK(queue.push(2) == QueueErrc::queue_full);
        CHECK(value == 1);
    });
    CHECK(queue.empty());
    CHECK_FALSE(queue.push(3));
    CHECK_FALSE(queue.push(4));
    CHECK(*queue.pop() == 4);
}
