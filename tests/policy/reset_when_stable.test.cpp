// SPDX-License-Identifier: MIT
// Goal: ResetWhenStable requests its window and does nothing else. Method: examples.
#include <belay/policy/rules.hpp>

#include <belay/policy/policy.hpp>

#include "support/catch.hpp"

using namespace belay;
using namespace std::chrono_literals;

TEST_CASE("ResetWhenStable requests its window", "[policy][reset_when_stable][unit]") {
    STATIC_REQUIRE(ResetWhenStable{3s}.stable_window() == 3s);
    STATIC_REQUIRE(ResetWhenStable{0s}.stable_window() == 0s);
    STATIC_REQUIRE(Policy{ResetWhenStable{forever}}.stable_window() == forever);
    STATIC_REQUIRE(Policy{ResetWhenStable{3s}}.attempt_limit() ==
                   belay::detail::default_attempt_limit);
}
