// SPDX-License-Identifier: MIT
// Goal: a failure keeps its error code, makes its text on demand, and the more severe of two
// counts. Method: examples.
#include <belay/core/failure.hpp>

#include "support/catch.hpp"

using namespace belay;
using namespace std::chrono_literals;

static_assert(std::is_trivially_copyable_v<Failure> && sizeof(Failure) == 24);
static_assert(belay::detail::more_severe({.cause = Cause::lost}, {.cause = Cause::unauthorized})
                  .cause == Cause::unauthorized);
static_assert(belay::detail::more_severe({.cause = Cause::lost, .code = 1},
                                         {.cause = Cause::lost, .code = 2})
                      .code == 1,
              "of equals the first counts");

TEST_CASE("Failure::from keeps the code and classifies it", "[core][failure][unit]") {
    const std::error_code code{ETIMEDOUT, std::system_category()};
    const Failure f = Failure::from(code, 3s);
    CHECK(f.cause == Cause::timed_out);
    CHECK(f.error() == code);
    CHECK(f.retry_after == 3s);
    CHECK(f.message() == "timed_out: " + code.message());
}

TEST_CASE("Failure without a code has no error and a short text", "[core][failure][unit]") {
    CHECK_FALSE(Failure{}.error());
    CHECK(Failure{.cause = Cause::lost}.message() == "lost");
    CHECK(Failure::from({}).cause == Cause::none);
    CHECK(Failure::from({}).message() == "none");
}
