// SPDX-License-Identifier: MIT
// Goal: Fibonacci adds the two waits before, and saturates.
#include <belay/backoff/growths.hpp>

#include <belay/backoff/backoff.hpp>
#include <belay/backoff/jitters.hpp>

#include "support/backoff/wait_samples.hpp"
#include "support/catch.hpp"

using namespace belay;
using namespace std::chrono_literals;

TEST_CASE("Fibonacci waits are sums of the two before", "[backoff][fibonacci][unit]") {
    STATIC_REQUIRE([] {
        Backoff backoff{NoJitter{}, Cap{30s}, Fibonacci{2s}};
        bool ok = true;
        for (const auto expected : {2s, 2s, 4s, 6s, 10s, 16s, 26s, 30s}) {
            ok = ok && backoff.next() == expected;
        }
        return ok;
    }());
    for (std::uint64_t n = 2; n < 92; ++n) {
        CHECK(Fibonacci{1ns}(n) == Fibonacci{1ns}(n - 1) + Fibonacci{1ns}(n - 2));
    }
}

TEST_CASE("Fibonacci neither overflows nor falls at any attempt", "[backoff][fibonacci][unit]") {
    STATIC_REQUIRE(Fibonacci{1ns}(91).count() == 7'540'113'804'746'346'429);
    STATIC_REQUIRE(Fibonacci{1ns}(92) == forever);
    for (const Duration base : {1ns, 3ns, Duration{1s}, 100 * belay_test::a_year, forever}) {
        Duration before{};
        for (const std::uint64_t n : belay_test::awkward_attempts) {
            CAPTURE(base.count(), n);
            CHECK(Fibonacci{base}(n) >= before);
            before = Fibonacci{base}(n);
        }
        CHECK(before == forever);
    }
}

TEST_CASE("Fibonacci must have a positive base", "[backoff][fibonacci][unit]") {
    STATIC_REQUIRE(Fibonacci{1ns}.check() == BackoffErrc{});
    STATIC_REQUIRE(Fibonacci{0ns}.check() == BackoffErrc::bad_base);
    STATIC_REQUIRE(Fibonacci{-5s}.check() == BackoffErrc::bad_base);
}
