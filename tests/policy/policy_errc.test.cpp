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
    const std::error_code failed = PolicyErrc::call_failed;
    CHECK(failed.value() == 4);
    CHECK(failed.message() == "the call failed");
    CHECK(failed == Cause::lost);
    const std::error_code refused = PolicyErrc::call_refused;
    CHECK(refused.value() == 5);
    CHECK(refused.message() == "the call was refused before it was made");
    CHECK(refused == Cause::overloaded);
    const std::error_code first_bad = PolicyErrc::bad_base;
    CHECK(first_bad.value() == 6);
    CHECK(first_bad.message() == "the base of a backoff must be > 0ns, and at most 292 years");
    CHECK(first_bad == Cause::permanent);
    const std::error_code last_bad = PolicyErrc::bad_delays;
    CHECK(last_bad.value() == 11);
    CHECK(last_bad.message() ==
          "the delays of a backoff must be in [0ns, 292 years], the last one > 0ns");
    CHECK(last_bad == Cause::permanent);
    CHECK(std::error_code{1000, policy_category()}.message() == "unknown error");
}
