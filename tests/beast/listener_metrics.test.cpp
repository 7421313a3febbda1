// SPDX-License-Identifier: MIT
// Goal: the metrics of a listener have all its numbers. Method: a structured binding that names
// each member.
#include <belay/beast/listener_metrics.hpp>

#include "support/catch.hpp"
#include "support/metrics/collected.hpp"

using namespace belay;

TEST_CASE("visit_metrics passes each member of ListenerCounters",
          "[beast][listener_metrics][unit]") {
    beast::ListenerCounters counters;
    auto& [accepted, upgraded, upgrades_aborted, pages, rejected, turned_away, given_up, reasons,
           upgrades] = counters;
    using Reasons = beast::ListenerCounters::Reasons;
    for (std::size_t i = 0; i < Reasons::count; ++i) {
        for (std::size_t n = 0; n <= i; ++n) reasons.add(static_cast<Reasons::Reason>(i));
    }
    upgrades.add(std::chrono::milliseconds{5});
    belay_test::check_each_member_visited(counters, accepted, upgraded, upgrades_aborted, pages,
                                          rejected, turned_away, given_up);
    const belay_test::Collected collected{counters};
    CHECK(collected["listener.accepted"] == 1001);
    for (std::size_t i = 0; i < Reasons::count; ++i) {
        const std::string word{to_string(static_cast<Reasons::Reason>(i))};
        CHECK(collected["listener.reasons." + word] == i + 1);
    }
    CHECK(collected["listener.upgrade_seconds"] == 5'000'000);
}
