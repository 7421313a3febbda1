// SPDX-License-Identifier: MIT
// Goal: the metrics of injected faults have all their numbers. Method: a structured binding that
// names each member.
#include <belay/call/call_metrics.hpp>

#include "support/catch.hpp"
#include "support/metrics/collected.hpp"

using namespace belay;
using belay_test::Collected;

TEST_CASE("visit_metrics passes each member of chaos::Counters, and whether faults are on",
          "[call][chaos][metrics][unit]") {
    chaos::Counters counters;
    auto& [delays, failures, results] = counters;
    belay_test::check_each_member_visited(counters, delays, failures, results);
    chaos::Faults faults{{.failures_per_thousand = 1000}};
    CHECK(Collected{faults}["chaos.on"] == 0);
    faults.switch_on();
    faults.count(faults.draw(false));
    CHECK(Collected{faults}["chaos.on"] == 1);
    CHECK(Collected{faults}["chaos.failures"] == 1);
}
