// SPDX-License-Identifier: MIT
// Goal: Cap is the smaller of two waits.
#include <belay/policy/cap.hpp>

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
