// SPDX-License-Identifier: MIT
// Goal: the machine's clocks are the standard library's, in nanoseconds, and free of state.
#include <belay/core/clocks.hpp>

#include "support/catch.hpp"

using namespace belay;

static_assert(std::is_empty_v<SteadyClock> && std::is_empty_v<SystemClock>);

TEST_CASE("SteadyClock is between two readings of the standard clock",
          "[core][steady_clock][unit]") {
    const auto before = std::chrono::steady_clock::now();
    const Instant now = SteadyClock{}.now();
    const auto after_it = std::chrono::steady_clock::now();
    CHECK(now >= before);
    CHECK(now <= after_it);
}

TEST_CASE("SystemClock returns the time since 1970", "[core][steady_clock][unit]") {
    using namespace std::chrono_literals;
    // After 2020. The wall clock may jump, so no closer check is possible.
    CHECK(SystemClock{}.now().time_since_epoch() > 24h * 365 * 50);
}
