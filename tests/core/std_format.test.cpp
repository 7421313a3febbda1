// SPDX-License-Identifier: MIT
// Goal: std::format formats every type with a text. Method: one value of each kind, if the standard
// library has std::format. If not, the test is skipped.
#include <belay/core/std_format.hpp>

#include <cstdio>

#include <belay/breaker/breaker_text.hpp>
#include <belay/link/link_text.hpp>

#include "support/catch.hpp"

using namespace belay;

TEST_CASE("std::format formats statuses, events and enumerators by their text",
          "[core][std_format][unit]") {
#ifdef __cpp_lib_format
    CHECK(std::format("{:>10}|", LinkState::cooldown) == "  cooldown|");
    CHECK(std::format("{}", LinkStatus{}) == "state=stopped attempt=0 since=always");
    CHECK(std::format("{}", BreakerEvent{}) == to_string(BreakerEvent{}));
    CHECK(std::format("{}", Failure{.cause = Cause::lost}) == "lost");
    CHECK(std::format("retry at {}", to_string(never)) == "retry at never");
#else
    std::puts("SKIP: this standard library has no std::format");
#endif
}
