// SPDX-License-Identifier: MIT
// Goal: StabilityReport::broken returns the first rule that its figures break.
// Method: each figure at its limit, and one step beyond it.
#include <belay/policy/stability_check.hpp>

#include "support/catch.hpp"

using namespace belay;
using namespace std::chrono_literals;
using check::StabilityReport;
using check::StabilityRule;

TEST_CASE("StabilityReport::broken permits each figure at its limit",
          "[policy][stability_report][unit]") {
    const StabilityReport at_limits{.outage_peak_per_thousand = 1300,
                                    .return_peak_per_thousand = 1300,
                                    .trouble_peak_per_thousand = 1300,
                                    .back_after = 11s,
                                    .brown_out_good = 90,
                                    .brown_out_good_once = 100,
                                    .longest_wait = 10s};
    CHECK(StabilityReport{}.broken() == std::nullopt);
    CHECK(at_limits.broken() == std::nullopt);
    const auto broken_by = [&](auto change) {
        StabilityReport report = at_limits;
        change(report);
        return report.broken();
    };
    CHECK(broken_by([](StabilityReport& r) { r.outage_peak_per_thousand = 1301; }) ==
          StabilityRule::calls_stay_bounded_in_the_outage);
    CHECK(broken_by([](StabilityReport& r) { r.return_peak_per_thousand = 1301; }) ==
          StabilityRule::calls_stay_bounded_at_the_return);
    CHECK(broken_by([](StabilityReport& r) { r.trouble_peak_per_thousand = 1301; }) ==
          StabilityRule::calls_stay_bounded_in_trouble);
    CHECK(broken_by([](StabilityReport& r) { r.back_after = 12s; }) ==
          StabilityRule::goodput_returns);
    CHECK(broken_by([](StabilityReport& r) { r.brown_out_good = 89; }) ==
          StabilityRule::brown_out_keeps_goodput);
    CHECK(broken_by([](StabilityReport& r) {
              r.brown_out_good = 89;
              r.load.brown_out_per_thousand_min = 0;
          }) == std::nullopt);
}

TEST_CASE("StabilityReport::broken never permits goodput that has not returned",
          "[policy][stability_report][unit]") {
    CHECK(StabilityReport{.back_after = forever, .longest_wait = forever}.broken() ==
          StabilityRule::goodput_returns);
}
