// SPDX-License-Identifier: MIT
// Goal: the delay of a Hedge may depend on the number of the call (Polly's DelayGenerator) or on
// recent latencies (Finagle's BackupRequestFilter), and a predicate may choose the success that ends
// it (failsafe-go's CancelIf). Method: virtual time; a model of the percentile.
#include <belay/call/hedge.hpp>

#include <algorithm>
#include <optional>
#include <vector>

#include <belay/budget/budgets.hpp>
#include <belay/call/layers.hpp>
#include <belay/call/pipeline.hpp>
#include <belay/call/pipeline_task.hpp>

#include "support/aborts.hpp"
#include "support/call/async_sleeper.hpp"
#include "support/catch.hpp"
#include "support/shorthand.hpp"

using namespace belay;
using namespace std::chrono_literals;
using belay_test::AsyncSleeper;
using belay_test::at;

namespace {

struct Reply {
    Duration takes;
    std::optional<int> value;   // without a value, the call fails
    Cause cause = Cause::lost;  // the reason of that failure
};

struct HedgedPeer {
    AsyncSleeper& sleeper;
    std::vector<Reply> replies;
    std::vector<Instant> begun{};

    Task<Result<int, Failure>> operator()(Attempt) {
        const Reply reply = replies[begun.size()];
        begun.push_back(sleeper.now());
        co_await sleeper.async_sleep_until(after(sleeper.now(), reply.takes));
        if (!reply.value) co_return Failure{reply.cause};
        co_return *reply.value;
    }
};

template <class P>
auto await_hedged(const P& pipeline, HedgedPeer& peer) {
    auto task = pipeline(peer.sleeper, [&peer](Attempt attempt) { return peer(attempt); });
    task.start();
    peer.sleeper.run();
    REQUIRE(task.done());
    return task.take();
}

constexpr auto growing = [](std::size_t further) noexcept -> Duration { return further * 100ms; };
constexpr auto is_even = [](const Result<int, Failure>& reply) { return reply.value() % 2 == 0; };

}  // namespace

TEST_CASE("Hedge may have another delay before each further call, as Polly's DelayGenerator",
          "[call][hedge][unit]") {
    AsyncSleeper sleeper;
    HedgedPeer peer{sleeper, {{9s, 1}, {9s, 2}, {9s, 3}, {1ms, 4}}};
    CHECK(await_hedged(Pipeline{Hedge{growing, 3}}, peer).value() == 4);
    CHECK(peer.begun == std::vector<Instant>{at(0s), at(100ms), at(300ms), at(600ms)});
}

TEST_CASE("A delay of each further call is paid for like a fixed one", "[call][hedge][unit]") {
    AsyncSleeper sleeper;
    TokenBudget budget{
        {.capacity_milli = 5000, .retry_cost_milli = 5000, .timeout_cost_milli = 5000}};
    HedgedPeer peer{sleeper, {{9s, 1}, {9s, 2}, {9s, 3}}};
    CHECK(await_hedged(Pipeline{Hedge{growing, 2, Shared{budget}}}, peer).value() == 1);
    CHECK(peer.begun == std::vector<Instant>{at(0s), at(100ms)});
}

TEST_CASE("Hedge aborts on a negative delay of a further call", "[call][hedge][unit]") {
    const auto negative = [](std::size_t) noexcept -> Duration { return -1ns; };
    const auto message = belay_test::aborts_with([negative] {
        AsyncSleeper sleeper;
        HedgedPeer peer{sleeper, {{1s, 1}, {1s, 2}}};
        static_cast<void>(await_hedged(Pipeline{Hedge{negative, 1}}, peer));
    });
    CHECK_THAT(message, Catch::Matchers::Contains("Hedge: the delay must be >= 0ns"));
}

TEST_CASE("Hedge::until ignores a success that is not chosen, as failsafe-go's CancelIf",
          "[call][hedge][unit]") {
    AsyncSleeper sleeper;
    HedgedPeer peer{sleeper, {{200ms, 1}, {20ms, 3}, {70ms, 4}}};
    CHECK(await_hedged(Pipeline{Hedge{50ms, 2}.until(is_even)}, peer).value() == 4);
    // The success at 70 ms was not chosen, and started no call early.
    CHECK(peer.begun == std::vector<Instant>{at(0s), at(50ms), at(100ms)});
    CHECK(sleeper.now() == at(170ms));
}

