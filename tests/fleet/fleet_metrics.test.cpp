// SPDX-License-Identifier: MIT
// Goal: the metrics of fleets and pools have all their numbers, and stay within a page's limit.
// Method: structured bindings that name each member; scripted connections.
#include <belay/fleet/fleet_metrics.hpp>

#include "support/fleet/fleet_rig.hpp"
#include "support/fleet/pool_rig.hpp"
#include "support/metrics/collected.hpp"

using namespace belay;
using namespace std::chrono_literals;
using belay_test::Collected;

TEST_CASE("visit_metrics passes each member of FleetCounters and PoolStatus",
          "[fleet][metrics][unit]") {
    FleetCounters counters;
    auto& [totals, waiting_to_dial, dialling, slowly, held, scouts, suspect] = counters;
    suspect = true;
    auto& [stopped, offline, blocked, cooldown, suspended, connecting, connected, failed,
           draining] = totals;
    belay_test::check_each_member_visited(counters, waiting_to_dial, dialling, slowly, held, scouts,
                                          stopped, offline, blocked, cooldown, suspended,
                                          connecting, connected, failed, draining);
    CHECK(Collected{counters}["fleet.network_suspect"] == 1);
    PoolStatus status;
    auto& [size, up, leased, doubted, idle, awaited, scouting] = status;
    scouting = true;
    belay_test::check_each_member_visited(status, size, up, leased, doubted, idle, awaited);
    CHECK(Collected{status}["pool.scouting"] == 1);
}

TEST_CASE("visit_metrics passes the numbers of a Fleet, and the state of each of its services",
          "[fleet][metrics][unit]") {
    belay_test::FleetRig rig;
    rig.add(3);
    rig.fleet.start();
    rig.run(0s);
    for (belay_test::TransportState& transport : rig.transports)
        static_cast<void>(transport.link.opened());
    rig.run(20s);
    rig.fail(0, {.cause = Cause::overloaded, .retry_after = 9s});
    rig.run(20s);
    const Collected numbers{rig.fleet};
    CHECK(numbers["fleet.services.connected"] == 2);
    CHECK(numbers["fleet.services.cooldown"] == 1);
    CHECK(numbers["fleet.network_suspect"] == 0);
    const Collected services{rig.fleet.status()};
    CHECK(services["fleet_service.connected.0"] == 0);
    CHECK(services["fleet_service.connected.1"] == 1);
    CHECK(services["fleet_service.attempt.0"] == rig.fleet.status().services[0].link.attempt);
    CHECK(services["fleet_service.queued.2"] == 0);
    metrics::Page page{{.samples_max = 8}};
    CHECK_FALSE(page.add("main", rig.fleet.status()));
    CHECK(page.samples() == 0);
}

TEST_CASE("visit_metrics passes the numbers of a Pool", "[fleet][metrics][unit]") {
    belay_test::PoolRig rig{3};
    rig.up();
    const auto lease = rig.pool->acquire();
    const Collected collected{*rig.pool};
    CHECK(collected["pool.size"] == 3);
    CHECK(collected["pool.connected"] == 3);
    CHECK(collected["pool.leased"] == 1);
    CHECK(collected["pool.idle"] == 2);
    CHECK(collected["pool.scouting"] == 0);
}
