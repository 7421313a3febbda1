// SPDX-License-Identifier: MIT
// Goal: when all services fail at about the same time, no policy counts it, all wait the same time,
// and the observer is notified once. Otherwise each failure is handled on its own, with its own
// time. Method: scripted connections and time.
#include <belay/fleet/fleet_options.hpp>

#include <stdexcept>

#include <belay/backoff/jitters.hpp>
#include <belay/link/validated.hpp>
#include <belay/policy/rules.hpp>

#include "support/fleet/fleet_rig.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

Failure unreachable() {
    return Failure::from(std::make_error_code(std::errc::network_unreachable));
}

struct FailingCheck {
    Verdict begin(const auto&) { throw std::runtime_error{"the check"}; }
    Verdict judge(const std::string&, const auto&) { return Verdict::passed(); }
};

}  // namespace

TEST_CASE("Fleet: if all services fail together, the network is suspect and no policy counts it",
          "[fleet][network_suspect][unit]") {
    FleetRig rig;
    rig.add(4);
    rig.up();
    rig.run(20s);
    rig.observed.clear();
    rig.fail(0, unreachable());
    rig.run(20050ms);
    rig.fail(1);
    rig.fail(2);
    rig.run(20199ms);
    rig.fail(3);
    rig.run(20199ms);
    CHECK(rig.state(0) == LinkState::connected);  // held
    CHECK(rig.fleet.observer().all.empty());
    rig.run(20200ms);
    REQUIRE(rig.fleet.observer().all.size() == 1);
    const NetworkSuspect& reported = rig.fleet.observer().all[0];
    CHECK(reported.since == at(20s));
    CHECK(reported.services == 4);
    CHECK(reported.times == 1);
    CHECK(reported.failure.error() == std::errc::network_unreachable);
    CHECK(reported.retry_at >= at(20700ms));
    CHECK(reported.retry_at <= at(21200ms));
    for (std::size_t i = 0; i < 4; ++i) {
        CHECK(rig.recorded[i].failed + rig.recorded[i].lost == 0);
        CHECK(rig.state(i) == LinkState::cooldown);
        CHECK(rig.status(i).withdrawn);
        CHECK(rig.status(i).decided_by == "network suspect");
        CHECK(rig.status(i).retry_at >= reported.retry_at);
        CHECK(rig.status(i).attempt == 0);
    }
    CHECK(rig.status(0).failure.error() == std::errc::network_unreachable);
    const FleetStatus status = rig.fleet.status();
    CHECK(status.network_suspect);
    CHECK(status.retry_at == reported.retry_at);
}

TEST_CASE("Fleet: if one service stays connected, each failure counts for its own service",
          "[fleet][network_suspect][unit]") {
    FleetRig rig;
    rig.add(5);
    rig.up();
    rig.run(5s);
    for (std::size_t i = 1; i < 5; ++i) rig.fail(i);
    rig.run(5199ms);
    CHECK(rig.recorded[1].failed == 0);
    rig.run(5200ms);
    CHECK(rig.fleet.observer().all.empty());
    for (std::size_t i = 1; i < 5; ++i) {
        CHECK(rig.recorded[i].failed == 1);
        // It keeps its own time, and so its wait.
        CHECK(rig.recorded[i].failed_at == at(5s));
        CHECK(rig.status(i).retry_at == at(6s));
        CHECK(rig.status(i).failure == lost);
    }
    CHECK(rig.state(0) == LinkState::connected);
}

TEST_CASE("Fleet: the network is not suspect while a service waits for its first dial",
          "[fleet][network_suspect][regression]") {
    // Each attempt takes 30 s, so the first ones fail before the last one is dialled.
    FleetRig rig{{.dials_max = 2, .slow_dials_max = 2}};
    rig.add(60);
    rig.fleet.start();
    for (int second = 0; second < 90; ++second) {
        rig.run(std::chrono::seconds{second});
        if (rig.transports[59].live != 0) rig.open(59);
    }
    // As docs/reference/fleet.md states for new services: 2 s * 60 / dials_max + 5 s.
    CHECK(rig.transports[59].dials == 1);
    CHECK(rig.state(59) == LinkState::connected);
    CHECK(rig.fleet.observer().all.empty());
}