TEST_CASE("Hedge::until returns the last success if none is chosen, and not a later failure",
          "[call][hedge][unit]") {
    AsyncSleeper sleeper;
    SECTION("that other calls could correct") {
        HedgedPeer peer{sleeper, {{10ms, 1}, {10ms, 3}, {10ms, std::nullopt}}};
        CHECK(await_hedged(Pipeline{Hedge{50ms, 2}.until(is_even)}, peer).value() == 3);
        CHECK(sleeper.now() == at(110ms));
    }
    SECTION("that no further call can correct") {
        HedgedPeer peer{sleeper, {{10ms, 1}, {10ms, std::nullopt, Cause::permanent}, {1s, 2}}};
        CHECK(await_hedged(Pipeline{Hedge{50ms, 2}.until(is_even)}, peer).value() == 1);
        CHECK(sleeper.now() == at(60ms));
        CHECK(peer.begun.size() == 2);
    }
}

TEST_CASE("Hedge::until fails with the last failure if no call succeeds", "[call][hedge][unit]") {
    AsyncSleeper sleeper;
    HedgedPeer peer{sleeper, {{1ms, std::nullopt}, {1ms, std::nullopt}}};
    CHECK(await_hedged(Pipeline{Hedge{50ms, 1}.until(is_even)}, peer).error().cause == Cause::lost);
}

TEST_CASE("Hedge::Percentile is the nearest rank of the last 128 latencies",
          "[call][hedge][property]") {
    CHECK(rc::check("against a sorted copy", [] {
        const auto percent = *rc::gen::inRange<std::uint32_t>(1, 100);
        const auto took = *rc::gen::container<std::vector<int>>(rc::gen::inRange(2, 1000));
        Hedge<>::Percentile recent{percent, 77ms};
        for (std::size_t i = 0; i < took.size(); ++i) {
            recent.record(std::chrono::milliseconds{took[i]});
            std::vector<int> last{took.begin() + static_cast<int>(i >= 127 ? i - 127 : 0),
                                  took.begin() + static_cast<int>(i) + 1};
            std::sort(last.begin(), last.end());
            const std::size_t rank = (last.size() * percent + 99) / 100;
            const Duration model = std::chrono::milliseconds{last[rank - 1]};
            RC_ASSERT(recent.delay() == (last.size() < 20 ? Duration{77ms} : model));
        }
    }));
    Hedge<>::Percentile fast{50, 77ms};
    for (int i = 0; i < 300; ++i) fast.record(std::chrono::milliseconds{i});
    CHECK(fast.delay() == 235ms);  // the percentile of 172 to 299 ms
    for (int i = 0; i < 128; ++i) fast.record(1us);
    CHECK(fast.delay() == 1ms);
}

TEST_CASE("Hedge starts a further call after the percentile of recent latencies, as in Finagle",
          "[call][hedge][unit]") {
    AsyncSleeper sleeper;
    Hedge<>::Percentile p90{90, 500ms};
    const Pipeline pipeline{Hedge{p90, 1}};
    for (int i = 1; i <= 20; ++i) {
        HedgedPeer peer{sleeper, {{std::chrono::milliseconds{i}, 1}}};
        CHECK(await_hedged(pipeline, peer).value() == 1);
    }
    CHECK(p90.delay() == 18ms);
    const Instant before_it = sleeper.now();
    HedgedPeer slow{sleeper, {{1s, 1}, {5ms, 2}}};
    CHECK(await_hedged(pipeline, slow).value() == 2);
    CHECK(slow.begun[1] == after(before_it, 18ms));
    // The first call counts with its 23 ms, and the second with its 5 ms: 20 of 22 are <= 19 ms.
    CHECK(p90.delay() == 19ms);
}

