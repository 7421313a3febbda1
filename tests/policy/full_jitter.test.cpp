// SPDX-License-Identifier: MIT
// Goal: FullJitter is uniform over [0, ceiling], the same on every compiler.
#include <belay/policy/full_jitter.hpp>

#include "support/catch.hpp"

using namespace belay;
using namespace std::chrono_literals;

TEST_CASE("FullJitter::delay never exceeds the ceiling", "[policy][full_jitter][property]") {
    CHECK(rc::check("0 <= delay <= ceiling", [](std::uint64_t seed) {
        const auto ceiling =
            *rc::gen::oneOf(rc::gen::inRange<Duration::rep>(0, 10),
                            rc::gen::nonNegative<Duration::rep>(), rc::gen::just(forever.count()));
        Random bits{Seed{seed}};
        for (int i = 0; i < 20; ++i) {
            const Duration d = FullJitter{}.delay(Duration{ceiling}, bits);
            RC_ASSERT(d >= 0ns);
            RC_ASSERT(d.count() <= ceiling);
        }
    }));
}

TEST_CASE("FullJitter::delay reaches both ends, and their mean", "[policy][full_jitter][unit]") {
    Random bits{Seed{3}};
    Duration sum{};
    bool zero = false;
    bool top = false;
    for (int i = 0; i < 100'000; ++i) {
        const Duration d = FullJitter{}.delay(1000ns, bits);
        sum += d;
        zero = zero || d == 0ns;
        top = top || d == 1000ns;
    }
    CHECK(zero);
    CHECK(top);
    CHECK(sum / 100'000 >= 497ns);
    CHECK(sum / 100'000 <= 503ns);
    CHECK(FullJitter{}.delay(0ns, bits) == 0ns);
}

TEST_CASE("FullJitter::delay draws the same sequence for ever", "[policy][full_jitter][golden]") {
    Random bits{Seed{7}};
    CHECK(FullJitter{}.delay(1s, bits).count() == 389'829'748);
    CHECK(FullJitter{}.delay(1s, bits).count() == 16'788'294);
    CHECK(FullJitter{}.delay(30s, bits).count() == 27'022'820'419);
}
