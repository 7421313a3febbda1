// SPDX-License-Identifier: MIT
// Goal: a Backoff that violates a precondition is no constant expression. Method: each wrong value,
// with the nearest valid one.
#include <belay/backoff/backoff.hpp>
#include <belay/backoff/caps.hpp>
#include <belay/backoff/growths.hpp>
#include <belay/backoff/jitters.hpp>

#include "support/catch.hpp"
#include "support/is_constant.hpp"

using namespace belay;
using belay_test::is_constant;

TEST_CASE("A Backoff with a wrong base, cap or floor is no constant expression",
          "[backoff][constants][unit]") {
    STATIC_REQUIRE(is_constant([] { return Backoff{FullJitter{}, Cap{forever}, Duration{1}}; }));
    STATIC_REQUIRE_FALSE(is_constant([] {
        return Backoff{FullJitter{}, Cap{forever}, Duration{0}};
    }));
    STATIC_REQUIRE(is_constant([] {
        return Backoff{FullJitter{}, Cap{Duration{30}}, Duration{30}};
    }));
    STATIC_REQUIRE_FALSE(is_constant([] {
        return Backoff{FullJitter{}, Cap{Duration{30}}, Duration{31}};
    }));
    STATIC_REQUIRE(is_constant([] {
        return Backoff{FullJitter{}, Cap{Duration{1}}, Duration{1}};
    }));
    STATIC_REQUIRE_FALSE(is_constant([] {
        return Backoff{FullJitter{}, Cap{Duration{-1}}, Duration{1}};
    }));
    STATIC_REQUIRE(is_constant([] {
        return Backoff{FullJitter{}, Floor{Duration{4}, Cap{Duration{5}}}, Duration{5}};
    }));
    STATIC_REQUIRE_FALSE(is_constant([] {
        return Backoff{FullJitter{}, Floor{Duration{5}, Cap{Duration{5}}}, Duration{5}};
    }));
}

TEST_CASE("A Backoff with a wrong growth or jitter is no constant expression",
          "[backoff][constants][unit]") {
    STATIC_REQUIRE(is_constant([] {
        return Backoff{FullJitter{}, Cap{forever}, Delays{Duration{1}, Duration{1}}};
    }));
    STATIC_REQUIRE_FALSE(is_constant([] {
        return Backoff{FullJitter{}, Cap{forever}, Delays{Duration{1}, Duration{0}}};
    }));
    STATIC_REQUIRE(is_constant([] {
        return Backoff{FullJitter{}, Cap{forever}, Exponential{Duration{1}, 1.0}};
    }));
    STATIC_REQUIRE_FALSE(is_constant([] {
        return Backoff{FullJitter{}, Cap{forever}, Exponential{Duration{1}, 0.999}};
    }));
    STATIC_REQUIRE_FALSE(is_constant([] {
        return Backoff{FullJitter{}, Cap{forever}, Exponential{Duration{1}, __builtin_nan("")}};
    }));
    STATIC_REQUIRE(is_constant([] {
        return Backoff{ProportionalJitter::plus_percent(100), Cap{forever}, Duration{1}};
    }));
    STATIC_REQUIRE_FALSE(is_constant([] {
        return Backoff{ProportionalJitter::plus_percent(101), Cap{forever}, Duration{1}};
    }));
}
