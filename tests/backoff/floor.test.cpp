// SPDX-License-Identifier: MIT
// Goal: a floor raises the range of a draw, and never the draw itself. Method: ranges and
// distributions.
#include <belay/backoff/caps.hpp>

#include <belay/backoff/growths.hpp>
#include <belay/backoff/jitters.hpp>

#include "support/backoff/wait_samples.hpp"
#include "support/catch.hpp"

using namespace belay;
using namespace std::chrono_literals;
using belay_test::wait_samples;

static_assert(CapLike<Floor<Cap>> && CapLike<Floor<PreJitterCap>> && sizeof(Floor<NoCap>) == 8);
static_assert(Floor<PreJitterCap>::before_jitter && !Floor<Cap>::before_jitter);

TEST_CASE("Floor changes only ranges that reach below it", "[backoff][floor][unit]") {
    constexpr Floor floor{300ms, Cap{30s}};
    STATIC_REQUIRE(floor.limit(40s) == 30s);
    STATIC_REQUIRE(floor.least() == 300ms);
    constexpr Backoff full{FullJitter{}, floor, 1s};
    STATIC_REQUIRE(full.min_delay(0) == 300ms);
    STATIC_REQUIRE(full.max_delay(0) == 1s);
    constexpr Backoff equal{EqualJitter{}, floor, 400ms};
    STATIC_REQUIRE(equal.min_delay(0) == 300ms);
    STATIC_REQUIRE(equal.min_delay(1) == 400ms);
    constexpr Backoff percent{ProportionalJitter::plus_minus_percent(20), Floor{1s, NoCap{}}, 1s};
    STATIC_REQUIRE(percent.min_delay(0) == 1s);
    STATIC_REQUIRE(percent.max_delay(0) == 1200ms);
    STATIC_REQUIRE(percent.min_delay(1) == 1600ms);
    STATIC_REQUIRE(Backoff{NoJitter{}, floor, 1s}.next() == 1s);
}

TEST_CASE("Floor keeps draws uniform, and does not accumulate them at the floor",
          "[backoff][floor][regression]") {
    const auto check = [](const auto& backoff, int failures) {
        const auto observed = wait_samples(backoff, failures, 20'000);
        CHECK(observed.least >= 300ms);
        CHECK(observed.least < 310ms);
        CHECK(observed.on_floor <= 1);
        CHECK(observed.on_top <= 1);
    };
    check(Backoff{FullJitter{}, Floor{300ms, Cap{30s}}, 1s}, 0);
    check(Backoff{FullJitter{}, Floor{300ms, PreJitterCap{30s}}, 1s}, 2);
    check(Backoff{EqualJitter{}, Floor{300ms, NoCap{}}, 400ms}, 0);
    check(Backoff{DecorrelatedJitter{}, Floor{300ms, Cap{2s}}, 300ms}, 3);
    check(Backoff{SmoothJitter{}, Floor{300ms, Cap{2s}}, 1s}, 0);
    const auto even = wait_samples(Backoff{FullJitter{}, Floor{300ms, Cap{30s}}, 1s}, 0, 20'000);
    CHECK(even.mean > 644e6);
    CHECK(even.mean < 656e6);
}

TEST_CASE("Floor must leave a range for the jitter", "[backoff][floor][unit]") {
    using B = Backoff<FullJitter, Floor<Cap>>;
    const auto check = [](detail::AnyUnit floor, Duration cap, Duration base) constexpr {
        return B::check({}, Floor{floor, Cap{cap}}, Exponential{base});
    };
    STATIC_REQUIRE(check(0s, 30s, 1s) == BackoffErrc{});
    STATIC_REQUIRE(check(1s - 1ns, 30s, 1s) == BackoffErrc{});
    STATIC_REQUIRE(check(-1ns, 30s, 1s) == BackoffErrc::bad_floor);
    STATIC_REQUIRE(check(1s + 1ns, 30s, 1s) == BackoffErrc::bad_floor);
    STATIC_REQUIRE(check(1s, 0s, 1s) == BackoffErrc::bad_cap);
    STATIC_REQUIRE(check(std::chrono::years{300}, 30s, 1s) == BackoffErrc::bad_floor);
    // All clients would wait exactly the floor: the first time, or always.
    STATIC_REQUIRE(check(1s, 30s, 1s) == BackoffErrc::bad_floor);
    STATIC_REQUIRE(check(1s, 1s, 1s) == BackoffErrc::bad_floor);
    using Equal = Backoff<EqualJitter, Floor<Cap>>;
    STATIC_REQUIRE(Equal::check({}, Floor{2s, Cap{9s}}, Exponential{2s}) == BackoffErrc::bad_floor);
    // The same at the last time, if waits get shorter.
    using Table = Backoff<FullJitter, Floor<Cap>, Delays<2>>;
    STATIC_REQUIRE(Table::check({}, Floor{2s, Cap{9s}}, Delays{5s, 1s}) == BackoffErrc::bad_floor);
    STATIC_REQUIRE(Table::check({}, Floor{900ms, Cap{9s}}, Delays{5s, 1s}) == BackoffErrc{});
    // A jitter above the nominal wait still has a range, and NoJitter never had one.
    using Percent = Backoff<ProportionalJitter, Floor<NoCap>>;
    STATIC_REQUIRE(Percent::check(ProportionalJitter::plus_percent(10), Floor{1s, NoCap{}},
                                  Exponential{1s}) == BackoffErrc{});
    using Exact = Backoff<NoJitter, Floor<Cap>>;
    STATIC_REQUIRE(Exact::check({}, Floor{1s, Cap{1s}}, Exponential{1s}) == BackoffErrc{});
}
