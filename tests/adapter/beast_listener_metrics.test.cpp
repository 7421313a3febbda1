// SPDX-License-Identifier: MIT
// Goal: the metrics of a listener have all its numbers. Method: a structured binding that names
// each member.
#include <belay/adapter/beast_listener_metrics.hpp>

#include "support/catch.hpp"
#include "support/metrics/collected.hpp"

using namespace belay;

TEST_CASE("visit_metrics passes each member of ListenerCounters",
          "[adapter][beast_listener_metrics][unit]") {
    beast::ListenerCounters counters;
    auto& [accepted, upgraded, upgrades_aborted, pages, refused, turned_away, given_up] = counters;
    belay_test::check_each_member_visited(counters, accepted, upgraded, upgrades_aborted, pages,
                                          refused, turned_away, given_up);
    CHECK(belay_test::Collected{counters}["listener.accepted"] == 1001);
}
