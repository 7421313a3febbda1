// SPDX-License-Identifier: MIT
// Goal: NoCap sets no bound and adds no size.
#include <belay/backoff/caps.hpp>

#include <belay/backoff/backoff.hpp>
#include <belay/backoff/jitters.hpp>

#include "support/catch.hpp"

using namespace belay;
using namespace std::chrono_literals;

static_assert(sizeof(Backoff<FullJitter, NoCap>) == 24);

TEST_CASE("NoCap::limit is the wait itself", "[backoff][no_cap][unit]") {
    STATIC_REQUIRE(NoCap{}.limit(0ns) == 0ns);
    STATIC_REQUIRE(NoCap{}.limit(forever) == forever);
}

TEST_CASE("NoCap lets waits grow to forever, without overflow", "[backoff][no_cap][unit]") {
    STATIC_REQUIRE(Backoff{NoJitter{}, NoCap{}, 1ns}.max_delay(62).count() == 1LL << 62);
    STATIC_REQUIRE(Backoff{NoJitter{}, NoCap{}, 1ns}.max_delay(63) == forever);
    STATIC_REQUIRE(Backoff{ProportionalJitter::plus_percent(100), NoCap{}, 1s}.max_delay(1024) ==
                   forever);
}
