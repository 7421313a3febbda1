// SPDX-License-Identifier: MIT
// Goal: the limits of a Bulkhead and a RateLimiter change while callers wait, and all permits can
// be drained, as in resilience4j. Fixed windows are those of its RateLimiter. Method: virtual time,
// a model of windows, threads.
#include <atomic>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include <belay/call/layers.hpp>
#include <belay/call/limiters.hpp>
#include <belay/call/pipeline.hpp>
#include <belay/call/pipeline_task.hpp>
#include <belay/drive/thread_sleeper.hpp>

#include "support/aborts.hpp"
#include "support/budget/granted.hpp"
#include "support/call/async_sleeper.hpp"
#include "support/catch.hpp"
#include "support/shorthand.hpp"

using namespace belay;
using namespace std::chrono_literals;
using belay_test::AsyncSleeper;
using belay_test::at;
using belay_test::granted;
using belay_test::takes;

namespace {

using FixedWindow = RateLimiter::FixedWindow;

int grants(RateLimiter& limiter, Instant now, int asked = 1000) {
    int count = 0;
    for (int i = 0; i < asked; ++i) count += granted(limiter.acquire(now)) ? 1 : 0;
    return count;
}

// Callers that wait in the queue, and the times at which their calls began.
template <class Object>
struct WaitingCallers {
    AsyncSleeper& sleeper;
    Object& object;
    std::vector<std::pair<int, Instant>> begun{};
    std::vector<Task<Result<int>>> tasks{};

    void add(int callers, Duration each_takes) {
        for (int i = 0; i < callers; ++i) {
            const int number = static_cast<int>(tasks.size());
            tasks.push_back(Pipeline{Queued{object}}(sleeper, [this, number, each_takes] {
                begun.emplace_back(number, sleeper.now());
                return takes(sleeper, each_takes, number);
            }));
            tasks.back().start();
        }
    }
};
template <class Object>
WaitingCallers(AsyncSleeper&, Object&) -> WaitingCallers<Object>;
using Begun = std::vector<std::pair<int, Instant>>;

}  // namespace

TEST_CASE("Bulkhead::set_limit gives new permits to waiting callers at once, in their order",
          "[call][bulkhead][unit]") {
    AsyncSleeper sleeper;
    Bulkhead bulkhead{{.limit = 1, .queue = 10}};
    WaitingCallers line{sleeper, bulkhead};
    line.add(5, 10ms);
    sleeper.run_until(at(1ms));
    CHECK(line.begun == Begun{{0, at(0s)}});
    bulkhead.set_limit(3);
    CHECK(bulkhead.running() == 3);
    CHECK_FALSE(granted(bulkhead.acquire(at(1ms))));
    sleeper.run();
    CHECK(line.begun ==
          Begun{{0, at(0s)}, {1, at(1ms)}, {2, at(1ms)}, {3, at(10ms)}, {4, at(11ms)}});
    CHECK(bulkhead.running() == 0);
    CHECK(bulkhead.limit() == 3);
}

TEST_CASE("Bulkhead::set_limit lets calls above a lower limit finish, and replaces none of them",
          "[call][bulkhead][unit]") {
    AsyncSleeper sleeper;
    Bulkhead bulkhead{{.limit = 3, .queue = 10}};
    WaitingCallers line{sleeper, bulkhead};
    line.add(3, 10ms);
    line.add(2, 10ms);
    bulkhead.set_limit(1);
    CHECK(bulkhead.running() == 3);
    CHECK(bulkhead.waiting() == 2);
    sleeper.run();
    CHECK(line.begun == Begun{{0, at(0s)}, {1, at(0s)}, {2, at(0s)}, {3, at(10ms)}, {4, at(20ms)}});
    CHECK(bulkhead.running() == 0);
    CHECK(belay_test::aborts_with([&] {
              bulkhead.set_limit(0);
          }).find("Bulkhead::set_limit: limit must be >= 1") != std::string::npos);
}

