// SPDX-License-Identifier: MIT
// Goal: the bounds on dials hold from the first instant, and no service starves. Method:
// scripted connections and time.
#include <belay/fleet/fleet_options.hpp>

#include <algorithm>
#include <vector>

#include <belay/link/validated.hpp>
#include <belay/policy/rules.hpp>

#include "support/aborts.hpp"
#include "support/fleet/fleet_rig.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

struct AsksFirst {
    static Verdict begin(const auto& say) {
        return say("who?") == SendResult::sent ? Verdict::pending() : Verdict::rejected();
    }
    static Verdict judge(const std::string& m, const auto&) {
        return m == "me" ? Verdict::passed() : Verdict::rejected();
    }
};

auto doubling_once() { return Policy{Backoff{NoJitter{}, Cap{8s}, 1s}}; }

}  // namespace

TEST_CASE("Fleet: eight of a hundred services that start at once dial, by priority",
          "[fleet][fleet_options][unit]") {
    FleetRig rig{{.hold = 0s}};
    rig.add(90);
    rig.add(10, 1);
    rig.fleet.start();
    rig.run(0s);
    std::vector<std::size_t> order;
    for (int round = 0; order.size() < 100; ++round) {
        REQUIRE(round < 100);
        CHECK(rig.live() == std::min<int>(8, 100 - static_cast<int>(order.size())));
        CHECK(rig.fleet.status().dialling == static_cast<std::size_t>(rig.live()));
        std::vector<std::size_t> now;
        for (std::size_t i = 0; i < 100; ++i) {
            if (rig.transports[i].live != 0) now.push_back(i);
        }
        order.insert(order.end(), now.begin(), now.end());
        for (const std::size_t i : now) rig.fleet.remove(std::to_string(i));
        rig.run(0s);
    }
    // The services of priority 1 were added last, and dial first. The others dial in the order of
    // requests.
    std::sort(order.begin() + 8, order.begin() + 16);
    for (std::size_t i = 0; i < 8; ++i) CHECK(order[i] >= 90);
    for (std::size_t i = 14; i < 16; ++i) CHECK(order[i] >= 98);
    CHECK(std::is_sorted(order.begin() + 16, order.end()));
}

TEST_CASE("Fleet: a queued service dials before services of higher priority that queue much later",
          "[fleet][fleet_options][unit]") {
    FleetRig rig{{.dials_max = 1, .head_start = 5s, .hold = 0s}};
    rig.add(1);
    rig.fleet.start();
    rig.run(0s);
    rig.add(1);
    rig.fleet.start();  // 1 is queued after 0
    rig.run(0s);
    // Every second, a service of a higher priority is added, and one more service may dial.
    int late = 0;
    for (int second = 1; rig.transports[1].dials == 0; ++second) {
        REQUIRE(second < 20);
        rig.add(1, 1);
        rig.fleet.start();
        rig.run(second * 1s);
        for (std::size_t i = 0; i < rig.transports.size(); ++i) {
            if (rig.transports[i].live != 0) rig.fleet.remove(std::to_string(i));
        }
        rig.run(second * 1s);
        ++late;
    }
    CHECK(late == 6);
}

TEST_CASE("Fleet: a dial uses one of dials_max until it is validated or has failed",
          "[fleet][fleet_options][unit]") {
    TransportState first;
    TransportState second;
    Fleet fleet{{.dials_max = 1, .hold = 0s}};
    fleet.attach(Waker{});
    const auto run = [&](Duration until) {
        while (fleet.deadline() <= at(until)) fleet.advance(at(until));
    };
    auto& a = fleet.add("a", Validated{FakeTransport<>{first}, AsksFirst{}}, doubling_once());
    fleet.add("b", FakeTransport<>{second}, doubling_once());
    fleet.start();
    run(0s);
    CHECK(first.dials == 1);
    static_cast<void>(first.link.opened());
    run(0s);
    CHECK(first.sent == std::vector<std::string>{"who?"});
    CHECK(second.dials == 0);  // an open connection is not validated
    CHECK(first.link.received("me") == driver::Post::taken);
    run(0s);
    CHECK(a.status().state == LinkState::connected);
    CHECK(second.dials == 1);
    static_cast<void>(second.link.closed(lost));
    fleet.remove("a");
    run(0s);
    CHECK(fleet.status().dialling == 0);
}

