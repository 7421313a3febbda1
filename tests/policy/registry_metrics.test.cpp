// SPDX-License-Identifier: MIT
// Goal: the metrics of a registry have all its numbers. Method: structured bindings that name each
// member; a full registry.
#include <belay/policy/registry_metrics.hpp>

#include <memory>

#include "support/catch.hpp"
#include "support/metrics/collected.hpp"

using namespace belay;
using namespace std::chrono_literals;
using belay_test::Collected;

TEST_CASE("visit_metrics passes each member of RegistryCounters", "[policy][metrics][unit]") {
    policies::RegistryCounters counters;
    auto& [entries, made, evicted, rejected] = counters;
    belay_test::check_each_member_visited(counters, entries, made, evicted, rejected);
}

TEST_CASE("visit_metrics passes the counters of a Registry", "[policy][metrics][unit]") {
    policies::Registry<int> hosts{{.entries_max = 1, .idle_after = 10s}};
    const auto make = [] { return std::make_shared<int>(1); };
    Result<std::shared_ptr<int>> held = hosts.get("a", Instant{0s}, make);
    CHECK_FALSE(hosts.get("b", Instant{100s}, make));
    held->reset();
    CHECK(hosts.get("b", Instant{100s}, make));
    const Collected collected{hosts};
    CHECK(collected["registry.entries"] == 1);
    CHECK(collected["registry.made"] == 2);
    CHECK(collected["registry.evicted"] == 1);
    CHECK(collected["registry.rejected"] == 1);
}