TEST_CASE("Fleet: a held failure keeps the server's retry_after",
          "[fleet][network_suspect][unit]") {
    FleetRig rig;
    rig.add(2);
    rig.up();
    rig.run(5s);
    rig.fail(0, {.cause = Cause::refused, .retry_after = 3s});
    rig.run(5200ms);
    REQUIRE(rig.state(0) == LinkState::cooldown);
    CHECK(rig.status(0).failure.retry_after == 3s);
    CHECK(rig.status(0).retry_at >= at(8s));
    CHECK(rig.status(0).retry_at <= at(8200ms));
}

TEST_CASE("Fleet: failures of fewer than three services never make the network suspect",
          "[fleet][network_suspect][unit]") {
    FleetRig rig;
    rig.add(2);
    rig.up();
    rig.fail(0);
    rig.fail(1);
    rig.run(200ms);
    CHECK(rig.fleet.observer().all.empty());
    CHECK(rig.recorded[0].failed == 1);
    CHECK(rig.recorded[1].failed == 1);
}

TEST_CASE(
    "Fleet: a connection that ends before it is stable does not become stable while it is held",
    "[fleet][network_suspect][unit]") {
    FleetRig rig;
    rig.add(2);
    rig.up();
    rig.run(9900ms);
    rig.fail(0);  // stable would be at 10 s
    rig.run(10s);
    rig.fail(1);  // just in time
    rig.run(10200ms);
    CHECK(rig.recorded[0].succeeded == 0);
    CHECK(rig.recorded[0].failed == 1);
    CHECK(rig.recorded[1].succeeded == 1);
    CHECK(rig.recorded[1].lost == 1);
}

TEST_CASE("Fleet: an answer with an error proves that the network works",
          "[fleet][network_suspect][unit]") {
    FleetRig rig;
    rig.add(4);
    rig.up();
    rig.run(20s);
    for (std::size_t i = 1; i < 4; ++i) rig.fail(i);
    rig.fail(0, {.cause = Cause::unauthorized});
    rig.run(20s);
    CHECK(rig.state(0) == LinkState::blocked_auth);  // not held
    rig.run(20200ms);
    CHECK(rig.fleet.observer().all.empty());
    CHECK(rig.recorded[1].lost == 1);
}

TEST_CASE("Fleet: a local lack of descriptors or memory does not prove that the network works",
          "[fleet][network_suspect][unit]") {
    FleetRig rig;
    rig.add(4);
    rig.up();
    rig.run(20s);
    for (std::size_t i = 1; i < 4; ++i) rig.fail(i);
    const auto lacks = GENERATE(std::errc::too_many_files_open, std::errc::not_enough_memory);
    rig.fail(0, Failure::from(std::make_error_code(lacks)));
    rig.run(20s);
    CHECK(rig.recorded[0].lost == 1);  // it is no sign of a network fault either: not held
    rig.run(20200ms);
    CHECK(rig.fleet.observer().all.size() == 1);
}

TEST_CASE("Fleet: missing credentials and code that threw are failures of the services themselves",
          "[fleet][network_suspect][regression]") {
    for (const LinkErrc why : {LinkErrc::no_token, LinkErrc::open_threw, LinkErrc::framing_threw,
                               LinkErrc::decorator_threw}) {
        FleetRig rig;
        rig.add(4);
        rig.up();
        rig.run(20s);
        for (std::size_t i = 0; i < 4; ++i) rig.fail(i, failure_of(why));
        rig.run(21s);
        CHECK(rig.fleet.observer().all.empty());
        for (std::size_t i = 0; i < 4; ++i) {
            CHECK(rig.recorded[i].failed + rig.recorded[i].lost == 1);
        }
    }
}

