// SPDX-License-Identifier: MIT
// Goal: each trip gets every call, and their results are combined by any or all. Values that no
// trip needs are not measured. Method: examples and properties.
#include <belay/breaker/trips.hpp>

#include <type_traits>
#include <vector>

#include <belay/breaker/breaker.hpp>
#include <belay/core/time_window.hpp>

#include "support/breaker/breaker_archetypes.hpp"
#include "support/catch.hpp"

using namespace belay;
using namespace std::chrono_literals;

namespace {

using InARow = ConsecutiveFailures;
using Counted = FailureRate<CountWindow<20>>;
using InTime = FailureRate<TimeWindow<>>;
using Slow = SlowCallRate<CountWindow<20>>;

}  // namespace

static_assert(TripLike<AnyTrip<InARow, Counted>> && TripLike<AllTrips<InARow, Slow, InTime>>);
static_assert(!detail::RecordsAtInstants<AnyTrip<InARow, Counted>>);
static_assert(detail::RecordsAtInstants<AnyTrip<InARow, InTime>> &&
              !detail::RecordsTimedCalls<AnyTrip<InARow, InTime>>);
static_assert(detail::RecordsTimedCalls<AllTrips<InTime, Slow>>);
static_assert(std::is_trivially_copyable_v<AnyTrip<InARow, InARow>> &&
              sizeof(AnyTrip<InARow, InARow>) == 2 * sizeof(InARow));
static_assert(std::same_as<decltype(AnyTrip{AllTrips{InARow{1}}}), AnyTrip<AllTrips<InARow>>>,
              "an AllTrips in an AnyTrip is nested, not copied");
static_assert(detail::HasTooSlow<AnyTrip<Slow, InARow>> &&
                  !detail::HasTooSlow<AnyTrip<InARow, InTime>>,
              "only a trip that times calls can report a slow one");
template class belay::AnyTrip<belay_test::MinimalTrip>;
template class belay::AllTrips<belay_test::MinimalTrip, InTime>;

TEST_CASE("AnyTrip trips when one of its trips would", "[breaker][any_trip][unit]") {
    STATIC_REQUIRE([] {
        AnyTrip trip{InARow{3}, Counted{CountWindow<20>{}, {.percent = 40, .min_calls = 5}}};
        bool ok = !trip.record(true) && !trip.record(true) && trip.record(true);
        trip.reset();
        ok = ok && !trip.record(true) && !trip.record(false) && !trip.record(true);
        return ok && !trip.record(false) && trip.record(false);
    }());
}

TEST_CASE("AllTrips trips when all of its trips would", "[breaker][any_trip][unit]") {
    STATIC_REQUIRE([] {
        AllTrips trip{InARow{2}, Counted{CountWindow<20>{}, {.percent = 50, .min_calls = 5}}};
        bool ok = !trip.record(true) && !trip.record(true) && !trip.record(true);
        ok = ok && !trip.record(false) && !trip.record(true) && trip.record(true);
        trip.reset();
        return ok && !trip.record(true) && !trip.record(true);
    }());
}

TEST_CASE("AnyTrip in a breaker counts a slow probe as failed", "[breaker][any_trip][unit]") {
    belay_test::BreakerBench b{
        Breaker{AnyTrip{InARow{5}, Slow{2s, CountWindow<20>{}, {.percent = 50, .min_calls = 4}}},
                OpenFor{10s}}};
    for (int i = 0; i < 4; ++i) b.succeed(5s);
    REQUIRE(b.state() == BreakerState::open);
    b.now += 10s;
    b.succeed(5s);
    CHECK(b.state() == BreakerState::open);
    b.now += 10s;
    b.succeed(1s);
    CHECK(b.state() == BreakerState::closed);
    for (int i = 0; i < 5; ++i) static_cast<void>(b.fail());
    CHECK(b.state() == BreakerState::open);
}

TEST_CASE("AnyTrip and AllTrips report a probe as too slow if any of their trips does",
          "[breaker][any_trip][unit]") {
    STATIC_REQUIRE([] {
        const CountWindow<20> window;
        const auto slow_from_2s = [](const auto& trip) {
            return !trip.too_slow(2s - 1ns) && trip.too_slow(2s) && trip.too_slow(5s);
        };
        return slow_from_2s(AnyTrip{Slow{2s, window}, InARow{5}}) &&
               slow_from_2s(AnyTrip{InARow{5}, Slow{2s, window}}) &&
               slow_from_2s(AnyTrip{Slow{2s, window}, Slow{3s, window}}) &&
               slow_from_2s(AllTrips{Slow{3s, window}, Slow{2s, window}}) &&
               slow_from_2s(AllTrips{Slow{2s, window}, Slow{3s, window}, InARow{5}});
    }());
}

TEST_CASE("AnyTrip and AllTrips combine the results of their trips",
          "[breaker][any_trip][property]") {
    CHECK(rc::check("AnyTrip is a disjunction, and AllTrips a conjunction",
                    [](const std::vector<bool>& verdicts) {
                        InARow a{2};
                        Counted b{CountWindow<20>{}, {.percent = 30, .min_calls = 3}};
                        InARow c{4};
                        AnyTrip any{a, b, c};
                        AllTrips all{a, b, c};
                        for (const bool failed : verdicts) {
                            const bool trips_a = a.record(failed);
                            const bool trips_b = b.record(failed);
                            const bool trips_c = c.record(failed);
                            RC_ASSERT(any.record(failed) == (trips_a || trips_b || trips_c));
                            RC_ASSERT(all.record(failed) == (trips_a && trips_b && trips_c));
                        }
                    }));
}
