// SPDX-License-Identifier: MIT
// Goal: a breaker that violates a precondition is no constant expression. Method: each wrong value,
// with the nearest valid one.
#include <belay/breaker/breaker.hpp>
#include <belay/breaker/trips.hpp>

#include "support/catch.hpp"
#include "support/is_constant.hpp"

using namespace belay;
using belay_test::is_constant;

TEST_CASE("A breaker without probes is no constant expression", "[breaker][constants][unit]") {
    STATIC_REQUIRE(is_constant([] {
        return Breaker{ConsecutiveFailures{5}, OpenFor{Duration{1}}, HalfOpenOptions{.probes = 1}};
    }));
    STATIC_REQUIRE_FALSE(is_constant([] {
        return Breaker{ConsecutiveFailures{5}, OpenFor{Duration{1}}, HalfOpenOptions{.probes = 0}};
    }));
}

TEST_CASE("A rate that needs more calls than its window holds is no constant expression",
          "[breaker][constants][unit]") {
    STATIC_REQUIRE(is_constant([] { return FailureRate{CountWindow<20>{}, {.min_calls = 20}}; }));
    STATIC_REQUIRE_FALSE(is_constant([] {
        return FailureRate{CountWindow<20>{}, {.min_calls = 21}};
    }));
}
