// SPDX-License-Identifier: MIT
// Goal: EqualJitter waits at least half of the nominal wait, also at the cap.
#include <belay/backoff/jitters.hpp>

#include <belay/backoff/caps.hpp>

#include "support/backoff/wait_samples.hpp"
#include "support/catch.hpp"

using namespace belay;
using namespace std::chrono_literals;
using belay_test::wait_samples;

TEST_CASE("EqualJitter::range is the upper half", "[backoff][equal_jitter][unit]") {
    STATIC_REQUIRE(EqualJitter{}.range({10s, 30s, 3}) == part::WaitRange{5s, 10s});
    STATIC_REQUIRE(EqualJitter{}.range({1ns, 30s, 0}) == part::WaitRange{1ns, 1ns});
    STATIC_REQUIRE(EqualJitter{}.range({3ns, 30s, 0}) == part::WaitRange{2ns, 3ns});
    STATIC_REQUIRE(EqualJitter{}.range({0ns, 30s, 0}) == part::WaitRange{0ns, 0ns});
    STATIC_REQUIRE(EqualJitter{}.range({forever, forever, 0}).least.count() == 1LL << 62);
}

TEST_CASE("EqualJitter reaches both ends, and their mean", "[backoff][equal_jitter][unit]") {
    const auto first = wait_samples(Backoff{EqualJitter{}, NoCap{}, 1000ns}, 0, 50'000);
    CHECK(first.least == 500ns);
    CHECK(first.most == 1000ns);
    CHECK(first.mean > 748);
    CHECK(first.mean < 752);
}

TEST_CASE("EqualJitter keeps its spread at the cap, and does not accumulate waits there",
          "[backoff][equal_jitter][regression]") {
    const auto late = wait_samples(Backoff{EqualJitter{}, Cap{30s}, 1s}, 10, 20'000);
    CHECK(late.least >= 15s);
    CHECK(late.least < 15'010ms);
    CHECK(late.most > 29'990ms);
    CHECK(late.on_top <= 1);
}

TEST_CASE("EqualJitter draws the same sequence for ever", "[backoff][equal_jitter][golden]") {
    STATIC_REQUIRE([] {
        Backoff backoff{EqualJitter{}, Cap{30s}, 1s, Seed{7}};
        return backoff.next().count() == 860'754'091 && backoff.next().count() == 1'649'704'337 &&
               backoff.next().count() == 3'098'748'650;
    }());
}