TEST_CASE("Bulkhead::set_limit from another thread loses no caller and no permit",
          "[call][bulkhead][unit]") {
    Bulkhead bulkhead{{.limit = 1, .queue = 100}};
    const Pipeline pipeline{Queued{bulkhead}};
    std::atomic<bool> done{false};
    std::atomic<int> inside{0};
    std::atomic<bool> overrun{false};
    std::vector<std::thread> callers;
    std::atomic<int> called{0};
    for (int t = 0; t < 4; ++t) {
        callers.emplace_back([&] {
            ThreadSleeper sleeper;
            for (int i = 0; i < 2000; ++i) {
                static_cast<void>(pipeline(sleeper, [&] {
                    if (inside.fetch_add(1) >= 3) overrun = true;
                    inside.fetch_sub(1);
                    called.fetch_add(1);
                }));
            }
        });
    }
    std::thread changes{[&] {
        for (std::uint32_t i = 0; !done; ++i) bulkhead.set_limit(i % 3 + 1);
    }};
    for (std::thread& caller : callers) caller.join();
    done = true;
    changes.join();
    CHECK(called == 8000);
    CHECK_FALSE(overrun);
    CHECK(bulkhead.running() == 0);
    CHECK(bulkhead.waiting() == 0);
}

TEST_CASE("RateLimiter::set_rate wakes the callers that wait for a slower rate",
          "[call][rate_limiter][unit]") {
    AsyncSleeper sleeper;
    RateLimiter limiter{Rate{1, 1h}, Burst{1}, 10};
    WaitingCallers line{sleeper, limiter};
    line.add(4, 0ms);
    sleeper.run_until(at(1s));
    CHECK(line.begun == Begun{{0, at(0s)}});
    limiter.set_rate(sleeper.now(), Rate{1, 10ms}, Burst{1});
    sleeper.run_until(at(2s));
    // A part of a permit was left: 1 s of an hour.
    REQUIRE(line.begun.size() == 4);
    CHECK(line.begun[1].second > at(1s + 9ms));
    CHECK(line.begun[1].second <= at(1s + 10ms));
    CHECK(line.begun[3].second - line.begun[1].second == 20ms);
}

TEST_CASE("RateLimiter::set_rate may change more than once while a caller waits",
          "[call][rate_limiter][unit]") {
    AsyncSleeper sleeper;
    RateLimiter limiter{Rate{1, 1h}, Burst{1}, 10};
    WaitingCallers line{sleeper, limiter};
    line.add(2, 0ms);
    for (int i = 1; i <= 5; ++i) {
        limiter.set_rate(sleeper.now(), Rate{1, 10h - i * 1h}, Burst{1});
        sleeper.run_until(at(i * 1s));
    }
    CHECK(line.begun.size() == 1);
    limiter.set_rate(sleeper.now(), Rate{1, 1ms}, Burst{1});
    sleeper.run_until(at(6s));
    CHECK(line.begun.size() == 2);
}

TEST_CASE("RateLimiter::set_rate keeps the remaining permits, and the same numbers change nothing",
          "[call][rate_limiter][unit]") {
    RateLimiter limiter{Rate{1, 3s}, Burst{4}};
    CHECK(grants(limiter, at(0s), 3) == 3);
    for (int i = 0; i <= 100; ++i) limiter.set_rate(at(i * 10ms), Rate{1, 3s}, Burst{4});
    CHECK(grants(limiter, at(1s)) == 1);
    CHECK(limiter.acquire(at(1s)).retry_at() == at(3s));
    limiter.set_rate(at(1s), Rate{1, 3s}, Burst{100});
    CHECK(limiter.acquire(at(1s)).retry_at() == at(3s));
    CHECK(grants(limiter, at(1h)) == 100);
    limiter.set_rate(at(2h), Rate{1, 1s}, Burst{2});
    CHECK(grants(limiter, at(2h)) == 2);
    CHECK(limiter.acquire(at(2h)).retry_at() == at(2h + 1s));
    CHECK_FALSE(granted(limiter.acquire(at(10h), 3)));
}

TEST_CASE("RateLimiter::set_rate ends the wait for more permits than the new burst",
          "[call][rate_limiter][unit]") {
    AsyncSleeper sleeper;
    RateLimiter limiter{Rate{1, 1h}, Burst{3}, 10};
    CHECK(grants(limiter, at(0s)) == 3);
    auto task = Pipeline{Queued{limiter, 3}}(sleeper, [&] { return takes(sleeper, 0ms, 1); });
    task.start();
    CHECK(limiter.waiting() == 1);
    limiter.set_rate(at(0s), Rate{1, 1ms}, Burst{2});
    sleeper.run_until(at(1ms));
    REQUIRE(task.done());
    CHECK(task.take().error() == std::errc::invalid_argument);
    CHECK(limiter.waiting() == 0);
}