TEST_CASE("Fleet: no policy counts missing credentials while the network may be down",
          "[fleet][network_suspect][regression]") {
    FleetRig rig;
    rig.add(4);
    rig.up();
    rig.run(20s);
    const std::size_t failing = GENERATE(3U, 4U);
    rig.fail(0);
    for (std::size_t i = 1; i < failing; ++i) rig.fail(i, failure_of(LinkErrc::no_token));
    rig.run(20100ms);
    CHECK(rig.state(1) == LinkState::connected);  // held
    rig.run(20200ms);
    if (failing == 3) {
        CHECK(rig.fleet.observer().all.empty());
        for (std::size_t i = 0; i < 3; ++i) {
            CHECK(rig.recorded[i].failed + rig.recorded[i].lost == 1);
        }
        return;
    }
    // The sources of the scouts fail, too.
    for (Duration t = 21s; t < 40s; t += 1s) {
        rig.run(t);
        for (std::size_t i = 0; i < 4; ++i) {
            if (rig.transports[i].live != 0) rig.fail(i, failure_of(LinkErrc::no_token));
        }
    }
    CHECK(rig.fleet.status().network_suspect);
    CHECK(rig.dials() == 8);
    for (const RecordedEvents& each : rig.recorded) CHECK(each.failed + each.lost == 0);
}

TEST_CASE("Fleet: the common wait grows until a peer answers", "[fleet][network_suspect][unit]") {
    FleetRig rig{{.dials_max = 2}};
    rig.add(6);
    rig.up();
    rig.run(20s);
    for (std::size_t i = 0; i < 6; ++i) rig.fail(i);
    const auto& reported = rig.fleet.observer().all;
    // No server answers: two dials at a time, each of which ends only at its limit.
    Instant last = always;
    for (int round = 0; round < 9; ++round) {
        for (int turns = 0; reported.size() == static_cast<std::size_t>(round); ++turns) {
            REQUIRE(turns < 1000);
            rig.run(rig.fleet.deadline() - at(0s));
        }
        CHECK(reported.size() == static_cast<std::size_t>(round) + 1);
        CHECK(reported.back().times == static_cast<std::size_t>(round) + 1);
        CHECK(reported.back().retry_at > last);
        const Duration wait = reported.back().retry_at - rig.now;
        const Duration most = round < 3 ? (1 << round) * Duration{1s} : Duration{8s};
        CHECK(wait >= most / 2);
        CHECK(wait <= most);
        last = reported.back().retry_at;
    }
    for (const RecordedEvents& recorded : rig.recorded) CHECK(recorded.failed + recorded.lost == 0);
    // The network has returned: each dial connects, and the other services follow.
    for (int second = 0; !rig.all_up(); ++second) {
        REQUIRE(second < 100);
        rig.run((rig.now - at(0s)) + 1s);
        for (std::size_t i = 0; i < 6; ++i) {
            if (rig.transports[i].live != 0) rig.open(i);
        }
        rig.run(rig.now - at(0s));
    }
    CHECK_FALSE(rig.fleet.status().network_suspect);
    CHECK(rig.fleet.status().retry_at == never);
    rig.run((rig.now - at(0s)) + 1s);
    for (std::size_t i = 0; i < 6; ++i) rig.fail(i);
    rig.run((rig.now - at(0s)) + 300ms);
    CHECK(reported.back().times == 1);
}

TEST_CASE("Fleet: while the network is suspect, queued services wait with the others",
          "[fleet][network_suspect][unit]") {
    FleetRig rig{{.dials_max = 3}};
    rig.add(10);
    rig.fleet.start();
    // Servers that answer their first dials.
    for (std::size_t i = 0; i < 10; ++i) {
        rig.run(0s);
        rig.fail(i, Failure::from(std::make_error_code(std::errc::connection_refused)));
    }
    rig.run(1s);
    CHECK(rig.dials() == 13);
    for (std::size_t i = 0; i < 3; ++i) rig.fail(i, unreachable());
    // Their slots are free at once. A later dial is no evidence unless it connects.
    rig.run(1s);
    CHECK(rig.dials() == 16);
    rig.run(1200ms);
    REQUIRE(rig.fleet.observer().all.size() == 1);
    for (std::size_t i = 6; i < 10; ++i) {
        CHECK(rig.state(i) == LinkState::cooldown);
        CHECK(rig.status(i).retry_at >= rig.fleet.observer().all[0].retry_at);
        CHECK(rig.recorded[i].abandoned == 1);
    }
    CHECK(rig.dials() == 16);
    // Dials under way meanwhile continue. One of them connects, so the network was not the cause.
    rig.open(3);
    rig.run(1200ms);
    CHECK(rig.state(3) == LinkState::connected);
    CHECK_FALSE(rig.fleet.status().network_suspect);
}

