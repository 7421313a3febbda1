// SPDX-License-Identifier: MIT
// Goal: Linear grows by the base, and saturates.
#include <belay/backoff/growths.hpp>

#include <belay/backoff/backoff.hpp>
#include <belay/backoff/jitters.hpp>

#include "support/backoff/wait_samples.hpp"
#include "support/catch.hpp"

using namespace belay;
using namespace std::chrono_literals;

TEST_CASE("Linear grows by the base each time", "[backoff][linear][unit]") {
    STATIC_REQUIRE([] {
        Backoff backoff{NoJitter{}, Cap{10s}, Linear{3s}};
        bool ok = true;
        for (const auto expected : {3s, 6s, 9s, 10s, 10s}) ok = ok && backoff.next() == expected;
        return ok;
    }());
    STATIC_REQUIRE(Backoff{NoJitter{}, Cap{10s}, Linear{3s}}.max_total(5) == 38s);
}

TEST_CASE("Linear neither overflows nor falls at any attempt", "[backoff][linear][unit]") {
    for (const Duration base : {1ns, Duration{1s}, 100 * belay_test::a_year, forever}) {
        Duration before{};
        for (const std::uint64_t n : belay_test::awkward_attempts) {
            CAPTURE(base.count(), n);
            const Duration now = Linear{base}(n);
            CHECK(now >= base);
            CHECK(now >= before);
            before = now;
        }
        CHECK(before == forever);
    }
    STATIC_REQUIRE(Linear{1ns}(4'294'967'295U).count() == 4'294'967'296);
}

TEST_CASE("Linear must have a positive base", "[backoff][linear][unit]") {
    STATIC_REQUIRE(Linear{1ns}.check() == BackoffErrc{});
    STATIC_REQUIRE(Linear{0ns}.check() == BackoffErrc::bad_base);
    STATIC_REQUIRE(Linear{-5s}.check() == BackoffErrc::bad_base);
}
