// SPDX-License-Identifier: MIT
// Goal: a user's predicate opens a breaker. It is called with the counts of the window. Method:
// examples.
#include <belay/breaker/trips.hpp>

#include <belay/breaker/breaker.hpp>
#include <belay/core/time_window.hpp>

#include "support/breaker/breaker_archetypes.hpp"
#include "support/catch.hpp"

using namespace belay;
using namespace std::chrono_literals;

namespace {

struct AtLeast {
    std::uint64_t bad;
    constexpr bool operator()(const CallCounts& observed) const noexcept {
        return observed.bad >= bad;
    }
};

// A user's trip that needs more than counts: three failures within a second.
struct Burst {
    Instant last[2] = {always, always};
    constexpr bool record(bool failed, Instant now) noexcept {
        if (!failed) return false;
        const bool burst = last[0] != always && elapsed(last[0], now) < 1s;
        last[0] = last[1];
        last[1] = now;
        return burst;
    }
    constexpr void reset() noexcept { *this = {}; }
};

}  // namespace

static_assert(TripLike<TripWhen<CountWindow<10>, AtLeast>> && TripLike<Burst>);
static_assert(
    sizeof(TripWhen<CountWindow<10>, decltype([](const CallCounts&) noexcept { return true; })>) ==
    sizeof(CountWindow<10>));

TEST_CASE("TripWhen calls the predicate after every call", "[breaker][trip_when][unit]") {
    STATIC_REQUIRE([] {
        TripWhen trip{CountWindow<3>{}, AtLeast{2}};
        bool ok = !trip.record(true) && trip.record(true) && trip.record(false);
        ok = ok && !trip.record(false) && !trip.record(true) && trip.record(true);
        trip.reset();
        return ok && !trip.record(true);
    }());
}

TEST_CASE("TripWhen with a lambda and a TimeWindow opens a breaker", "[breaker][trip_when][unit]") {
    STATIC_REQUIRE([] {
        belay_test::BreakerBench b{Breaker{TripWhen{TimeWindow{60s},
                                                    [](const CallCounts& observed) noexcept {
                                                        return observed.bad * 2 > observed.calls;
                                                    }},
                                           OpenFor{10s}}};
        b.succeed();
        const bool ok = b.fail() == Advice::go() && b.fail() == Advice::suspend(b.now + 10s);
        b.now += 10s;
        return ok && b.fail().verb == Advice::Verb::suspend;
    }());
}

TEST_CASE("A user's own trip opens a breaker", "[breaker][trip_when][unit]") {
    STATIC_REQUIRE([] {
        belay_test::BreakerBench b{Breaker{Burst{}, OpenFor{10s}}};
        bool ok = true;
        for (int i = 0; i < 10; ++i, b.now += 500ms) ok = ok && b.fail() == Advice::go();
        b.now += 1h;
        ok = ok && b.fail() == Advice::go() && b.fail() == Advice::go();
        return ok && b.fail().verb == Advice::Verb::suspend;
    }());
}
