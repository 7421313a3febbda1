// SPDX-License-Identifier: MIT
// Goal: the numbers, texts and causes of PolicyErrc are fixed.
#include <belay/policy/policy_errc.hpp>

#include <string>

#include "support/catch.hpp"

using namespace belay;

TEST_CASE("PolicyErrc has fixed numbers, and a text and a cause for each",
          "[policy][policy_errc][golden]") {
    const std::error_code gave_up = PolicyErrc::gave_up;
    CHECK(gave_up.value() == 1);
    CHECK(std::string{gave_up.category().name()} == "belay.policy");
    CHECK(gave_up.message() == "gave up: a rule of the policy said stop");
    CHECK(cause_of(gave_up) == Cause::lost);
    const std::error_code stopped = PolicyErrc::stopped;
    CHECK(stopped.value() == 2);
    CHECK(stopped.message() == "stopped on request");
    CHECK(stopped == Cause::planned);
    const std::error_code open = PolicyErrc::breaker_open;
    CHECK(open.value() == 3);
    CHECK(open.message() == "the circuit breaker is open");
    CHECK(open == Cause::overloaded);
    CHECK(std::error_code{4, policy_category()}.message() == "unknown error");
}
