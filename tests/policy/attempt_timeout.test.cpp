// SPDX-License-Identifier: MIT
// Goal: AttemptTimeout requests its limit and does nothing else. Method: examples.
#include <belay/policy/rules.hpp>

#include <belay/policy/policy.hpp>

#include "support/catch.hpp"

using namespace belay;
using namespace std::chrono_literals;

TEST_CASE("AttemptTimeout requests its limit", "[policy][attempt_timeout][unit]") {
    STATIC_REQUIRE(AttemptTimeout{3s}.attempt_limit() == 3s);
    STATIC_REQUIRE(AttemptTimeout{forever}.attempt_limit() == forever);
    STATIC_REQUIRE(Policy{AttemptTimeout{3s}}.stable_window() ==
                   belay::detail::default_stable_window);
}
