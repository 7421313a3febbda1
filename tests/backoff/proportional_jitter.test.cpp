// SPDX-License-Identifier: MIT
// Goal: ProportionalJitter stays in its interval, also at the cap and for every length of wait.
#include <belay/backoff/jitters.hpp>

#include <belay/backoff/caps.hpp>

#include "support/backoff/wait_samples.hpp"
#include "support/catch.hpp"

using namespace belay;
using namespace std::chrono_literals;
using belay_test::wait_samples;

namespace {
constexpr auto both_ways = ProportionalJitter::plus_minus_percent(20);
constexpr auto upwards = ProportionalJitter::plus_percent(10);
}  // namespace

TEST_CASE("ProportionalJitter spreads around the nominal wait, both ways",
          "[backoff][proportional_jitter][unit]") {
    STATIC_REQUIRE(both_ways.range({1000ns, forever, 0}) == part::WaitRange{800ns, 1200ns});
    const auto observed = wait_samples(Backoff{both_ways, NoCap{}, 1000ns}, 0, 100'000);
    CHECK(observed.least == 800ns);
    CHECK(observed.most == 1200ns);
    CHECK(observed.mean > 998);
    CHECK(observed.mean < 1002);
}

TEST_CASE("ProportionalJitter upwards never waits less than the nominal wait",
          "[backoff][proportional_jitter][unit]") {
    STATIC_REQUIRE(upwards.range({1s, forever, 0}) == part::WaitRange{1s, 1100ms});
    const auto observed = wait_samples(Backoff{upwards, NoCap{}, 1000ns}, 0, 20'000);
    CHECK(observed.least == 1000ns);
    CHECK(observed.most == 1100ns);
    CHECK(observed.mean > 1049);
    CHECK(observed.mean < 1051);
}

TEST_CASE("ProportionalJitter accepts every percentage from 0 to 100",
          "[backoff][proportional_jitter][unit]") {
    constexpr part::NominalWait nominal{7ns, forever, 0};
    STATIC_REQUIRE(ProportionalJitter::plus_percent(0).range(nominal) == part::WaitRange{7ns, 7ns});
    STATIC_REQUIRE(ProportionalJitter::plus_percent(100).range(nominal) ==
                   part::WaitRange{7ns, 14ns});
    STATIC_REQUIRE(ProportionalJitter::plus_minus_percent(100).range(nominal) ==
                   part::WaitRange{0ns, 14ns});
    STATIC_REQUIRE(ProportionalJitter::plus_percent(100).check() == BackoffErrc{});
    STATIC_REQUIRE(ProportionalJitter::plus_percent(101).check() == BackoffErrc::bad_jitter);
    STATIC_REQUIRE(ProportionalJitter::plus_minus_percent(4'294'967'295U).check() ==
                   BackoffErrc::bad_jitter);
}

TEST_CASE("ProportionalJitter keeps its spread at the cap, and does not gather waits there",
          "[backoff][proportional_jitter][regression]") {
    // 54.5 s is 60 s / 1.1: clamped after the draw, half of a fleet would wait 60 s exactly.
    const auto late = wait_samples(Backoff{upwards, Cap{60s}, 1s}, 10, 20'000);
    CHECK(late.least >= 54'545ms);
    CHECK(late.least < 54'560ms);
    CHECK(late.most <= 60s);
    CHECK(late.most > 59'990ms);
    CHECK(late.on_top <= 1);
    // The nominal wait of 32 s is below the cap: nothing moves.
    STATIC_REQUIRE(Backoff{upwards, Cap{60s}, 1s}.min_delay(5) == 32s);
    STATIC_REQUIRE(Backoff{upwards, Cap{60s}, 1s}.max_delay(5) == 35'200ms);
}

TEST_CASE("ProportionalJitter exceeds a cap that bounds the nominal wait",
          "[backoff][proportional_jitter][unit]") {
    const auto late = wait_samples(Backoff{both_ways, PreJitterCap{120s}, 1s}, 10, 20'000);
    CHECK(late.least >= 96s);
    CHECK(late.least < 96'020ms);
    CHECK(late.most <= 144s);
    CHECK(late.most > 143'980ms);
}

TEST_CASE("ProportionalJitter keeps its bounds for every percentage and wait",
          "[backoff][proportional_jitter][property]") {
    CHECK(rc::check("0 <= least <= most <= the cap", [](std::uint64_t n) {
        const auto percent = *rc::gen::inRange<std::uint32_t>(0, 101);
        const bool both = *rc::gen::arbitrary<bool>();
        const auto jitter = both ? ProportionalJitter::plus_minus_percent(percent)
                                 : ProportionalJitter::plus_percent(percent);
        const auto length =
            rc::gen::oneOf(rc::gen::inRange<Duration::rep>(0, 1000),
                           rc::gen::nonNegative<Duration::rep>(), rc::gen::just(forever.count()));
        const Duration cap{*length};
        Duration nominal{*length};
        if (nominal > cap) nominal = cap;
        const part::WaitRange range = jitter.range({nominal, cap, n});
        RC_ASSERT(range.least >= 0ns);
        RC_ASSERT(range.least <= range.most);
        RC_ASSERT(range.most <= cap);
        RC_ASSERT(range.most >= nominal);
        if (!both && range.most < cap) RC_ASSERT(range.least == nominal);
    }));
}

TEST_CASE("ProportionalJitter draws the same sequence for ever",
          "[backoff][proportional_jitter][golden]") {
    STATIC_REQUIRE([] {
        Backoff backoff{both_ways, NoCap{}, 1s, Seed{7}};
        return backoff.next().count() == 1'088'603'272 && backoff.next().count() == 2'119'763'469 &&
               backoff.next().count() == 4'078'998'920;
    }());
}
