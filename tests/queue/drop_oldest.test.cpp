// SPDX-License-Identifier: MIT
// Goal: DropOldest keeps the newest values, and reports each loss. Method: examples, and a
// model.
#include <belay/queue/overflows.hpp>

#include <belay/queue/queue.hpp>
#include <belay/queue/storages.hpp>
#include <vector>

#include "support/catch.hpp"

using namespace belay;

namespace {

struct Lost {
    std::vector<int> values;
    void on_dropped(int value) { values.push_back(value); }
};

}  // namespace

TEST_CASE("DropOldest keeps the newest values, and the observer gets every other one",
          "[queue][drop_oldest][property]") {
    CHECK(rc::check("what was pushed = what was dropped + what is left", [](std::uint8_t count) {
        Queue queue{Deque<int>{}, DropOldest{}, {.limit = 10}, Lost{}};
        for (int i = 0; i < count; ++i) RC_ASSERT(!queue.push(i));
        std::vector<int> all = queue.observer().values;
        RC_ASSERT(all.size() == static_cast<std::size_t>(std::max(0, count - 10)));
        while (const auto value = queue.pop()) all.push_back(*value);
        RC_ASSERT(all.size() == count);
        for (int i = 0; i < count; ++i) RC_ASSERT(all[static_cast<std::size_t>(i)] == i);
    }));
}

TEST_CASE("DropOldest does not drop the value that is being executed",
          "[queue][drop_oldest][unit]") {
    Queue queue{Deque<int>{}, DropOldest{}, {.limit = 1}, Lost{}};
    CHECK_FALSE(queue.push(1));
    static_cast<void>(queue.drain([&](int value) {
        CHECK(queue.push(2) == QueueErrc::queue_full);
        CHECK(value == 1);
    }));
    CHECK(queue.empty());
    CHECK(queue.observer().values.empty());
    CHECK_FALSE(queue.push(3));
    CHECK_FALSE(queue.push(4));
    CHECK(queue.observer().values == std::vector{3});
    CHECK(*queue.pop() == 4);
}

TEST_CASE("DropOldest rejects a push when the storage returns no value to drop",
          "[queue][drop_oldest][fault]") {
    struct Stuck : Deque<int> {
        Stuck() = default;
        std::optional<int> try_pop() { return std::nullopt; }
    };
    Queue queue{Stuck{}, DropOldest{}, {.limit = 1}, Lost{}};
    CHECK_FALSE(queue.push(1));
    CHECK(queue.push(2) == QueueErrc::queue_full);
    CHECK(queue.size() == 1);
    CHECK(queue.observer().values.empty());
}

TEST_CASE("DropOldest drops as many values as necessary", "[queue][drop_oldest][unit]") {
    // A storage in which each number is its own size.
    struct Scales : Deque<int> {
        Scales() = default;
        std::uint64_t weight = 0;
        bool try_push(int&& value) noexcept {
            weight += static_cast<std::uint64_t>(value);
            return Deque<int>::try_push(int{value});
        }
        std::optional<int> try_pop() {
            const std::optional<int> value = Deque<int>::try_pop();
            if (value) weight -= static_cast<std::uint64_t>(*value);
            return value;
        }
        std::uint64_t bytes() const noexcept { return weight; }
    };
    Queue queue{Scales{}, DropOldest{}, {.bytes_limit = 10}, Lost{}};
    for (const int value : {1, 2, 3, 9}) CHECK_FALSE(queue.push(int{value}));
    CHECK(queue.observer().values.empty());
    CHECK(queue.bytes() == 15);
    CHECK_FALSE(queue.push(5));
    CHECK(queue.observer().values == std::vector{1, 2, 3});
    CHECK(queue.bytes() == 14);
}
