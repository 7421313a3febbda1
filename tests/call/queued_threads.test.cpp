// SPDX-License-Identifier: MIT
// Goal: a queue of real threads, and of coroutines on a loop, is served in order, by waking, and
// loses no permit if callers are stopped at any moment. Method: threads, under the thread
// sanitizer.
#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include <belay/call/layers.hpp>
#include <belay/call/pipeline.hpp>
#include <belay/call/pipeline_task.hpp>
#include <belay/drive/loop.hpp>
#include <belay/drive/loop_sleeper.hpp>
#include <belay/drive/thread_sleeper.hpp>

#include "support/catch.hpp"
#include "support/shorthand.hpp"

using namespace belay;
using namespace std::chrono_literals;
using belay_test::at;

namespace {

void until(const auto& condition) {
    while (!condition()) std::this_thread::yield();
}

// The time by which the rate of a limiter is measured. Blocking waits on it end at once.
struct SharedTime {
    std::atomic<std::int64_t>* ticks;
    Random random{Seed{1}};
    [[nodiscard]] Instant now() const noexcept { return at(Duration{ticks->load()}); }
    Random& bits() noexcept { return random; }
    void sleep_until(Instant end, const auto& stop) noexcept {
        while (now() < end && !stop.stop_requested()) {
            ticks->fetch_add(1'000'000);
            std::this_thread::yield();
        }
    }
};

}  // namespace

TEST_CASE("Threads leave a bulkhead's queue in the order of their arrival",
          "[call][queued_threads][unit]") {
    Bulkhead bulkhead{{.limit = 1, .queue = 10}};
    const Pipeline pipeline{Queued{bulkhead}};
    // The vector is not synchronized: a permit orders the accesses of its holders.
    std::vector<int> begun;
    std::vector<std::thread> threads;
    {
        const auto held = bulkhead.acquire(at(0s));
        for (int i = 0; i < 6; ++i) {
            threads.emplace_back([&pipeline, &begun, i] {
                ThreadSleeper sleeper;
                static_cast<void>(pipeline(sleeper, [&begun, i] { begun.push_back(i); }));
            });
            until([&] { return bulkhead.waiting() == static_cast<std::uint32_t>(i) + 1; });
        }
    }
    for (std::thread& thread : threads) thread.join();
    CHECK(begun == std::vector{0, 1, 2, 3, 4, 5});
    CHECK(bulkhead.running() == 0);
    CHECK(bulkhead.counters().waited == 6);
}

TEST_CASE("A bulkhead's queue loses no permit when waiting callers are stopped at any moment",
          "[call][queued_threads][unit]") {
    Bulkhead bulkhead{{.limit = 2, .queue = 100}};
    const Pipeline pipeline{Queued{bulkhead}};
    std::atomic<int> inside{0};
    std::atomic<bool> overrun{false};
    std::atomic<std::uint64_t> called{0};
    std::atomic<std::uint64_t> stopped{0};
    const auto work = [&](std::uint64_t seed) {
        Random bits{Seed{seed}};
        ThreadSleeper sleeper{Seed{seed}};
        for (int i = 0; i < 100; ++i) {
            const StopSource source;
            std::thread stopper;
            if (uniform_upto(bits, 3) == 0) {
                stopper = std::thread{[source] { source.request_stop(); }};
            }
            const auto result = pipeline(
                sleeper,
                [&] {
                    if (inside.fetch_add(1) >= 2) overrun = true;
                    ++called;
                    std::this_thread::yield();
                    inside.fetch_sub(1);
                },
                source.token());
            if (!result) ++stopped;
            if (stopper.joinable()) stopper.join();
        }
    };
    std::vector<std::thread> threads;
    for (std::uint64_t t = 1; t <= 5; ++t) threads.emplace_back(work, t);
    for (std::thread& thread : threads) thread.join();
    CHECK_FALSE(overrun);
    CHECK(called + stopped == 500);
    CHECK(bulkhead.running() == 0);
    CHECK(bulkhead.waiting() == 0);
    CHECK(bulkhead.counters().admitted == called);
    CHECK(bulkhead.counters().left == stopped);
}

TEST_CASE("A limiter's queue of threads keeps its rate, and loses no permit",
          "[call][queued_threads][unit]") {
    RateLimiter limiter{Rate{1, 10ms}, Burst{3}, 100};
    const Pipeline pipeline{Queued{limiter}};
    std::atomic<std::int64_t> ticks{0};
    std::atomic<std::uint64_t> called{0};
    std::atomic<std::uint64_t> stopped{0};
    std::atomic<std::uint64_t> at_once{0};
    const auto work = [&](std::uint64_t seed) {
        Random bits{Seed{seed}};
        SharedTime sleeper{&ticks};
        for (int i = 0; i < 30; ++i) {
            const StopSource source;
            std::thread stopper;
            if (uniform_upto(bits, 5) == 0) {
                stopper = std::thread{[source] { source.request_stop(); }};
            }
            const auto result = pipeline(
                sleeper, [&] { ++called; }, source.token());
            if (!result) ++stopped;
            if (stopper.joinable()) stopper.join();
            if (const auto permit = limiter.acquire(sleeper.now())) ++at_once;
        }
    };
    std::vector<std::thread> threads;
    for (std::uint64_t t = 1; t <= 4; ++t) threads.emplace_back(work, t);
    for (std::thread& thread : threads) thread.join();
    CHECK(called + stopped == 120);
    CHECK(limiter.waiting() == 0);
    CHECK(limiter.counters().admitted == called + at_once);
    CHECK(limiter.counters().left == stopped);
    CHECK(called + at_once <= 3 + static_cast<std::uint64_t>(ticks.load()) / 10'000'000);
}

TEST_CASE("Another thread's permit wakes a coroutine on its loop", "[call][queued_threads][unit]") {
    Loop<> loop;
    LoopSleeper<Loop<>> sleeper{loop};
    Bulkhead bulkhead{{.limit = 1, .queue = 10}};
    const Pipeline pipeline{Queued{bulkhead}};
    auto held = bulkhead.acquire(loop.now());
    std::vector<int> begun;
    std::vector<Task<Result<int>>> tasks;
    const auto call = [&](int i) -> Task<Result<int>> {
        begun.push_back(i);
        if (begun.size() == 3) loop.stop();
        co_return i;
    };
    for (int i = 0; i < 3; ++i) {
        tasks.push_back(pipeline(sleeper, [&call, i] { return call(i); }));
        tasks.back().start();
    }
    CHECK(bulkhead.waiting() == 3);
    std::thread other{[&held] { held.neutral(); }};
    loop.run();
    other.join();
    CHECK(begun == std::vector{0, 1, 2});
    tasks.clear();
    CHECK(bulkhead.running() == 0);
}