TEST_CASE("Fleet::reconnect_now does not wait for a suspect network",
          "[fleet][network_suspect][unit]") {
    FleetRig rig;
    rig.add(3);
    rig.up();
    rig.run(20s);
    for (std::size_t i = 0; i < 3; ++i) rig.fail(i);
    rig.run(20200ms);
    CHECK(rig.fleet.reconnect_now("1").granted);
    rig.run(20200ms);
    CHECK(rig.state(0) == LinkState::cooldown);
    CHECK(rig.state(1) == LinkState::connecting);
    rig.fleet.reconnect_all();
    rig.run(20200ms);
    CHECK(rig.dials() == 6);
}

TEST_CASE("Fleet: a held service may be stopped, removed, reported unhealthy and reconnected",
          "[fleet][network_suspect][unit]") {
    FleetRig rig;
    rig.add(6);
    rig.up();
    rig.run(5s);
    for (std::size_t i = 1; i < 6; ++i) rig.fail(i);
    rig.run(5s);
    CHECK(rig.transports[1].live == 0);  // the failed connection is destroyed at once
    CHECK(rig.fleet.remove("1"));
    CHECK(rig.fleet.reconnect_now("2").granted);
    CHECK(rig.fleet.report_unhealthy("3"));
    rig.run(5s);
    CHECK(rig.transports[2].dials == 2);
    CHECK(rig.recorded[3].failed == 1);
    CHECK(rig.recorded[2].failed == 0);
    rig.run(5200ms);
    CHECK(rig.recorded[4].failed == 1);
    CHECK(rig.fleet.observer().all.empty());
}

TEST_CASE("FleetOptions: hold of 0 delays no failure", "[fleet][network_suspect][unit]") {
    FleetRig rig{{.hold = 0s}};
    rig.add(4);
    rig.up();
    for (std::size_t i = 0; i < 4; ++i) rig.fail(i);
    rig.run(0s);
    for (std::size_t i = 0; i < 4; ++i) CHECK(rig.recorded[i].failed == 1);
    CHECK(rig.fleet.observer().all.empty());
}

TEST_CASE("Fleet: a service that a suspect network took from the queue keeps its place",
          "[fleet][network_suspect][unit]") {
    FleetRig rig{{.dials_max = 1}};
    rig.add(5);
    rig.up();
    rig.run(20s);
    for (std::size_t i = 0; i < 5; ++i) rig.fail(i);
    rig.run(20min);
    REQUIRE(rig.fleet.status().network_suspect);
    // The network has returned. Two of the services hang in each dial, and are first whenever all
    // request one at once.
    for (Duration t = 20min; t < 25min; t += 1s) {
        rig.run(t);
        for (std::size_t i = 2; i < 5; ++i) {
            if (rig.transports[i].live != 0 && rig.state(i) == LinkState::connecting) rig.open(i);
        }
    }
    CHECK_FALSE(rig.fleet.status().network_suspect);
    for (std::size_t i = 2; i < 5; ++i) CHECK(rig.state(i) == LinkState::connected);
}

TEMPLATE_TEST_CASE("Fleet: a drain of a held service does not report success",
                   "[fleet][network_suspect][unit]", FakeTransport<true>, FakeTransport<false>) {
    FleetRig rig;
    TransportState transport;
    RecordedEvents recorded;
    auto& service = rig.fleet.add("held", TestType{transport}, Recorder{&recorded});
    rig.fleet.start();
    rig.run(0s);
    transport.link.opened();
    rig.run(1s);
    transport.link.closed(lost);
    rig.run(1s);
    REQUIRE(service.status().state == LinkState::connected);
    service.drain(5s);
    rig.run(1s);
    CHECK(service.status().state == LinkState::stopped);
    CHECK(service.status().failure == lost);
    CHECK(rig.fleet.remove("held"));
}

