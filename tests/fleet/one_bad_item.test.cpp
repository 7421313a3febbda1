// SPDX-License-Identifier: MIT
// Goal: among connections, one bad one does not hold the others for ever, and docs/reference/one-bad-item.md
// states what happens. Method: as tests/e2e/one_bad_item.test.cpp, with scripted connections.
#include <string>
#include <vector>

#include <belay/fleet/fleet.hpp>
#include <belay/fleet/pool.hpp>

#include "support/catch.hpp"
#include "support/fleet/fleet_rig.hpp"
#include "support/fleet/pool_rig.hpp"
#include "support/one_bad_item.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

// ---- a fleet -------------------------------------------------------------------------------------

std::string fleet_unreadable() {
    FleetRig rig;
    rig.add(4);
    rig.up();
    rig.run(20s);
    rig.fail(0, {.cause = Cause::protocol});
    rig.run(21s);
    CHECK(rig.recorded[0].lost + rig.recorded[0].failed == 1);
    for (std::size_t i = 1; i < 4; ++i) CHECK(rig.state(i) == LinkState::connected);
    CHECK(rig.fleet.observer().all.empty());
    return "A message that breaks the protocol ends its own connection, and counts only for that "
           "connection's policy.";
}
std::string fleet_unprocessable() {
    FleetRig rig;
    rig.add(4);
    rig.fleet.start();
    for (int second = 1; second <= 120; ++second) {
        rig.run(std::chrono::seconds{second});
        for (std::size_t i = 1; i < 4; ++i) {
            if (rig.state(i) == LinkState::connecting) rig.open(i);
        }
    }
    CHECK(rig.recorded[0].failed >= 2);
    for (std::size_t i = 1; i < 4; ++i) CHECK(rig.state(i) == LinkState::connected);
    CHECK(rig.fleet.observer().all.empty());
    return "A service that never connects dials at the times of its policy. It does not delay "
           "other services, and the network is not suspect.";
}
std::string fleet_medium() {
    FleetRig rig;
    rig.add(4);
    rig.up();
    rig.run(20s);
    for (std::size_t i = 0; i < 4; ++i) rig.fail(i);
    rig.run(21s);
    CHECK(rig.fleet.observer().all.size() == 1);
    rig.up(60s);
    for (const RecordedEvents& one : rig.recorded) CHECK(one.failed + one.lost == 0);
    return "If all connections fail together, `on_network_suspect` is called once. Policies do not "
           "count the failures, and one service dials until the network works.";
}
std::string fleet_too_large() {
    FleetRig rig{{.dials_max = 1, .slow_dials_max = 1}};
    rig.add(4);
    rig.fleet.start();
    rig.run(0s);
    CHECK(rig.live() == 1);
    // The first two are never answered.
    for (int second = 0; second <= 60; ++second) {
        rig.run(std::chrono::seconds{second});
        CHECK(rig.live() <= 4);
        for (std::size_t i = 0; i < 4; ++i) {
            if (i >= 2 && rig.state(i) == LinkState::connecting) rig.open(i);
        }
    }
    CHECK(rig.state(2) == LinkState::connected);
    CHECK(rig.state(3) == LinkState::connected);
    return "Above `dials_max`, a service waits. A dial that lasts longer than `slow_after` frees "
           "its place for the next service.";
}

// ---- a pool --------------------------------------------------------------------------------------

std::string pool_unreadable() {
    PoolRig rig{2};
    rig.up();
    const auto bad = rig.pool->acquire();
    static_cast<void>(rig.connections.all[0].link.closed({.cause = Cause::protocol}));
    static_cast<void>(rig.connections.all[1].link.closed({.cause = Cause::protocol}));
    rig.connections.opens = true;
    rig.run(20s);
    CHECK(rig.pool->status().connected == 2);
    CHECK(rig.pool->acquire());
    return "A message that breaks the protocol ends its own connection, which is opened again.";
}
std::string pool_unprocessable() {
    PoolRig rig{2};
    rig.connections.fails = {.cause = Cause::permanent};
    rig.pool->start();
    rig.run(60s);
    CHECK(rig.pool->status().connected == 0);
    CHECK(rig.pool->status(0).state == LinkState::failed);
    CHECK_FALSE(rig.pool->acquire());
    rig.connections.fails = {};
    rig.connections.opens = true;
    rig.pool->reconnect_now();
    rig.run(70s);
    CHECK(rig.pool->status().connected == 2);
    return "If a server rejects all dials permanently, `on_state` reports `failed`. "
           "`reconnect_now` starts the connections again.";
}
std::string pool_medium() {
    PoolRig rig{2};
    rig.up();
    static_cast<void>(rig.connections.all[0].link.closed({.cause = Cause::lost}));
    rig.run(10s);
    CHECK(rig.pool->acquire());
    rig.connections.opens = true;
    rig.run(20s);
    CHECK(rig.pool->status().connected == 2);
    return "Meanwhile, the other connections are leased, and the lost connection is opened again.";
}
std::string pool_too_large() {
    PoolRig rig{1};
    rig.up();
    {
        const auto lease = rig.pool->acquire();
        CHECK(lease);
        CHECK_FALSE(rig.pool->acquire());
        CHECK(rig.pool->status().awaited == 1);
    }
    rig.run(11s);
    CHECK(rig.observed == std::vector<std::string>{"idle"});
    return "`acquire` returns an empty lease, and `on_idle` follows when a connection is idle.";
}

constexpr BadItemRow fleet_rows[] = {
    {"`Fleet`", fleet_unreadable, fleet_unprocessable, fleet_medium, fleet_too_large},
    {"`Pool`", pool_unreadable, pool_unprocessable, pool_medium, pool_too_large},
};

}  // namespace

TEST_CASE("docs/reference/one-bad-item.md states what one bad connection does to the others",
          "[fleet][one_bad_item]") {
    check_bad_item_rows(fleet_rows);
}