TEST_CASE("Fleet: the limit of an attempt runs from its dial, and ends it",
          "[fleet][fleet_options][unit]") {
    FleetRig rig{{.dials_max = 1, .slow_after = forever, .hold = 0s}};
    rig.add(4);
    rig.fleet.start();
    rig.run(29999ms);
    CHECK(rig.dials() == 1);
    // No server answers: each attempt has its 30 s, and all services get their dial.
    rig.run(30s);
    CHECK(rig.dials() == 2);
    CHECK(rig.status(0).failure.error() == LinkErrc::attempt_timed_out);
    rig.run(90s);
    CHECK(rig.transports[3].dials == 1);
    CHECK(rig.recorded[3].failed == 0);
}

TEST_CASE("FleetOptions::dial_gap separates any two dials, the first ones included",
          "[fleet][fleet_options][unit]") {
    FleetRig rig{{.dials_max = 100, .slow_after = 40s, .dial_gap = 50ms, .hold = 0s}};
    rig.add(20);
    rig.fleet.start();
    for (int i = 0; i < 20; ++i) {
        rig.run(i * 50ms);
        CHECK(rig.dials() == i + 1);
        rig.run(i * 50ms + 49ms);
        CHECK(rig.dials() == i + 1);
    }
    CHECK(rig.fleet.deadline() >= at(30s));
}

TEST_CASE("Fleet: a stop, a gate and a removal release a place in the queue, or a dial",
          "[fleet][fleet_options][unit]") {
    FleetRig rig{{.dials_max = 1}};
    rig.transports.resize(4);
    auto& a = rig.fleet.add("a", FakeTransport<>{rig.transports[0]}, MaxAttempts{9});
    auto& b = rig.fleet.add("b", FakeTransport<>{rig.transports[1]}, MaxAttempts{9});
    auto& c = rig.fleet.add("c", FakeTransport<>{rig.transports[2]}, MaxAttempts{9});
    rig.fleet.add("d", FakeTransport<>{rig.transports[3]}, MaxAttempts{9});
    rig.fleet.start();
    rig.run(0s);
    CHECK(rig.transports[0].dials == 1);
    b.stop();  // while queued
    a.stop();  // while dialling, outside of a turn: the fleet is woken
    rig.run(0s);
    CHECK(rig.transports[1].dials == 0);
    CHECK(rig.transports[2].dials == 1);
    c.shut(Gate::network);
    rig.run(0s);
    CHECK(rig.transports[3].dials == 1);
    CHECK(rig.fleet.remove("d"));
    c.open(Gate::network);
    rig.run(1s);
    CHECK(rig.transports[2].dials == 2);
}

TEST_CASE("Fleet aborts on options that set no bound", "[fleet][fleet_options][unit]") {
    CHECK(aborts_with([] { Fleet f{{.dials_max = 0}}; }).find("dials_max") != std::string::npos);
    CHECK(aborts_with([] { Fleet f{{.slow_dials_max = 0}}; }).find("slow_dials_max") !=
          std::string::npos);
    CHECK(aborts_with([] { Fleet f{{.slow_after = 0s}}; }).find("slow_after must be > 0ns") !=
          std::string::npos);
    CHECK(aborts_with([] { Fleet f{{.suspects_min = 0}}; }).find("suspects_min") !=
          std::string::npos);
    CHECK(aborts_with([] { Fleet f{{.hold = -1s}}; }).find("hold") != std::string::npos);
    const std::string output = aborts_with([] { Fleet f{{.suspect_wait = 1min}}; });
    CHECK(output.find("1ns < suspect_wait <= suspect_wait_max must hold") != std::string::npos);
    CHECK(output.find("suspect_wait is 60000000000ns, suspect_wait_max is 8000000000ns") !=
          std::string::npos);
    const std::string endless = "dial_gap, head_start, hold and suspect_wait must not be forever";
    CHECK(aborts_with([] { Fleet f{{.hold = forever}}; }).find(endless) != std::string::npos);
    static_assert(!FleetOptions{.dial_gap = forever}.check().empty());
    static_assert(!FleetOptions{.head_start = forever}.check().empty());
    static_assert(
        !FleetOptions{.suspect_wait = forever, .suspect_wait_max = forever}.check().empty());
    static_assert(FleetOptions{.slow_after = forever, .suspect_wait_max = forever}.check().empty());
    static_assert(FleetOptions{}.check().empty());
    static_assert(!FleetOptions{.suspect_wait = 1min}.check().empty());
}
