// SPDX-License-Identifier: MIT
// Goal: NoJitter gives the exact wait and draws no random number.
#include <belay/backoff/jitters.hpp>

#include <belay/backoff/backoff.hpp>

#include "support/catch.hpp"

using namespace belay;
using namespace std::chrono_literals;

TEST_CASE("NoJitter::range is the nominal wait", "[backoff][no_jitter][unit]") {
    STATIC_REQUIRE(NoJitter{}.range({5s, 30s, 3}) == part::WaitRange{5s, 5s});
    STATIC_REQUIRE(NoJitter{}.range({forever, forever, 3}) == part::WaitRange{forever, forever});
}

TEST_CASE("NoJitter draws nothing, and so works unseeded in a constant expression",
          "[backoff][no_jitter][unit]") {
    STATIC_REQUIRE(Backoff{NoJitter{}, Cap{30s}, 5s}.next() == 5s);
    Random bits;
    Backoff backoff{NoJitter{}, Cap{30s}, 5s};
    CHECK(backoff.next(bits) == 5s);
    CHECK(backoff.next(bits) == 10s);
    CHECK_FALSE(bits.seeded());
}
