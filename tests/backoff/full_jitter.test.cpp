// SPDX-License-Identifier: MIT
// Goal: FullJitter is uniform over [0, nominal], also at the cap, and the same on every
// compiler. Method: ranges, means and fixed sequences.
#include <belay/backoff/jitters.hpp>

#include <belay/backoff/caps.hpp>

#include "support/backoff/wait_samples.hpp"
#include "support/catch.hpp"

using namespace belay;
using namespace std::chrono_literals;
using belay_test::wait_samples;

TEST_CASE("FullJitter::range reaches from zero to the nominal wait",
          "[backoff][full_jitter][unit]") {
    STATIC_REQUIRE(FullJitter{}.range({5s, 30s, 3}) == part::WaitRange{0s, 5s});
    STATIC_REQUIRE(FullJitter{}.range({0s, 30s, 0}) == part::WaitRange{0s, 0s});
    STATIC_REQUIRE(FullJitter{}.range({forever, forever, 9}) == part::WaitRange{0s, forever});
}

TEST_CASE("FullJitter reaches both ends, and their mean", "[backoff][full_jitter][unit]") {
    const auto first = wait_samples(Backoff{FullJitter{}, NoCap{}, 1000ns}, 0, 100'000);
    CHECK(first.least == 0ns);
    CHECK(first.most == 1000ns);
    CHECK(first.mean > 497);
    CHECK(first.mean < 503);
}

TEST_CASE("FullJitter does not accumulate waits at the cap", "[backoff][full_jitter][regression]") {
    const auto late = wait_samples(Backoff{FullJitter{}, Cap{30s}, 1s}, 10, 20'000);
    CHECK(late.on_top <= 1);
    CHECK(late.most > 29'990ms);
    CHECK(late.mean > 14.8e9);
    CHECK(late.mean < 15.2e9);
}

TEST_CASE("FullJitter draws the same sequence for ever", "[backoff][full_jitter][golden]") {
    STATIC_REQUIRE([] {
        Backoff backoff{FullJitter{}, Cap{30s}, 1s, Seed{7}};
        return backoff.next().count() == 721'508'181 && backoff.next().count() == 1'299'408'673 &&
               backoff.next().count() == 2'197'497'300;
    }());
}
