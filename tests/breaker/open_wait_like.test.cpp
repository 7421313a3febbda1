// SPDX-License-Identifier: MIT
// Goal: an open wait receives the calls that the trip had counted, as Polly's BreakDurationGenerator
// receives the failure rate and the failure count. Method: timelines.
#include <belay/breaker/open_waits.hpp>

#include <belay/breaker/breaker.hpp>
#include <belay/breaker/circuit_breaker.hpp>
#include <belay/breaker/trips.hpp>
#include <belay/core/clocks.hpp>

#include "support/breaker/breaker_archetypes.hpp"
#include "support/catch.hpp"

using namespace belay;
using namespace std::chrono_literals;
using belay_test::BreakerBench;

namespace {

// Returns one second for each failure, and one minute for each whole percent of failures.
struct WaitByCounts {
    static constexpr Duration next(Random&) noexcept { return 1h; }
    static constexpr Duration next(Random&, const Failure&, const CallCounts& seen) noexcept {
        return std::chrono::seconds{seen.bad} + std::chrono::minutes{seen.bad * 100 / seen.calls};
    }
};

constexpr FailureRate<CountWindow<10>> half_of_four{CountWindow<10>{},
                                                    {.percent = 50, .min_calls = 4}};

struct FourFailures {
    constexpr bool operator()(const CallCounts& seen) const noexcept { return seen.bad >= 4; }
};

}  // namespace

template class belay::OpenAsAsked<WaitByCounts>;

TEST_CASE("An open wait gets the failure count and rate of the window, as in Polly",
          "[breaker][open_wait_like][unit]") {
    STATIC_REQUIRE([] {
        BreakerBench b{Breaker{half_of_four, WaitByCounts{}}};
        b.succeed();
        b.fail();
        b.fail();
        return b.fail() == Advice::suspend(b.now + 3s + 75min);
    }());
}

TEST_CASE("An open wait gets the probes of the round that opens a breaker again",
          "[breaker][open_wait_like][unit]") {
    STATIC_REQUIRE([] {
        BreakerBench b{
            Breaker{half_of_four, WaitByCounts{}, HalfOpenOptions{.successes = 3, .failures = 2}}};
        for (int i = 0; i < 4; ++i) b.fail();
        b.now += 4s + 100min;
        b.succeed();
        b.fail();
        return b.fail() == Advice::suspend(b.now + 2s + 66min);
    }());
}

TEST_CASE("An open wait gets one failure of one call if a forced probe opens a breaker again",
          "[breaker][open_wait_like][unit]") {
    STATIC_REQUIRE([] {
        BreakerBench b{Breaker{half_of_four, WaitByCounts{}}};
        for (int i = 0; i < 4; ++i) b.fail();
        return b.fail() == Advice::suspend(b.now + 1s + 100min);
    }());
}

TEST_CASE("Every trip of one window gives its counts to an open wait",
          "[breaker][open_wait_like][unit]") {
    const auto opens_for = [](auto trip, int failures, Duration took) {
        BreakerBench b{Breaker{trip, WaitByCounts{}}};
        for (int i = 0; i < failures - 1; ++i) b.fail({Cause::lost}, took);
        const Advice advice = b.fail({Cause::lost}, took);
        return elapsed(b.now, advice.until);
    };
    CHECK(opens_for(ConsecutiveFailures{4}, 4, 0s) == 4s + 100min);
    CHECK(opens_for(CountOnly{half_of_four, Cause::lost}, 4, 0s) == 4s + 100min);
    CHECK(opens_for(TripWhen{CountWindow<10>{}, FourFailures{}}, 4, 0s) == 4s + 100min);
    CHECK(opens_for(SlowCallRate{1s, CountWindow<10>{}, {.percent = 50, .min_calls = 4}}, 4, 1s) ==
          4s + 100min);
}

TEST_CASE("A CircuitBreaker gives an open wait the same counts, also those of its atomic word",
          "[breaker][open_wait_like][unit]") {
    ManualClock clock;
    CircuitBreaker in_word{ConsecutiveFailures{3}, WaitByCounts{}, clock.view()};
    belay_test::open(in_word, 3);
    CHECK(in_word.spread() == 3s + 100min);

    CircuitBreaker by_rate{half_of_four, WaitByCounts{}, clock.view()};
    by_rate.acquire().success();
    belay_test::open(by_rate, 3);
    CHECK(by_rate.spread() == 3s + 75min);
}

TEST_CASE("OpenAsAsked passes the counts to its own wait", "[breaker][open_wait_like][unit]") {
    STATIC_REQUIRE([] {
        BreakerBench b{Breaker{ConsecutiveFailures{2}, OpenAsAsked{WaitByCounts{}, 24h}}};
        b.fail();
        const Advice by_counts = b.fail();
        bool ok = by_counts == Advice::suspend(b.now + 2s + 100min);
        b.now += 2s + 100min;
        const Advice as_asked =
            b.fail({.cause = Cause::overloaded, .code = 503, .retry_after = 3h});
        return ok && as_asked == Advice::suspend(b.now + 3h);
    }());
}