TEST_CASE("A stop still ends the wait of a caller after a change of the rate",
          "[call][rate_limiter][unit]") {
    AsyncSleeper sleeper;
    StopSource source;
    RateLimiter limiter{Rate{1, 1h}, Burst{1}, 10};
    CHECK(granted(limiter.acquire(at(0s))));
    auto task = Pipeline{Queued{limiter}}(
        sleeper, [&] { return takes(sleeper, 0ms, 1); }, source.token());
    task.start();
    limiter.set_rate(at(0s), Rate{1, 2h}, Burst{1});
    sleeper.run_until(at(1s));
    CHECK_FALSE(task.done());
    source.request_stop();
    sleeper.run_until(at(2s));
    REQUIRE(task.done());
    CHECK(task.take().error() == CallErrc::stopped);
}

TEST_CASE("RateLimiter::drain takes all remaining permits, as drainPermissions does",
          "[call][rate_limiter][unit]") {
    RateLimiter limiter{Rate{1, 1s}, Burst{5}};
    CHECK(grants(limiter, at(10s), 2) == 2);
    CHECK(limiter.drain(at(10s)) == 3);
    CHECK(limiter.drain(at(10s)) == 0);
    CHECK(limiter.acquire(at(10s)).retry_at() == at(11s));
    CHECK(grants(limiter, at(12s)) == 2);
    CHECK(grants(limiter, at(1h)) == 5);

    RateLimiter windows{FixedWindow{Rate{5, 1s}}};
    CHECK(grants(windows, at(10s), 2) == 2);
    CHECK(windows.drain(at(10500ms)) == 3);
    CHECK(windows.acquire(at(10500ms)).retry_at() == at(11s));
    CHECK(grants(windows, at(11s)) == 5);
    CHECK(windows.drain(at(13500ms)) == 5);
    CHECK(windows.acquire(at(13500ms)).retry_at() == at(14s));
}

TEST_CASE("A RateLimiter with fixed windows grants its number in each, as in resilience4j",
          "[call][rate_limiter][unit]") {
    RateLimiter limiter{FixedWindow{Rate{3, 10s}}};
    CHECK(limiter.admit(at(7s)) == Advice::go());
    CHECK(grants(limiter, at(7s)) == 3);
    CHECK(limiter.admit(at(16s)) == Advice::suspend(at(17s)));
    CHECK(grants(limiter, at(16s)) == 0);
    CHECK(grants(limiter, at(17s)) == 3);
    // The windows follow each other without gaps: the next one began at 47 s.
    CHECK(grants(limiter, at(56s)) == 3);
    CHECK(limiter.acquire(at(56s)).retry_at() == at(57s));
    CHECK_FALSE(granted(limiter.acquire(at(1h), 4)));
    CHECK(limiter.acquire(at(1h), 4).retry_at() == never);
    // A turn that is older than the current window counts in it.
    CHECK(granted(limiter.acquire(at(1h))));
    CHECK(granted(limiter.acquire(at(50s))));
    CHECK(grants(limiter, at(1h)) == 1);
    // No window grants permits to old turns twice.
    CHECK(grants(limiter, at(50s)) == 0);
    CHECK(grants(limiter, always) == 0);
}

TEST_CASE("A RateLimiter with fixed windows agrees with a model of them",
          "[call][rate_limiter][property]") {
    CHECK(rc::check("the same grants and waits", [] {
        const auto calls = *rc::gen::inRange<std::uint64_t>(1, 6);
        const auto per = *rc::gen::inRange<std::int64_t>(1, 50);
        RateLimiter limiter{FixedWindow{Rate{calls, Duration{per}}}};
        std::int64_t now = 0;
        std::int64_t window = -1;
        std::uint64_t used = 0;
        for (int i = 0; i < 200; ++i) {
            now += *rc::gen::weightedElement<std::int64_t>({{5, 0}, {5, 1}, {1, 2 * per}});
            if (window == -1) window = now;
            const std::int64_t past = (now - window) / per;
            if (past > 0) used = 0;
            window += past * per;
            const auto want = *rc::gen::inRange<std::uint64_t>(1, calls + 1);
            const auto permit = limiter.acquire(at(Duration{now}), want);
            RC_ASSERT(static_cast<bool>(permit) == (used + want <= calls));
            if (permit) {
                used += want;
            } else {
                RC_ASSERT(permit.retry_at() == at(Duration{window + per}));
            }
        }
    }));
}

