// SPDX-License-Identifier: MIT
// Goal: a Metric has its number in the unit of its name. Method: one of each unit.
#include <belay/metrics/metric.hpp>

#include "support/catch.hpp"

using namespace belay;
using namespace std::chrono_literals;

TEST_CASE("Metric::number is in the unit of the name", "[metrics][metric][unit]") {
    CHECK(metrics::Metric{.value = 3}.number() == 3.0);
    CHECK(metrics::Metric{.value = 1500, .per_unit = 1000}.number() == 1.5);
    const auto ticks = metrics::detail::ticks(2500ms);
    CHECK(metrics::Metric{.value = ticks, .per_unit = metrics::Metric::nanoseconds}.number() ==
          2.5);
    CHECK(metrics::detail::ticks(-1s) == 0);
}
