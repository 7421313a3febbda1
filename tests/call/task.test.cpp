// SPDX-License-Identifier: MIT
// Goal: a Task starts when it is awaited or started, returns its result once, and is cancelled
// by its destruction, with everything that it awaits. Method: events set by hand.
#include <belay/call/task.hpp>

#include <atomic>
#include <memory>
#include <optional>
#include <semaphore>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "support/call/async_sleeper.hpp"
#include "support/catch.hpp"

using namespace belay;
using belay_test::Event;

namespace {

Task<std::string> text(int& begun) {
    ++begun;
    co_return std::string(50, 'x');
}
Task<int> fails() {
    throw std::runtime_error{"mine"};
    co_return 0;
}

struct Notes {
    std::vector<std::string>* lines;
    std::string name;
    ~Notes() { lines->push_back(name + " gone"); }
};

Task<int> inner(Event& event, std::vector<std::string>& lines) {
    const Notes notes{&lines, "inner"};
    co_await event;
    lines.push_back("inner goes on");
    co_return 1;
}
Task<int> outer(Event& event, std::vector<std::string>& lines) {
    const Notes notes{&lines, "outer"};
    const int one = co_await inner(event, lines);
    co_return one + 1;
}

Task<int> deep(int depth) {
    if (depth == 0) co_return 0;
    co_return 1 + co_await deep(depth - 1);
}

}  // namespace

static_assert(!std::is_copy_constructible_v<Task<int>>);
static_assert(std::is_nothrow_move_constructible_v<Task<int>>);
static_assert(std::is_nothrow_move_assignable_v<Task<int>>);

TEST_CASE("A Task does nothing before it is started", "[call][task][unit]") {
    int begun = 0;
    {
        const auto never_started = text(begun);
        CHECK_FALSE(never_started.done());
    }
    CHECK(begun == 0);
    auto task = text(begun);
    task.start();
    CHECK(begun == 1);
    REQUIRE(task.done());
    CHECK(task.take() == std::string(50, 'x'));
}

TEST_CASE("A Task propagates its coroutine's exception", "[call][task][unit]") {
    auto task = fails();
    task.start();
    REQUIRE(task.done());
    CHECK_THROWS_WITH(task.take(), "mine");
    const auto passes = []() -> Task<int> { co_return co_await fails(); };
    auto outside = passes();
    outside.start();
    CHECK_THROWS_WITH(outside.take(), "mine");
}

TEST_CASE("A Task may be moved before and after it was started", "[call][task][unit]") {
    Event event;
    std::vector<std::string> lines;
    auto first = outer(event, lines);
    auto second = std::move(first);
    second.start();
    CHECK_FALSE(first.done());
    std::optional third{std::move(second)};
    event.set();
    REQUIRE(third->done());
    CHECK(third->take() == 2);
    CHECK(lines == std::vector<std::string>{"inner goes on", "inner gone", "outer gone"});
    // Assignment destroys the former coroutine.
    lines.clear();
    auto waits = outer(event, lines);
    waits.start();
    waits = inner(event, lines);
    CHECK(lines == std::vector<std::string>{"inner gone", "outer gone"});
    CHECK(event.cancelled == 1);
}

TEST_CASE("Destroying a Task destroys the tasks that it awaits, the innermost first",
          "[call][task][unit]") {
    Event event;
    std::vector<std::string> lines;
    {
        auto task = outer(event, lines);
        task.start();
        CHECK(event.awaited());
    }
    CHECK(lines == std::vector<std::string>{"inner gone", "outer gone"});
    CHECK_FALSE(event.awaited());
    CHECK(event.cancelled == 1);
}

TEST_CASE("Tasks that await tasks resume in order, at any depth", "[call][task][unit]") {
    auto task = deep(500);
    task.start();
    CHECK(task.take() == 500);
}

// A million nested resumes would exceed the stack if the compiler makes no tail calls, as in debug
// builds.
TEST_CASE("A loop over tasks that do not wait needs no stack for each",
          "[call][task][regression]") {
    const auto loop = [](int times) -> Task<int> {
        int sum = 0;
        for (int i = 0; i < times; ++i) sum += co_await deep(1);
        co_return sum;
    };
    auto task = loop(1'000'000);
    task.start();
    REQUIRE(task.done());
    CHECK(task.take() == 1'000'000);
}

TEST_CASE("A Task that waits several times resumes each time", "[call][task][unit]") {
    Event event;
    const auto now_and_then = [&](int i) -> Task<int> {
        if (i % 3 == 0) co_await event;
        co_return 1;
    };
    const auto loop = [&]() -> Task<int> {
        int sum = 0;
        for (int i = 0; i < 100; ++i) sum += co_await now_and_then(i);
        co_return sum;
    };
    auto task = loop();
    task.start();
    int waits = 0;
    for (; !task.done(); ++waits) event.set();
    CHECK(waits == 34);
    CHECK(task.take() == 100);
}

TEST_CASE("A Task may end on another thread", "[call][task][unit]") {
    // The end races with the await: the second of the two continues, once.
    std::counting_semaphore<> asked{0};
    std::atomic<std::coroutine_handle<>> handle{nullptr};
    struct Hop {
        std::atomic<std::coroutine_handle<>>& slot;
        std::counting_semaphore<>& posted;
        static bool await_ready() noexcept { return false; }
        void await_suspend(std::coroutine_handle<> waiter) const {
            slot.store(waiter, std::memory_order_release);
            posted.release();
        }
        static void await_resume() noexcept {}
    };
    constexpr int hops = 2000;
    std::thread other{[&] {
        for (int i = 0; i < hops; ++i) {
            asked.acquire();
            handle.load(std::memory_order_acquire).resume();
        }
    }};
    std::counting_semaphore<> ended{0};
    const auto hop = [&](int i) -> Task<int> {
        co_await Hop{handle, asked};
        co_return i;
    };
    const auto loop = [&]() -> Task<long> {
        long sum = 0;
        for (int i = 0; i < hops; ++i) sum += co_await hop(i);
        ended.release();
        co_return sum;
    };
    auto task = loop();
    task.start();
    ended.acquire();
    other.join();
    REQUIRE(task.done());
    CHECK(task.take() == long{hops} * (hops - 1) / 2);
}

TEST_CASE("co_return {} ends a Task of Result<void> with success", "[call][task][unit]") {
    const auto succeed = []() -> Task<belay::Result<void>> { co_return {}; };
    auto task = succeed();
    task.start();
    CHECK(task.take().has_value());
}

TEST_CASE("A Task accepts move-only results", "[call][task][unit]") {
    const auto make = []() -> Task<std::unique_ptr<int>> { co_return std::make_unique<int>(5); };
    auto task = make();
    task.start();
    CHECK(*task.take() == 5);
}
