// SPDX-License-Identifier: MIT
// Goal: Cap is the smaller of two waits, and hard for every jitter.
#include <belay/policy/cap.hpp>

#include <belay/policy/backoff.hpp>
#include <belay/policy/proportional_jitter.hpp>

#include "support/catch.hpp"

using namespace belay;
using namespace std::chrono_literals;

TEST_CASE("Cap::limit is the smaller of the wait and the cap", "[policy][cap][unit]") {
    STATIC_REQUIRE(Cap{30s}.limit(0ns) == 0ns);
    STATIC_REQUIRE(Cap{30s}.limit(30s - 1ns) == 30s - 1ns);
    STATIC_REQUIRE(Cap{30s}.limit(30s) == 30s);
    STATIC_REQUIRE(Cap{30s}.limit(forever) == 30s);
    STATIC_REQUIRE(Cap{forever}.limit(forever) == forever);
    STATIC_REQUIRE(Cap{1ns}.limit(5s) == 1ns);
}

TEST_CASE("Cap bounds what the jitter adds, too", "[policy][cap][unit]") {
    constexpr Backoff backoff{ProportionalJitter::plus_percent(100), Cap{3s}, 1s};
    STATIC_REQUIRE(backoff.max_delay(0) == 2s);
    STATIC_REQUIRE(backoff.max_delay(1) == 3s);
    STATIC_REQUIRE(backoff.max_delay(100) == 3s);
}

TEST_CASE("Cap may be below the base: all waits are under it", "[policy][cap][unit]") {
    STATIC_REQUIRE(Backoff{FullJitter{}, Cap{1s}, 5s}.max_delay(0) == 1s);
}

TEST_CASE("Cap must be positive", "[policy][cap][unit]") {
    using B = Backoff<FullJitter, Cap>;
    STATIC_REQUIRE(B::check({}, Cap{1ns}, Exponential{1s}) == PolicyErrc{});
    STATIC_REQUIRE(B::check({}, Cap{0ns}, Exponential{1s}) == PolicyErrc::bad_cap);
    STATIC_REQUIRE(B::check({}, Cap{-1s}, Exponential{1s}) == PolicyErrc::bad_cap);
}
