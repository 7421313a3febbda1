// SPDX-License-Identifier: MIT
// Goal: ProportionalJitter stays in its interval, also at the cap and for every length of wait.
#include <belay/policy/proportional_jitter.hpp>

#include <algorithm>

#include <belay/policy/backoff.hpp>

#include "support/catch.hpp"

using namespace belay;
using namespace std::chrono_literals;

namespace {

struct Range {
    Duration least = forever;
    Duration most{};
    Duration sum{};
    int on_top = 0;
};

Range sample(ProportionalJitter jitter, Duration ceiling, int draws) {
    Random bits{Seed{11}};
    Range seen;
    for (int i = 0; i < draws; ++i) {
        const Duration d = jitter.delay(ceiling, bits);
        seen.least = std::min(seen.least, d);
        seen.most = std::max(seen.most, d);
        seen.sum += d;
        if (d == ceiling) ++seen.on_top;
    }
    return seen;
}

}  // namespace

TEST_CASE("ProportionalJitter spreads around the nominal wait, both ways",
          "[policy][proportional_jitter][unit]") {
    constexpr auto jitter = ProportionalJitter::plus_minus_percent(20);
    STATIC_REQUIRE(jitter.peak(1000ns) == 1200ns);
    const Range seen = sample(jitter, jitter.peak(1000ns), 100'000);
    CHECK(seen.least == 800ns);
    CHECK(seen.most == 1200ns);
    CHECK(seen.sum / 100'000 >= 998ns);
    CHECK(seen.sum / 100'000 <= 1002ns);
}

TEST_CASE("ProportionalJitter upwards never waits less than the nominal wait",
          "[policy][proportional_jitter][unit]") {
    constexpr auto jitter = ProportionalJitter::plus_percent(10);
    STATIC_REQUIRE(jitter.peak(1s) == 1100ms);
    const Range seen = sample(jitter, jitter.peak(1000ns), 10'000);
    CHECK(seen.least == 1000ns);
    CHECK(seen.most == 1100ns);
    CHECK(ProportionalJitter::plus_percent(0).peak(7ns) == 7ns);
    CHECK(sample(ProportionalJitter::plus_percent(0), 7ns, 100).least == 7ns);
    CHECK(sample(ProportionalJitter::plus_minus_percent(100), 20ns, 1000).least == 0ns);
}

TEST_CASE("ProportionalJitter keeps its spread at the cap, and piles nothing up on it",
          "[policy][proportional_jitter][unit]") {
    Backoff backoff{ProportionalJitter::plus_percent(10), Cap{60s}, 1s, Seed{5}};
    for (int i = 0; i < 10; ++i) static_cast<void>(backoff.next());
    Duration least = forever;
    Duration most{};
    int on_cap = 0;
    for (int i = 0; i < 20'000; ++i) {
        const Duration d = backoff.next();
        least = std::min(least, d);
        most = std::max(most, d);
        if (d == 60s) ++on_cap;
    }
    CHECK(least >= 54545ms);
    CHECK(least < 54560ms);
    CHECK(most <= 60s);
    CHECK(most > 59990ms);
    CHECK(on_cap <= 1);
}

TEST_CASE("ProportionalJitter keeps its bounds for every percentage and wait",
          "[policy][proportional_jitter][property]") {
    CHECK(rc::check("ceil(nominal share) <= delay <= ceiling", [](std::uint64_t seed) {
        const auto percent = *rc::gen::inRange<std::uint32_t>(0, 101);
        const bool both = *rc::gen::arbitrary<bool>();
        const auto jitter = both ? ProportionalJitter::plus_minus_percent(percent)
                                 : ProportionalJitter::plus_percent(percent);
        const Duration nominal{*rc::gen::oneOf(rc::gen::inRange<Duration::rep>(0, 1000),
                                               rc::gen::nonNegative<Duration::rep>(),
                                               rc::gen::just(forever.count()))};
        const Duration peak = jitter.peak(nominal);
        RC_ASSERT(peak >= nominal);
        Random bits{Seed{seed}};
        const Duration d = jitter.delay(peak, bits);
        RC_ASSERT(d >= 0ns);
        RC_ASSERT(d <= peak);
        if (!both && peak != forever) RC_ASSERT(d >= nominal);
    }));
}

TEST_CASE("ProportionalJitter::delay draws the same sequence for ever",
          "[policy][proportional_jitter][golden]") {
    Random bits{Seed{7}};
    const auto jitter = ProportionalJitter::plus_minus_percent(20);
    CHECK(jitter.delay(jitter.peak(1s), bits).count() == 955'931'899);
    CHECK(jitter.delay(jitter.peak(1s), bits).count() == 806'715'317);
    CHECK(jitter.delay(jitter.peak(30s), bits).count() == 34'809'128'168);
}
