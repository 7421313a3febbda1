// SPDX-License-Identifier: MIT
// Goal: the numbers, texts and causes of CallErrc are fixed.
#include <belay/call/attempt.hpp>

#include <string>

#include "support/catch.hpp"

using namespace belay;

TEST_CASE("CallErrc has fixed numbers, and a text and a cause for each",
          "[call][call_errc][golden]") {
    const std::error_code gave_up = CallErrc::gave_up;
    CHECK(gave_up.value() == 1);
    CHECK(std::string{gave_up.category().name()} == "belay.call");
    CHECK(gave_up.message() == "a rule of the policy stopped the retries");
    CHECK(cause_of(gave_up) == Cause::lost);
    const std::error_code stopped = CallErrc::stopped;
    CHECK(stopped.value() == 2);
    CHECK(stopped.message() == "stopped on request");
    CHECK(stopped == Cause::planned);
    const std::error_code open = CallErrc::breaker_open;
    CHECK(open.value() == 3);
    CHECK(open.message() == "the circuit breaker is open");
    CHECK(open == Cause::overloaded);
    const std::error_code failed = CallErrc::call_failed;
    CHECK(failed.value() == 4);
    CHECK(failed.message() == "the call failed");
    CHECK(failed == Cause::lost);
    const std::error_code rejected = CallErrc::call_rejected;
    CHECK(rejected.value() == 5);
    CHECK(rejected.message() == "the call was rejected before it was made");
    CHECK(rejected == Cause::overloaded);
    CHECK(std::error_code{1000, belay::detail::call_category()}.message() == "unknown error");
}
