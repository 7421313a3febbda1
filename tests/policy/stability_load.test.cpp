// SPDX-License-Identifier: MIT
// Goal: a load that cannot be played is rejected with a message. Method: one field at a time is out
// of range, or at its bound.
#include <belay/policy/stability_check.hpp>

#include "support/catch.hpp"

using namespace belay;
using namespace std::chrono_literals;
using check::StabilityLoad;

TEST_CASE("StabilityLoad::check returns a message for each field that is out of range",
          "[policy][stability_load][unit]") {
    const auto wrong = [](auto change) {
        StabilityLoad load;
        change(load);
        return !load.check().empty();
    };
    STATIC_REQUIRE(StabilityLoad{}.check().empty());
    CHECK(wrong([](StabilityLoad& l) { l.calls_per_second = 0; }));
    CHECK(wrong([](StabilityLoad& l) { l.calls_per_second = 1'000'001; }));
    CHECK(wrong([](StabilityLoad& l) { l.processes = 0; }));
    CHECK(wrong([](StabilityLoad& l) { l.timeout = 0ns; }));
    CHECK(wrong([](StabilityLoad& l) { l.timeout = forever; }));
    CHECK(wrong([](StabilityLoad& l) { l.server.capacity_per_second = 0; }));
    CHECK(wrong([](StabilityLoad& l) { l.server.queue_wait_max = -1ns; }));
    CHECK(wrong([](StabilityLoad& l) { l.server.latency = 0ns; }));
    CHECK(wrong([](StabilityLoad& l) { l.server.slow_latency = 2h; }));
    CHECK(wrong([](StabilityLoad& l) { l.server.errors_per_thousand = 1001; }));
    CHECK(wrong([](StabilityLoad& l) { l.server.brown_out_per_thousand = 0; }));
    CHECK(wrong([](StabilityLoad& l) { l.phases.outage = 1500ms; }));
    CHECK(wrong([](StabilityLoad& l) { l.phases.outage = -1s; }));
    CHECK(wrong([](StabilityLoad& l) { l.phases.recovery = 4s; }));
    CHECK_FALSE(wrong([](StabilityLoad& l) { l.server.queue_wait_max = forever; }));
    CHECK_FALSE(wrong([](StabilityLoad& l) { l.phases.outage = 0s; }));
}
