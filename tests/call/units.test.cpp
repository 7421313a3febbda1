// SPDX-License-Identifier: MIT
// Goal: each rule takes a length of time in any unit, and one that does not fit is an error and no
// overflow. Method: lengths of half a second, and of more than 292 years.
#include <chrono>
#include <ratio>

#include <belay/breaker/count_window.hpp>
#include <belay/breaker/open_for.hpp>
#include <belay/breaker/slow_call_rate.hpp>
#include <belay/budget/adaptive_limit.hpp>
#include <belay/call/rate_limiter.hpp>
#include <belay/call/timeout.hpp>
#include <belay/core/time_window.hpp>
#include <belay/policy/attempt_timeout.hpp>
#include <belay/policy/max_elapsed.hpp>
#include <belay/policy/reset_when_stable.hpp>
#include <belay/policy/restart_intensity.hpp>
#include <belay/policy/shared.hpp>

#include "support/aborts.hpp"
#include "support/catch.hpp"

using namespace belay;
using namespace std::chrono_literals;

namespace {

// In nanoseconds it would be about 5 hours, after an overflow.
constexpr std::chrono::hours overflowing{5'124'100};

template <class F>
bool aborts(F f) {
    return belay_test::aborts_with(f) != "did not abort";
}

}  // namespace

TEST_CASE("Rules take half a second as a floating-point number", "[call][units][unit]") {
    constexpr std::chrono::duration<double> half{0.5};
    STATIC_REQUIRE(AttemptTimeout{half}.attempt_limit() == 500ms);
    STATIC_REQUIRE(AskAgain{half}.wait == 500ms);
    STATIC_REQUIRE(Rate{10, half}.per() == 500ms);
    STATIC_REQUIRE(ResetWhenStable{half}.stable_window() == 500ms);
    STATIC_REQUIRE(ResetWhenStable::by_age(half).stable_window() == 500ms);
    STATIC_REQUIRE(SlowCallRate{half, CountWindow<10>{}}.too_slow(500ms));
    STATIC_REQUIRE_FALSE(SlowCallRate{half, CountWindow<10>{}}.too_slow(499ms));
    Random bits{Seed{1}};
    CHECK(OpenFor{half}.next(bits) == 500ms);
    CHECK(OpenFor{std::chrono::minutes{2}}.next(bits) == 120s);
}

TEST_CASE("Rules abort on a length of time that nanoseconds cannot hold", "[call][units][unit]") {
    CHECK(aborts([] { static_cast<void>(AttemptTimeout{overflowing}); }));
    CHECK(aborts([] { static_cast<void>(MaxElapsed{overflowing}); }));
    CHECK(aborts([] { static_cast<void>(AskAgain{overflowing}); }));
    CHECK(aborts([] { static_cast<void>(OpenFor{overflowing}); }));
    CHECK(aborts([] { static_cast<void>(Rate{10, overflowing}); }));
    CHECK(aborts([] { static_cast<void>(ResetWhenStable{overflowing}); }));
    CHECK(aborts([] { static_cast<void>(RestartIntensity<3>{overflowing}); }));
    CHECK(aborts([] { static_cast<void>(TimeWindow{overflowing}); }));
    CHECK(aborts([] { static_cast<void>(Timeout{overflowing}); }));
    CHECK(aborts([] { AdaptiveLimit<> limit{Aimd{}, overflowing}; }));
    CHECK(aborts([] { static_cast<void>(SlowCallRate{overflowing, CountWindow<10>{}}); }));
}
