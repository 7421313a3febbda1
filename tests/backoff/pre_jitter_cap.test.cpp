// SPDX-License-Identifier: MIT
// Goal: PreJitterCap bounds the nominal wait only. Method: examples at compile time.
#include <belay/backoff/caps.hpp>

#include <belay/backoff/backoff.hpp>
#include <belay/backoff/jitters.hpp>

#include "support/catch.hpp"

using namespace belay;
using namespace std::chrono_literals;

TEST_CASE("PreJitterCap::limit is the smaller of the wait and the cap",
          "[backoff][pre_jitter_cap][unit]") {
    STATIC_REQUIRE(PreJitterCap{120s}.limit(119s) == 119s);
    STATIC_REQUIRE(PreJitterCap{120s}.limit(forever) == 120s);
    STATIC_REQUIRE(PreJitterCap{120s} == PreJitterCap{2min});
}

TEST_CASE("PreJitterCap lets the jitter exceed it, by its own share and no more",
          "[backoff][pre_jitter_cap][unit]") {
    constexpr Backoff wide{ProportionalJitter::plus_minus_percent(20), PreJitterCap{120s}, 1s};
    STATIC_REQUIRE(wide.max_delay(~std::uint64_t{0}) == 144s);
    STATIC_REQUIRE(wide.min_delay(~std::uint64_t{0}) == 96s);
    // Jitters that only take off are the same under both caps.
    constexpr Backoff narrow{EqualJitter{}, PreJitterCap{120s}, 1s};
    STATIC_REQUIRE(narrow.max_delay(70) == 120s);
    STATIC_REQUIRE(narrow.min_delay(70) == 60s);
}

TEST_CASE("PreJitterCap must be positive", "[backoff][pre_jitter_cap][unit]") {
    using B = Backoff<FullJitter, PreJitterCap>;
    STATIC_REQUIRE(B::check({}, PreJitterCap{0s}, Exponential{1s}) == BackoffErrc::bad_cap);
    STATIC_REQUIRE(B::check({}, PreJitterCap{1s}, Exponential{1s}) == BackoffErrc{});
}