TEST_CASE("Fleet: a service without graceful close drains at once, and ends at a stop",
          "[fleet][network_suspect][unit]") {
    TransportState transport;
    RecordedEvents recorded;
    FleetRig rig;
    auto& service = rig.fleet.add("curt", FakeTransport<false>{transport}, Recorder{&recorded});
    rig.fleet.start();
    rig.run(0s);
    transport.link.opened();
    rig.run(1s);
    REQUIRE(service.status().state == LinkState::connected);
    SECTION("drained") {
        service.drain(5s);
        rig.run(1s);
        CHECK(service.status().failure == Failure{});
    }
    SECTION("stopped") {
        service.stop();
        rig.run(1s);
    }
    CHECK(service.status().state == LinkState::stopped);
    CHECK(transport.live == 0);
    service.start();
    rig.run(1s);
    CHECK(transport.live == 1);
    CHECK(transport.most_live == 1);
}

TEST_CASE("Fleet::reconnect_all during a suspect network does not wait in the queue",
          "[fleet][network_suspect][unit]") {
    FleetRig rig{{.dials_max = 1}};
    rig.add(3);
    rig.up();
    rig.run(20s);
    for (std::size_t i = 0; i < 3; ++i) rig.fail(i);
    rig.run(20200ms);
    rig.fleet.reconnect_all();
    rig.run(20200ms);
    REQUIRE(rig.dials() == 4);  // one hangs, two are queued
    // A scout takes the slot of the dial that hangs, and the queued services are first.
    rig.run(22s);
    CHECK(rig.live() == 1);
    CHECK(rig.dials() > 4);
}

TEST_CASE("Fleet: a reconnect_now that an open connection rejects has no later effect",
          "[fleet][network_suspect][unit]") {
    FleetRig rig;
    rig.add(6);
    rig.up();
    rig.run(20s);
    for (int i = 0; i < 6; ++i) CHECK(rig.fleet.reconnect_now(std::to_string(i)).granted);
    rig.run(20s);
    rig.up(20s);
    for (int i = 0; i < 6; ++i) CHECK_FALSE(rig.fleet.reconnect_now(std::to_string(i)).granted);
    rig.run(40s);
    for (std::size_t i = 0; i < 6; ++i) rig.fail(i);
    rig.run(40200ms);
    REQUIRE(rig.fleet.observer().all.size() == 1);
    for (std::size_t i = 0; i < 6; ++i) {
        CHECK(rig.status(i).retry_at >= rig.fleet.observer().all[0].retry_at);
    }
}

TEST_CASE("Fleet: a check that throws is a failure of its own service, also if all of them throw",
          "[fleet][network_suspect][regression]") {
    TransportState transports[3];
    Fleet fleet;
    fleet.attach(Waker{});
    for (TransportState& transport : transports) {
        fleet.add(std::to_string(&transport - transports),
                  Validated{FakeTransport<>{transport}, FailingCheck{}},
                  Policy{Backoff{NoJitter{}, Cap{1s}, 1s}, MaxAttempts{2}});
    }
    fleet.start();
    int dials = 0;
    for (int turn = 0; turn < 1000 && fleet.status().count(LinkState::failed) < 3; ++turn) {
        int sum = 0;
        for (TransportState& transport : transports) sum += transport.dials;
        if (std::exchange(dials, sum) != sum) {
            for (TransportState& transport : transports) static_cast<void>(transport.link.opened());
        }
        try {
            fleet.advance(at(turn * 10ms));
        } catch (const std::runtime_error&) {
        }
        CHECK_FALSE(fleet.status().network_suspect);
    }
    CHECK(fleet.status().count(LinkState::failed) == 3);
    CHECK(dials == 6);
}
