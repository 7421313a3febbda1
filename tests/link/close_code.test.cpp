// SPDX-License-Identifier: MIT
// Goal: close codes map to the causes that docs/explanation/links.md lists, and unknown codes are retried.
// Method: all rows of the list.
#include <belay/link/link_errc.hpp>

#include "support/catch.hpp"

using namespace belay;
using namespace std::chrono_literals;

TEST_CASE("websocket_failure classifies close codes", "[link][close_code][golden]") {
    const auto cause = [](int code) { return websocket_failure(code).cause; };
    CHECK(cause(1000) == Cause::lost);
    CHECK(cause(1001) == Cause::planned);
    CHECK(cause(1002) == Cause::protocol);
    CHECK(cause(1006) == Cause::lost);
    CHECK(cause(1008) == Cause::forbidden);
    CHECK(cause(1009) == Cause::permanent);
    CHECK(cause(1011) == Cause::lost);
    CHECK(cause(1012) == Cause::overloaded);
    CHECK(cause(1013) == Cause::overloaded);
    CHECK(cause(4001) == Cause::unauthorized);
    CHECK(cause(4003) == Cause::forbidden);
    CHECK(cause(4999) == Cause::lost);
    CHECK(websocket_failure(1013, 7s).retry_after == 7s);
    CHECK(websocket_failure(1013).message() == "overloaded: close code 1013");
    CHECK(websocket_failure(1013).error() == std::error_code{1013, websocket_category()});
}
