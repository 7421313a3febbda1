// SPDX-License-Identifier: MIT
// Goal: slow successful calls open a breaker, and a slow probe does not close it. Method:
// timelines.
#include <belay/breaker/trips.hpp>

#include <belay/breaker/breaker.hpp>
#include <belay/core/time_window.hpp>

#include "support/breaker/breaker_archetypes.hpp"
#include "support/catch.hpp"

using namespace belay;
using namespace std::chrono_literals;

static_assert(TripLike<SlowCallRate<CountWindow<10>>> && TripLike<SlowCallRate<TimeWindow<>>>);
static_assert(detail::RecordsTimedCalls<SlowCallRate<CountWindow<10>>>);

TEST_CASE("SlowCallRate counts slow calls, whether they succeed or fail",
          "[breaker][slow_call_rate][unit]") {
    STATIC_REQUIRE([] {
        SlowCallRate trip{2s, CountWindow<10>{}, {.percent = 50, .min_calls = 4}};
        bool ok = !trip.record(true, Instant{}, 2s - 1ns);
        ok = ok && !trip.record(false, Instant{}, 2s) && !trip.record(true, Instant{}, 0s);
        ok = ok && trip.record(false, Instant{}, forever);
        ok = ok && !trip.too_slow(2s - 1ns) && trip.too_slow(2s);
        trip.reset();
        return ok && !trip.record(false, Instant{}, 3s);
    }());
}

TEST_CASE("SlowCallRate opens a breaker although all calls succeed",
          "[breaker][slow_call_rate][unit]") {
    STATIC_REQUIRE([] {
        belay_test::BreakerBench b{Breaker{
            SlowCallRate{2s, TimeWindow{60s}, {.percent = 80, .min_calls = 5}}, OpenFor{60s}}};
        for (int i = 0; i < 4; ++i) b.succeed(3s);
        bool ok = b.state() == BreakerState::closed;
        b.succeed(1s);
        ok = ok && b.state() == BreakerState::open;
        b.now += 60s;
        // The probe is slow again, so the peer has not recovered.
        b.succeed(2s);
        ok = ok && b.state() == BreakerState::open;
        b.now += 60s;
        b.succeed(2s - 1ns);
        return ok && b.state() == BreakerState::closed;
    }());
}

TEST_CASE("SlowCallRate treats calls as fast when the clock steps back",
          "[breaker][slow_call_rate][unit]") {
    belay_test::BreakerBench b{
        Breaker{SlowCallRate{2s, CountWindow<4>{}, {.percent = 1, .min_calls = 1}}, OpenFor{60s}}};
    b.succeed(-10s);
    CHECK(b.state() == BreakerState::closed);
    b.succeed(48h);
    CHECK(b.state() == BreakerState::open);
}
