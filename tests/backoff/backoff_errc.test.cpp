// SPDX-License-Identifier: MIT
// Goal: the numbers, texts and causes of BackoffErrc are fixed.
#include <belay/backoff/growths.hpp>

#include <string>

#include "support/catch.hpp"

using namespace belay;

TEST_CASE("BackoffErrc has fixed numbers, and a text and a cause for each",
          "[backoff][backoff_errc][golden]") {
    const std::error_code first_bad = BackoffErrc::bad_base;
    CHECK(first_bad.value() == 1);
    CHECK(first_bad.message() == "the base of a backoff must be > 0ns and at most 292 years");
    CHECK(first_bad == Cause::permanent);
    const std::error_code last_bad = BackoffErrc::bad_delays;
    CHECK(last_bad.value() == 6);
    CHECK(std::string{last_bad.category().name()} == "belay.backoff");
    CHECK(last_bad.message() ==
          "the delays of a backoff must be in [0ns, 292 years], and the last one > 0ns");
    CHECK(last_bad == Cause::permanent);
    CHECK(std::error_code{1000, belay::detail::backoff_category()}.message() == "unknown error");
}