TEST_CASE(
    "Hedge::Percentile is not lowered by fast failures, nor by calls that are destroyed early",
    "[call][hedge][unit]") {
    AsyncSleeper sleeper;
    Hedge<>::Percentile p50{50, 500ms};
    for (int i = 0; i < 20; ++i) p50.record(100ms);
    const Pipeline pipeline{Hedge{p50, 1}};
    for (int i = 0; i < 50; ++i) {
        HedgedPeer failing{sleeper, {{1ms, std::nullopt}, {1ms, std::nullopt}}};
        CHECK_FALSE(await_hedged(pipeline, failing));
        HedgedPeer destroyed{sleeper, {{1s, 1}}};
        auto task = pipeline(sleeper, [&destroyed](Attempt attempt) { return destroyed(attempt); });
        task.start();
    }
    CHECK(p50.delay() == 100ms);
}

TEST_CASE("A Hedge by a percentile does not double the load of a peer that is slow for all calls",
          "[call][hedge][unit]") {
    struct SlowingPeer {
        AsyncSleeper& sleeper;
        Duration slow_takes;
        std::vector<int> calls_by_second = std::vector<int>(11);
        int begun = 0;

        Task<Result<int, Failure>> operator()(Attempt) {
            const Instant now = sleeper.now();
            ++calls_by_second[static_cast<std::size_t>(elapsed(Instant{}, now) / 1s)];
            // From 10 to 29 ms, and sometimes longer, in the first five seconds.
            const int number = begun++;
            const Duration usual = number % 80 == 79 ? 90ms : 10ms + (number * 7 % 20) * 1ms;
            const Duration takes = now < at(5s) ? usual : slow_takes;
            co_await sleeper.async_sleep_until(after(now, takes));
            co_return 1;
        }
    };
    const Duration slow_takes = GENERATE(Duration{150ms}, Duration{900ms}, Duration{1h});
    const std::uint32_t percent = GENERATE(90U, 95U, 99U);
    INFO(slow_takes.count() << " ns, " << percent);
    AsyncSleeper sleeper;
    SlowingPeer peer{sleeper, slow_takes};
    Hedge<>::Percentile recent{percent, 50ms};
    const Pipeline pipeline{Timeout{1s}, Hedge{recent, 1}};
    std::vector<Task<Result<int, Failure>>> tasks;
    for (int i = 0; i < 1000; ++i) {
        sleeper.run_until(at(i * 10ms));
        tasks.push_back(pipeline(sleeper, [&peer](Attempt attempt) { return peer(attempt); }));
        tasks.back().start();
    }
    sleeper.run();
    for (std::size_t second = 0; second < 10; ++second) {
        INFO(second);
        CHECK(peer.calls_by_second[second] <= 130);
    }
    // The Hedge still repeats calls that are slower than the others.
    CHECK(peer.calls_by_second[1] + peer.calls_by_second[2] > 200);
}

TEST_CASE("Hedge begins no further call at the deadline, because the call would have no time",
          "[call][hedge][unit]") {
    // The percentile of calls that all time out is the timeout.
    AsyncSleeper sleeper;
    HedgedPeer peer{sleeper, {{9s, 1}, {9s, 2}}};
    CHECK(await_hedged(Pipeline{Timeout{50ms}, Hedge{50ms, 1}}, peer).error().cause ==
          Cause::timed_out);
    CHECK(peer.begun == std::vector<Instant>{at(0s)});
}

TEST_CASE("A Hedge by a percentile with a budget makes as many calls as the budget pays for",
          "[call][hedge][unit]") {
    AsyncSleeper sleeper;
    TokenBudget budget{{.capacity_milli = 30'000,
                        .retry_cost_milli = 1000,
                        .timeout_cost_milli = 1000,
                        .success_gain_milli = 0}};
    Hedge<>::Percentile p99{99, 50ms};
    int repeated = 0;
    for (int i = 0; i < 100; ++i) {
        HedgedPeer peer{sleeper, {{1s, std::nullopt}, {1s, std::nullopt}}};
        static_cast<void>(await_hedged(Pipeline{Hedge{p99, 1, Shared{budget}}}, peer));
        repeated += peer.begun.size() == 2 ? 1 : 0;
    }
    CHECK(repeated == 30);
}
