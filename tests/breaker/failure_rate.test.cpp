// SPDX-License-Identifier: MIT
// Goal: FailureRate trips at its percentage, and not before its minimum of calls, in either window.
// Method: examples, and a count by hand.
#include <belay/breaker/trips.hpp>

#include <deque>
#include <vector>

#include <belay/breaker/breaker.hpp>
#include <belay/core/time_window.hpp>

#include "support/breaker/breaker_archetypes.hpp"
#include "support/catch.hpp"

using namespace belay;
using namespace std::chrono_literals;

static_assert(TripLike<FailureRate<CountWindow<100>>> && TripLike<FailureRate<TimeWindow<>>>);
static_assert(!detail::RecordsAtInstants<FailureRate<CountWindow<100>>>,
              "a CountWindow needs no clock");
static_assert(detail::RecordsAtInstants<FailureRate<TimeWindow<>>> &&
              !detail::RecordsTimedCalls<FailureRate<TimeWindow<>>>);
static_assert(std::same_as<decltype(FailureRate{TimeWindow{30s}}), FailureRate<TimeWindow<>>>);

TEST_CASE("FailureRate trips at its percentage after its minimum of calls",
          "[breaker][failure_rate][unit]") {
    STATIC_REQUIRE([] {
        FailureRate trip{CountWindow<10>{}, {.percent = 50, .min_calls = 4}};
        bool ok = !trip.record(true) && !trip.record(true) && !trip.record(true);
        // The fourth call completes the minimum, although it succeeds.
        ok = ok && trip.record(false) && trip.record(false) && trip.record(false);
        ok = ok && !trip.record(false) && trip.record(true);
        trip.reset();
        return ok && !trip.record(true);
    }());
}

// Pitfall 28.
TEST_CASE("FailureRate with few calls never trips by default, and ConsecutiveFailures does",
          "[breaker][failure_rate][unit]") {
    FailureRate rate{TimeWindow{30s}};
    ConsecutiveFailures in_a_row{5};
    Instant now{};
    bool tripped = false;
    for (int i = 0; i < 100; ++i, now += 20s) {
        CHECK_FALSE(rate.record(true, now));
        tripped = in_a_row.record(true) || tripped;
    }
    CHECK(tripped);
}

// Pitfall 17, through the trip.
TEST_CASE("FailureRate over time trips on failures on both sides of any instant",
          "[breaker][failure_rate][unit]") {
    FailureRate trip{TimeWindow{30s}, {.percent = 100, .min_calls = 6}};
    bool tripped = false;
    for (int i = 0; i < 5; ++i) tripped = trip.record(true, Instant{} + 29'900ms) || tripped;
    CHECK_FALSE(tripped);
    for (int i = 0; i < 5; ++i) tripped = trip.record(true, Instant{} + 30'100ms) || tripped;
    CHECK(tripped);
}

TEST_CASE("FailureRate opens a Breaker at its percentage", "[breaker][failure_rate][unit]") {
    STATIC_REQUIRE([] {
        belay_test::BreakerBench b{
            Breaker{FailureRate{TimeWindow{10s}, {.percent = 50, .min_calls = 4}}, OpenFor{60s}}};
        for (int i = 0; i < 3; ++i) {
            static_cast<void>(b.fail());
            b.now += 20s;
        }
        bool ok = b.admits();  // at most one call in the window
        for (int i = 0; i < 2; ++i) b.succeed();
        static_cast<void>(b.fail());
        ok = ok && b.admits() && b.fail().verb == Advice::Verb::suspend;
        b.now += 60s;
        b.succeed();
        return ok && b.state() == BreakerState::closed && b.fail() == Advice::go();
    }());
}

TEST_CASE("FailureRate agrees with a simple count", "[breaker][failure_rate][property]") {
    CHECK(rc::check("the last 20 calls decide", [](const std::vector<bool>& verdicts) {
        const auto percent = *rc::gen::inRange<std::uint32_t>(1, 101);
        const auto min_calls = *rc::gen::inRange<std::uint32_t>(1, 21);
        FailureRate trip{CountWindow<20>{}, {.percent = percent, .min_calls = min_calls}};
        std::deque<bool> last;
        for (const bool failed : verdicts) {
            last.push_back(failed);
            if (last.size() > 20) last.pop_front();
            std::size_t failures = 0;
            for (const bool f : last) failures += f ? 1U : 0U;
            const bool expected =
                last.size() >= min_calls && failures * 100 >= last.size() * percent;
            RC_ASSERT(trip.record(failed) == expected);
        }
    }));
}
