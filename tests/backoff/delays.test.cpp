// SPDX-License-Identifier: MIT
// Goal: Delays are used as written, and the last one repeats for ever. Method: examples.
#include <belay/backoff/growths.hpp>

#include <belay/backoff/backoff.hpp>
#include <belay/backoff/caps.hpp>
#include <belay/backoff/jitters.hpp>

#include "support/backoff/wait_samples.hpp"
#include "support/catch.hpp"

using namespace belay;
using namespace std::chrono_literals;

static_assert(std::same_as<decltype(Delays{0s, 200ms, 1min}), Delays<3>>);
static_assert(sizeof(Delays<3>) == 3 * sizeof(Duration));

TEST_CASE("Delays are used in their order, and the last one repeats", "[backoff][delays][unit]") {
    STATIC_REQUIRE([] {
        Backoff backoff{NoJitter{}, NoCap{}, Delays{0s, 2s, 10s, 30s}};
        bool ok = true;
        for (const auto expected : {0s, 2s, 10s, 30s, 30s, 30s}) {
            ok = ok && backoff.next() == expected;
        }
        return ok;
    }());
    for (const std::uint64_t n : belay_test::awkward_attempts) {
        CHECK(Delays{5s, 1s}(n) == (n == 0 ? 5s : 1s));
    }
}

TEST_CASE("Delays may get shorter, and their sums stay exact", "[backoff][delays][unit]") {
    constexpr Backoff backoff{NoJitter{}, NoCap{}, Delays{5s, 30s, 5s, 1s}};
    STATIC_REQUIRE(backoff.max_total(3) == 40s);
    STATIC_REQUIRE(backoff.max_total(6) == 43s);
    CHECK(backoff.max_total(1'000'000) == 40s + 999'997s);
}

TEST_CASE("Delays must not be negative, and must end with one that is positive",
          "[backoff][delays][unit]") {
    STATIC_REQUIRE(Delays{0s, 1s}.check() == BackoffErrc{});
    STATIC_REQUIRE(Delays{1ns}.check() == BackoffErrc{});
    STATIC_REQUIRE(Delays{1s, -1ns, 2s}.check() == BackoffErrc::bad_delays);
    STATIC_REQUIRE(Delays{1s, 0s}.check() == BackoffErrc::bad_delays);
    STATIC_REQUIRE(Delays{0s}.check() == BackoffErrc::bad_delays);
}
