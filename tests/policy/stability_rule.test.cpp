// SPDX-License-Identifier: MIT
// Goal: each rule has a text. Method: all of them.
#include <belay/policy/stability_check.hpp>

#include <string_view>

#include "support/catch.hpp"

using namespace belay;
using check::StabilityRule;

TEST_CASE("to_string returns a text for each StabilityRule", "[policy][stability_rule][unit]") {
    for (int i = 0; i <= static_cast<int>(StabilityRule::clients_return); ++i) {
        CHECK(std::string_view{to_string(static_cast<StabilityRule>(i))}.size() > 20);
    }
}
