// SPDX-License-Identifier: MIT
// Goal: one value has the status of all services. Method: services in every state.
#include <belay/fleet/fleet.hpp>

#include "support/fleet/fleet_rig.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

TEST_CASE("Fleet::status has each service by name, with its queued messages, and totals",
          "[fleet][fleet_status][unit]") {
    FleetRig rig{{.dials_max = 1, .slow_after = 1min}};
    rig.add(3);
    rig.transports.emplace_back();
    std::size_t depth = 7;
    ServiceOptions options;
    options.queued = [&] { return depth; };
    rig.recorded.emplace_back();
    rig.fleet.add("b", FakeTransport<>{rig.transports[3]}, Recorder{&rig.recorded[3]},
                  std::move(options));
    rig.transports.emplace_back();
    rig.fleet.add("a", FakeTransport<>{rig.transports[4]}, Recorder{&rig.recorded[3]});
    CHECK(rig.fleet.status().count(LinkState::stopped) == 5);
    rig.fleet.start();
    for (std::size_t i = 0; i < 5; ++i) {
        rig.run(0s);
        for (TransportState& transport : rig.transports) static_cast<void>(transport.link.opened());
    }
    rig.run(20s);
    rig.fail(0, {.cause = Cause::overloaded, .retry_after = 9s});
    rig.fail(1, {.cause = Cause::permanent});
    rig.fail(2, {.cause = Cause::unauthorized});
    rig.fail(3, {.cause = Cause::overloaded});
    rig.run(20s);

    const FleetStatus status = rig.fleet.status();
    REQUIRE(status.services.size() == 5);
    CHECK(status.services[0].name == "0");
    CHECK(status.services[0].link.state == LinkState::cooldown);
    CHECK(status.services[0].link.failure.cause == Cause::overloaded);
    CHECK(status.services[0].link.retry_at == at(29s));
    CHECK(status.services[1].link.state == LinkState::failed);
    CHECK(status.services[2].link.state == LinkState::blocked_auth);
    CHECK(status.services[3].name == "a");
    CHECK(status.services[4].name == "b");
    CHECK(status.services[4].queued == 7);
    CHECK(status.queued == 7);
    CHECK(status.count(LinkState::cooldown) == 2);
    CHECK(status.count(LinkState::failed) == 1);
    CHECK(status.count(LinkState::blocked_auth) == 1);
    CHECK(status.count(LinkState::connected) == 1);
    CHECK(status.dialling == 0);
    CHECK_FALSE(status.network_suspect);

    rig.run(29s);  // both request a dial, and one may dial
    const FleetStatus later = rig.fleet.status();
    CHECK(later.count(LinkState::connecting) == 2);
    CHECK(later.dialling == 1);
    CHECK(later.services[0].waiting_to_dial != later.services[4].waiting_to_dial);
}

TEST_CASE("Fleet::counters has the numbers of status(), and those of a suspicion",
          "[fleet][fleet_status][unit]") {
    FleetRig rig{{.dials_max = 1, .suspect_wait = 1s}};
    CHECK(rig.fleet.counters() == FleetCounters{});
    rig.add(3);
    CHECK(rig.fleet.counters().count(LinkState::stopped) == 3);
    rig.fleet.start();
    rig.run(0s);
    const auto agree = [&] {
        const FleetCounters numbers = rig.fleet.counters();
        const FleetStatus status = rig.fleet.status();
        std::size_t waiting_to_dial = 0;
        for (const ServiceStatus& one : status.services)
            waiting_to_dial += one.waiting_to_dial ? 1 : 0;
        CHECK(numbers.totals == status.totals);
        CHECK(numbers.waiting_to_dial == waiting_to_dial);
        CHECK(numbers.dialling == status.dialling);
        CHECK(numbers.dialling_slowly == status.dialling_slowly);
        CHECK(numbers.network_suspect == status.network_suspect);
        return numbers;
    };
    CHECK(agree().waiting_to_dial == 2);
    CHECK(agree().dialling == 1);
    rig.run(2500ms);  // two dials hang
    CHECK(agree().waiting_to_dial == 1);
    CHECK(agree().dialling_slowly == 1);
    rig.up();
    CHECK(agree().count(LinkState::connected) == 3);
    rig.run(5s);
    for (std::size_t i = 0; i < 3; ++i) rig.fail(i);
    rig.run(5100ms);
    CHECK(agree().held == 3);
    CHECK(agree().scouts == 0);
    rig.run(5300ms);
    CHECK(agree().held == 0);
    CHECK(agree().network_suspect);
    CHECK(agree().scouts == 1);
    CHECK(agree().count(LinkState::cooldown) == 3);
    CHECK(rig.fleet.remove("1"));
    CHECK(agree().count(LinkState::cooldown) == 2);
}
