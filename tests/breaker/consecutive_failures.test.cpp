// SPDX-License-Identifier: MIT
// Goal: the given number of failures in a row trips it, and nothing else does.
#include <belay/breaker/trips.hpp>

#include <type_traits>
#include <vector>

#include "support/catch.hpp"

using namespace belay;

static_assert(std::is_trivially_copyable_v<ConsecutiveFailures> &&
              sizeof(ConsecutiveFailures) == 8);
static_assert(ConsecutiveFailures{7}.limit() == 7);
// It requires no time.
static_assert(!detail::RecordsAtInstants<ConsecutiveFailures> &&
              !detail::RecordsTimedCalls<ConsecutiveFailures>);

TEST_CASE("ConsecutiveFailures trips at the n-th failure in a row, and stays tripped",
          "[breaker][consecutive_failures][unit]") {
    STATIC_REQUIRE([] {
        ConsecutiveFailures trip{3};
        bool ok = !trip.record(true) && !trip.record(true) && !trip.record(false);
        ok = ok && !trip.record(true) && !trip.record(true) && trip.record(true);
        ok = ok && trip.record(true) && !trip.record(false) && !trip.record(true);
        trip.reset();
        return ok && !trip.record(true) && !trip.record(true) && trip.record(true);
    }());
    STATIC_REQUIRE(ConsecutiveFailures{1}.record(true));
}

TEST_CASE("ConsecutiveFailures does not wrap at its greatest limit",
          "[breaker][consecutive_failures][unit]") {
    ConsecutiveFailures trip{~std::uint32_t{0}};
    for (int i = 0; i < 1000; ++i) CHECK_FALSE(trip.record(true));
}

TEST_CASE("ConsecutiveFailures agrees with a count of the last verdicts",
          "[breaker][consecutive_failures][property]") {
    CHECK(rc::check("the last n verdicts are failures", [](const std::vector<bool>& verdicts) {
        const auto limit = *rc::gen::inRange<std::uint32_t>(1, 6);
        ConsecutiveFailures trip{limit};
        std::uint32_t in_a_row = 0;
        for (const bool failed : verdicts) {
            in_a_row = failed ? in_a_row + 1 : 0;
            RC_ASSERT(trip.record(failed) == (in_a_row >= limit));
        }
    }));
}
