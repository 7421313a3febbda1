// SPDX-License-Identifier: MIT
// Goal: NoJitter is exact and draws nothing.
#include <belay/policy/no_jitter.hpp>

#include "support/catch.hpp"

using namespace belay;
using namespace std::chrono_literals;

TEST_CASE("NoJitter::delay is the ceiling, without a draw", "[policy][no_jitter][unit]") {
    Random bits;
    STATIC_REQUIRE([] {
        Random unseeded;
        return NoJitter{}.delay(5s, unseeded) == 5s;
    }());
    CHECK(NoJitter{}.delay(0ns, bits) == 0ns);
    CHECK(NoJitter{}.delay(forever, bits) == forever);
    CHECK_FALSE(bits.seeded());
}
