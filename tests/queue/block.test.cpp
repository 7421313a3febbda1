// SPDX-License-Identifier: MIT
// Goal: Block waits for space, and no longer than its timeout. Method: a sleeper whose time is a
// number.
#include <belay/queue/overflows.hpp>

#include <belay/queue/queue.hpp>
#include <belay/queue/storages.hpp>
#include <functional>

#include "support/aborts.hpp"
#include "support/archetypes.hpp"
#include "support/catch.hpp"

using namespace belay;
using namespace std::chrono_literals;

namespace {

/// Time passes only in sleep(), and each wake may run a function.
struct FakeSleeper {
    Instant time{};
    int sleeps = 0;
    Random random{Seed{1}};
    std::function<void(int)> on_sleep = [](int) {};

    Instant now() const noexcept { return time; }
    Random& bits() noexcept { return random; }
    void sleep_until(Instant until, const auto&) noexcept {
        time = until;
        on_sleep(++sleeps);
    }
};

}  // namespace

TEST_CASE("Block::make_space waits until a value is popped", "[queue][block][unit]") {
    FakeSleeper sleeper;
    Queue queue{Deque<int>{}, Block{sleeper, {.timeout = 1s, .interval = 10ms}}, {.limit = 1}};
    CHECK_FALSE(queue.push(1));
    CHECK(sleeper.sleeps == 0);
    sleeper.on_sleep = [&](int sleeps) {
        if (sleeps == 3) CHECK(*queue.pop() == 1);
    };
    CHECK_FALSE(queue.push(2));
    CHECK(sleeper.sleeps == 3);
    CHECK(sleeper.time == Instant{} + 30ms);
    CHECK(*queue.pop() == 2);
}

TEST_CASE("Block::make_space ends at the deadline, not after it", "[queue][block][unit]") {
    FakeSleeper sleeper;
    Queue queue{Deque<int>{}, Block{sleeper, {.timeout = 25ms, .interval = 10ms}}, {.limit = 1}};
    CHECK_FALSE(queue.push(1));
    CHECK(queue.push(2) == QueueErrc::wait_ended);
    CHECK(sleeper.time == Instant{} + 25ms);
    CHECK(queue.size() == 1);
}

TEST_CASE("Block rejects an interval after which it would never check",
          "[queue][block][regression]") {
    const std::string text = belay_test::aborts_with([] {
        FakeSleeper sleeper;
        Block block{sleeper, {.interval = forever}};
    });
    CHECK(text.find("the interval must not be forever") != std::string::npos);
}

TEST_CASE("Block without a timeout checks for space only once", "[queue][block][unit]") {
    FakeSleeper sleeper;
    Queue queue{Deque<int>{}, Block{sleeper, {.timeout = 0ns}}, {.limit = 1}};
    CHECK_FALSE(queue.push(1));
    CHECK(queue.push(2) == QueueErrc::wait_ended);
    CHECK(sleeper.sleeps == 0);
}

TEST_CASE("Block with a timeout that never ends waits for ever", "[queue][block][unit]") {
    FakeSleeper sleeper;
    Queue queue{Deque<int>{}, Block{sleeper, {.timeout = forever, .interval = 24h}}, {.limit = 1}};
    CHECK_FALSE(queue.push(1));
    sleeper.on_sleep = [&](int sleeps) {
        if (sleeps == 1000) CHECK(queue.pop());
    };
    CHECK_FALSE(queue.push(2));
    CHECK(sleeper.sleeps == 1000);
}

TEST_CASE("Queue::push returns queue_suspended when it was suspended during the wait",
          "[queue][block][unit]") {
    FakeSleeper sleeper;
    Queue queue{Deque<int>{}, Block{sleeper}, {.limit = 1}};
    CHECK_FALSE(queue.push(1));
    sleeper.on_sleep = [&](int) {
        queue.suspend();
        CHECK(queue.pop());
    };
    CHECK(queue.push(2) == QueueErrc::queue_suspended);
    CHECK(queue.empty());
}

TEST_CASE("Block requires of a sleeper only the promises of SleeperLike", "[queue][block][unit]") {
    Random bits{Seed{1}};
    belay_test::MinimalSleeper sleeper{bits};
    Queue queue{Deque<int>{}, Block{sleeper}, {.limit = 1}};
    CHECK_FALSE(queue.push(1));
    CHECK(queue.push(2) == QueueErrc::wait_ended);
}
