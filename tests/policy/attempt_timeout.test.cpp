// SPDX-License-Identifier: MIT
// Goal: AttemptTimeout says its limit and nothing else.
#include <belay/policy/attempt_timeout.hpp>

#include <belay/policy/policy.hpp>

#include "support/catch.hpp"

using namespace belay;
using namespace std::chrono_literals;

TEST_CASE("AttemptTimeout wishes for its limit", "[policy][attempt_timeout][unit]") {
    STATIC_REQUIRE(AttemptTimeout{3s}.attempt_limit() == 3s);
    STATIC_REQUIRE(AttemptTimeout{forever}.attempt_limit() == forever);
    STATIC_REQUIRE(Policy{AttemptTimeout{3s}}.stable_window() ==
                   belay::detail::default_stable_window);
}