TEST_CASE("Queued serves the callers of fixed windows in their order, each in the next window",
          "[call][queued][unit]") {
    AsyncSleeper sleeper;
    RateLimiter limiter{FixedWindow{Rate{2, 10s}}, 10};
    WaitingCallers line{sleeper, limiter};
    line.add(5, 0ms);
    // The queue has three callers. The first caller after them could begin at 20 s.
    CHECK(limiter.acquire(at(0s)).retry_at() == at(20s));
    sleeper.run_until(at(1h));
    CHECK(line.begun == Begun{{0, at(0s)}, {1, at(0s)}, {2, at(10s)}, {3, at(10s)}, {4, at(20s)}});
}

TEST_CASE("RateLimiter::set_rate changes between an interval and windows",
          "[call][rate_limiter][unit]") {
    RateLimiter limiter{Rate{1, 1s}, Burst{4}};
    CHECK(grants(limiter, at(0s), 3) == 3);
    limiter.set_rate(at(0s), FixedWindow{Rate{10, 1min}});
    CHECK(grants(limiter, at(1s)) == 1);
    CHECK(grants(limiter, at(1min)) == 10);
    limiter.set_rate(at(1min), FixedWindow{Rate{12, 1min}});
    CHECK(grants(limiter, at(119s)) == 0);
    CHECK(grants(limiter, at(2min)) == 12);
    limiter.set_rate(at(2min), Rate{1, 1s}, Burst{4});
    CHECK(grants(limiter, at(2min)) == 0);
    CHECK(grants(limiter, at(2min + 2s)) == 2);
}

TEST_CASE(
    "RateLimiter::set_rate from another thread grants no extra permit, and blocks no caller for "
    "ever",
    "[call][rate_limiter][unit]") {
    // All numbers grant about 1,000 calls per second. The first limiter never uses windows.
    for (const bool uses_windows : {false, true}) {
        RateLimiter limiter{Rate{1000, 1s}, Burst{10}};
        std::atomic<Duration::rep> time{0};
        std::atomic<long> admitted{0};
        std::atomic<bool> done{false};
        std::vector<std::thread> callers;
        for (int t = 0; t < 3; ++t) {
            callers.emplace_back([&] {
                while (!done) {
                    const auto now = at(Duration{time.load()});
                    if (granted(limiter.acquire(now))) admitted.fetch_add(1);
                    static_cast<void>(limiter.admit(now));
                }
            });
        }
        constexpr int steps = 3000;
        for (int i = 1; i <= steps; ++i) {
            // The clock is coarse, so that several changes and calls have the same time.
            const auto now = at(Duration{time.fetch_add(50'000)});
            switch (i % 4) {
                case 0:
                    limiter.set_rate(now, Rate{1000, 1s}, Burst{10});
                    break;
                case 1:
                    limiter.set_rate(now, Rate{100, 100ms}, Burst{5});
                    break;
                case 2:
                    limiter.set_rate(now, Rate{1000, 1s}, Burst{1});
                    break;
                default:
                    if (uses_windows) limiter.set_rate(now, FixedWindow{{10, 10ms}});
                    if (i % 400 == 3) static_cast<void>(limiter.drain(now));
            }
        }
        done = true;
        for (std::thread& caller : callers) caller.join();
        const auto passed = Duration{time.load()} / 1ms;
        CHECK(admitted <= 2 * (passed + 10));
        CHECK(static_cast<long>(limiter.counters().admitted) == admitted);
        limiter.set_rate(at(Duration{time.load()}), Rate{1000, 1s}, Burst{10});
        CHECK(grants(limiter, at(Duration{time.load()} + 1s)) == 10);
    }
}
