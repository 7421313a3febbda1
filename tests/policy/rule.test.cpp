// SPDX-License-Identifier: MIT
// Goal: the stronger of two advices counts, by rank and then by time. Method: all pairs.
#include <belay/policy/rule.hpp>

#include <algorithm>

#include "support/catch.hpp"
#include "support/shorthand.hpp"

using namespace belay;
using namespace std::chrono_literals;
using belay_test::at;

namespace {

Advice arbitrary_advice() {
    const int verb = *rc::gen::inRange(0, 5);
    return {static_cast<Advice::Verb>(verb), at(Duration{*rc::gen::inRange(-5, 6)}), {}};
}

}  // namespace

static_assert(sizeof(Advice) <= 32);
static_assert(Advice::Verb::go < Advice::Verb::wait_at_least &&
              Advice::Verb::wait_at_least < Advice::Verb::wait_exactly);
static_assert(Advice::Verb::wait_exactly < Advice::Verb::suspend &&
              Advice::Verb::suspend < Advice::Verb::stop);

TEST_CASE("stronger ranks stop over suspend over exact over least waits", "[policy][rule][unit]") {
    STATIC_REQUIRE(belay::detail::stronger(Advice::go(), Advice::wait_at_least(at(1s))).until ==
                   at(1s));
    STATIC_REQUIRE(
        belay::detail::stronger(Advice::wait_exactly(at(1s)), Advice::wait_at_least(at(9s))) ==
        Advice::wait_exactly(at(1s)));
    STATIC_REQUIRE(belay::detail::stronger(Advice::wait_exactly(at(9s)),
                                           Advice::suspend(at(20s))) == Advice::suspend(at(20s)));
    STATIC_REQUIRE(belay::detail::stronger(Advice::stop(), Advice::suspend(never)).verb ==
                   Advice::Verb::stop);
}

TEST_CASE("stronger lengthens a suspension by a longer wait", "[policy][rule][unit]") {
    STATIC_REQUIRE(belay::detail::stronger(Advice::wait_at_least(at(9s)),
                                           Advice::suspend(at(5s))) == Advice::suspend(at(9s)));
    STATIC_REQUIRE(belay::detail::stronger(Advice::suspend(at(5s)), Advice::wait_exactly(at(9s))) ==
                   Advice::suspend(at(9s)));
    STATIC_REQUIRE(
        belay::detail::stronger(Advice::suspend(at(5s)), Advice{Advice::Verb::go, at(9s), {}}) ==
        Advice::suspend(at(5s)));
}

TEST_CASE("stronger keeps the name of the stronger advice, and of the first if both are equal",
          "[policy][rule][unit]") {
    constexpr Advice a{Advice::Verb::suspend, at(1s), "a"};
    constexpr Advice b{Advice::Verb::wait_exactly, at(2s), "b"};
    constexpr Advice c{Advice::Verb::suspend, at(1s), "c"};
    STATIC_REQUIRE(belay::detail::stronger(a, b).by == "a");
    STATIC_REQUIRE(belay::detail::stronger(b, a).by == "a");
    STATIC_REQUIRE(belay::detail::stronger(a, c).by == "a");
    STATIC_REQUIRE(belay::detail::stronger(c, a).by == "c");
}

TEST_CASE("stronger names the wait that never ends, and not the suspension that ends",
          "[policy][rule][unit]") {
    constexpr Advice suspends{Advice::Verb::suspend, at(1s), "suspends"};
    constexpr Advice ends{Advice::Verb::wait_at_least, at(9s), "ends"};
    constexpr Advice endless{Advice::Verb::wait_at_least, never, "endless"};
    STATIC_REQUIRE(belay::detail::stronger(suspends, ends).by == "suspends");
    STATIC_REQUIRE(belay::detail::stronger(suspends, endless).by == "endless");
    STATIC_REQUIRE(belay::detail::stronger(endless, suspends).by == "endless");
    // A breaker that stays open for longer decides itself.
    constexpr Advice both{Advice::Verb::suspend, never, "suspends"};
    STATIC_REQUIRE(belay::detail::stronger(endless, both).by == "suspends");
}

TEST_CASE("stronger is never weaker than either advice", "[policy][rule][property]") {
    CHECK(rc::check("verb and time are at least those of both", [] {
        const Advice a = arbitrary_advice();
        const Advice b = arbitrary_advice();
        const Advice both = belay::detail::stronger(a, b);
        RC_ASSERT(both.verb == std::max(a.verb, b.verb));
        RC_ASSERT(both.verb == belay::detail::stronger(b, a).verb);
        RC_ASSERT(both.until == belay::detail::stronger(b, a).until);
        if (a.verb == b.verb) RC_ASSERT(both.until == std::max(a.until, b.until));
    }));
}

TEST_CASE("Advice::allows an attempt at its instant, and not before", "[policy][rule][unit]") {
    STATIC_REQUIRE(Advice::go().allows(always));
    STATIC_REQUIRE_FALSE(Advice::wait_at_least(at(1s)).allows(at(1s) - 1ns));
    STATIC_REQUIRE(Advice::wait_at_least(at(1s)).allows(at(1s)));
    STATIC_REQUIRE(Advice::suspend(at(1s)).allows(at(1s)));
    STATIC_REQUIRE_FALSE(Advice::stop().allows(never));
    STATIC_REQUIRE_FALSE(Advice{Advice::Verb::stop, always, {}}.allows(never));
}
