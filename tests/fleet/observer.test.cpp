// SPDX-License-Identifier: MIT
// Goal: a fleet calls its observer in every form; the observers of its services work as those of
// a Supervisor. Method: one outage; and the events of a service, in every form.
#include <belay/fleet/observer.hpp>

#include <functional>
#include <memory>

#include <belay/core/tee.hpp>
#include <belay/policy/max_attempts.hpp>

#include "support/core/observed_in_every_form.hpp"
#include "support/fleet/fleet_rig.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

struct OutageRecorder {
    Recorded& reported;
    void on_network_suspect(auto& fleet, const NetworkSuspect& what) {
        reported.push_back(std::to_string(what.services) + " of " + std::to_string(fleet.size()));
    }
};
struct StateRecorder {
    Recorded& reported;
    void on_state(const Transition& t) { reported.emplace_back(to_string(t.to.state)); }
    void on_message(const std::string& m, Lane) { reported.push_back(m); }
};

void outage(auto& fleet, std::deque<Wire>& wires) {
    const auto run = [&](Duration until) {
        while (fleet.deadline() <= at(until)) fleet.advance(at(until));
    };
    fleet.attach(Waker{});
    for (std::size_t i = 0; i < wires.size(); ++i) {
        fleet.add(std::to_string(i), FakeTransport<>{wires[i]}, MaxAttempts{9});
    }
    fleet.start();
    run(0s);
    for (Wire& wire : wires) static_cast<void>(wire.link.closed(lost));
    run(0s);
    run(300ms);
}

}  // namespace

TEST_CASE("Fleet calls each hook, in every form of observer", "[fleet][observer][unit]") {
    observed_in_every_form<OutageRecorder>(
        [](auto observer) {
            std::deque<Wire> wires(3);
            Fleet fleet{FleetOptions{}, std::move(observer)};
            outage(fleet, wires);
        },
        {"3 of 3"});
}

TEST_CASE("A service of a Fleet calls each hook, in every form of observer",
          "[fleet][observer][unit]") {
    observed_in_every_form<StateRecorder>(
        [](auto observer) {
            Wire wire;
            Fleet fleet;
            fleet.attach(Waker{});
            fleet.add("a", FakeTransport<>{wire}, MaxAttempts{9}, std::move(observer)).start();
            const auto run = [&] {
                while (fleet.deadline() <= at(0s)) fleet.advance(at(0s));
            };
            run();
            static_cast<void>(wire.link.opened());
            static_cast<void>(wire.link.received("hello"));
            run();
        },
        {"connecting", "connected", "hello"});
}

TEST_CASE("Fleet may be destroyed by its observer", "[fleet][observer][unit]") {
    struct Destroys {
        std::unique_ptr<Fleet<Destroys>>* fleet;
        void on_network_suspect(const NetworkSuspect&) { fleet->reset(); }
    };
    std::unique_ptr<Fleet<Destroys>> fleet;
    fleet = std::make_unique<Fleet<Destroys>>(FleetOptions{}, Destroys{&fleet});
    std::deque<Wire> wires(3);
    fleet->attach(Waker{});
    for (std::size_t i = 0; i < 3; ++i) {
        fleet->add(std::to_string(i), FakeTransport<>{wires[i]}, MaxAttempts{9});
    }
    fleet->start();
    while (fleet->deadline() <= at(0s)) fleet->advance(at(0s));
    for (Wire& wire : wires) static_cast<void>(wire.link.closed(lost));
    for (int i = 0; i < 10 && fleet != nullptr; ++i) fleet->advance(at(i * 100ms));
    CHECK(fleet == nullptr);
    for (const Wire& wire : wires) CHECK(wire.live == 0);
}
