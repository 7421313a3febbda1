// SPDX-License-Identifier: MIT
// Goal: exactly the given causes stop.
#include <belay/policy/rules.hpp>

#include "support/aborts.hpp"
#include "support/catch.hpp"

using namespace belay;

TEST_CASE("StopOn stops on its causes and on no other", "[policy][stop_on][unit]") {
    constexpr StopOn rule{Cause::permanent, Cause::forbidden};
    Random bits;
    Turn turn{Instant{}, bits};
    for (int c = 0; c <= static_cast<int>(Cause::unauthorized); ++c) {
        const auto cause = static_cast<Cause>(c);
        const bool stops = cause == Cause::permanent || cause == Cause::forbidden;
        const Advice expected = stops ? Advice::stop() : Advice::go();
        CHECK(rule.failed(Failure{cause}, turn) == expected);
        CHECK(rule.lost(Failure{cause}, turn) == expected);
    }
    STATIC_REQUIRE(StopOn{Cause::lost} == StopOn{Cause::lost, Cause::lost});
    STATIC_REQUIRE_FALSE(std::constructible_from<StopOn>);
    // A number does not compile, with a sentence; see near_misses.fail.cpp.
    STATIC_REQUIRE_FALSE(std::convertible_to<int, StopOn>);
    STATIC_REQUIRE_FALSE(std::constructible_from<StopOn, Failure>);
}

TEST_CASE("StopOn and CooldownOn abort on Cause::none, which no failure has",
          "[policy][stop_on][unit]") {
    const auto aborts = [](auto f) { return belay_test::aborts_with(f) != "did not abort"; };
    CHECK(aborts([] { static_cast<void>(StopOn{Cause::none}); }));
    CHECK(aborts([] { static_cast<void>(StopOn{Cause::permanent, Cause::none}); }));
    CHECK(aborts([] {
        static_cast<void>(
            CooldownOn{Cause::none, std::chrono::seconds{5}, std::chrono::seconds{15}});
    }));
}
