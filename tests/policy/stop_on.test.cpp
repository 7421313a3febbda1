// SPDX-License-Identifier: MIT
// Goal: exactly the given causes stop.
#include <belay/policy/stop_on.hpp>

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
    STATIC_REQUIRE_FALSE(std::constructible_from<StopOn, int>);
}
