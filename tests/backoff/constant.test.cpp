// SPDX-License-Identifier: MIT
// Goal: Constant does not grow.
#include <belay/backoff/growths.hpp>

#include <belay/backoff/backoff.hpp>
#include <belay/backoff/caps.hpp>
#include <belay/backoff/jitters.hpp>

#include "support/backoff/wait_samples.hpp"
#include "support/catch.hpp"

using namespace belay;
using namespace std::chrono_literals;

TEST_CASE("Constant is the base at every attempt", "[backoff][constant][unit]") {
    for (const std::uint64_t n : belay_test::awkward_attempts) CHECK(Constant{5s}(n) == 5s);
    STATIC_REQUIRE(Constant{forever}(~std::uint64_t{0}) == forever);
    STATIC_REQUIRE(Backoff{NoJitter{}, NoCap{}, Constant{5s}}.max_total(1'000'000) == 5'000'000s);
}

TEST_CASE("Constant must have a positive base", "[backoff][constant][unit]") {
    STATIC_REQUIRE(Constant{1ns}.check() == BackoffErrc{});
    STATIC_REQUIRE(Constant{0ns}.check() == BackoffErrc::bad_base);
    STATIC_REQUIRE(Constant{-1ns}.check() == BackoffErrc::bad_base);
}
