// SPDX-License-Identifier: MIT
// Goal: every HTTP status has the cause that a policy needs.
#include <belay/core/http_failure.hpp>

#include <chrono>

#include "support/catch.hpp"

using namespace belay;
using namespace std::chrono_literals;

TEST_CASE("http_failure classifies statuses", "[core][http_failure][golden]") {
    const auto cause = [](int status) { return http_failure(status).cause; };
    CHECK(cause(401) == Cause::unauthorized);
    CHECK(cause(403) == Cause::refused);
    CHECK(cause(404) == Cause::permanent);
    CHECK(cause(408) == Cause::timed_out);
    CHECK(cause(421) == Cause::refused);
    CHECK(cause(425) == Cause::refused);
    CHECK(cause(429) == Cause::overloaded);
    CHECK(cause(529) == Cause::overloaded);
    CHECK(cause(500) == Cause::lost);
    CHECK(cause(502) == Cause::lost);
    CHECK(cause(503) == Cause::overloaded);
    CHECK(cause(504) == Cause::timed_out);
    CHECK(http_failure(503, 30s).retry_after == 30s);
    CHECK(http_failure(503).message() == "overloaded: status 503");
    CHECK(cause(0) == Cause::lost);  // without a response
    CHECK(cause(301) == Cause::permanent);
    CHECK(cause(499) == Cause::permanent);
}

TEST_CASE("http_failure is none for a successful status", "[core][http_failure][unit]") {
    for (const int status : {200, 204, 299}) CHECK(http_failure(status) == Failure{});
    for (const int status : {199, 300}) CHECK(http_failure(status).cause == Cause::permanent);
}
