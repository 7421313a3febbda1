// SPDX-License-Identifier: MIT
// Goal: a fleet calls its observer in every form. The observers of its services work like those of
// a Supervisor. Method: one outage; and the events of a service, in every form.
#include <belay/fleet/fleet.hpp>

#include <functional>
#include <memory>
#include <stdexcept>

#include <belay/core/tee.hpp>
#include <belay/policy/rules.hpp>

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
struct ServiceRecorder {
    Recorded& reported;
    void on_service(auto& fleet, std::string_view name, const Transition& t) {
        reported.push_back(std::string{name} + " " + std::string{to_string(t.to.state)} + ", " +
                           std::to_string(fleet.counters().count(t.to.state)) + " of " +
                           std::to_string(fleet.size()));
    }
};
struct StateRecorder {
    Recorded& reported;
    void on_state(const Transition& t) { reported.emplace_back(to_string(t.to.state)); }
    void on_message(const std::string& m, Lane) { reported.push_back(m); }
};

void outage(auto& fleet, std::deque<TransportState>& transports) {
    const auto run = [&](Duration until) {
        while (fleet.deadline() <= at(until)) fleet.advance(at(until));
    };
    fleet.attach(Waker{});
    for (std::size_t i = 0; i < transports.size(); ++i) {
        fleet.add(std::to_string(i), FakeTransport<>{transports[i]}, MaxAttempts{9});
    }
    fleet.start();
    run(0s);
    for (TransportState& transport : transports) static_cast<void>(transport.link.closed(lost));
    run(0s);
    run(300ms);
}

}  // namespace

TEST_CASE("Fleet calls each hook, in every form of observer", "[fleet][observer][unit]") {
    observed_in_every_form<OutageRecorder>(
        [](auto observer) {
            std::deque<TransportState> transports(3);
            Fleet fleet{FleetOptions{}, std::move(observer)};
            outage(fleet, transports);
        },
        {"3 of 3"});
    observed_in_every_form<ServiceRecorder>(
        [](auto observer) {
            std::deque<TransportState> transports(2);
            Fleet fleet{FleetOptions{.hold = 0s}, std::move(observer)};
            outage(fleet, transports);
        },
        {"0 connecting, 1 of 2", "1 connecting, 2 of 2", "0 cooldown, 1 of 2",
         "0 connecting, 2 of 2", "1 cooldown, 1 of 2", "1 connecting, 2 of 2"});
}

TEST_CASE("A service of a Fleet calls each hook, in every form of observer",
          "[fleet][observer][unit]") {
    observed_in_every_form<StateRecorder>(
        [](auto observer) {
            TransportState transport;
            Fleet fleet;
            fleet.attach(Waker{});
            fleet.add("a", FakeTransport<>{transport}, MaxAttempts{9}, std::move(observer)).start();
            const auto run = [&] {
                while (fleet.deadline() <= at(0s)) fleet.advance(at(0s));
            };
            run();
            static_cast<void>(transport.link.opened());
            static_cast<void>(transport.link.received("hello"));
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
    std::deque<TransportState> transports(3);
    fleet->attach(Waker{});
    for (std::size_t i = 0; i < 3; ++i) {
        fleet->add(std::to_string(i), FakeTransport<>{transports[i]}, MaxAttempts{9});
    }
    fleet->start();
    while (fleet->deadline() <= at(0s)) fleet->advance(at(0s));
    for (TransportState& transport : transports) static_cast<void>(transport.link.closed(lost));
    for (int i = 0; i < 10 && fleet != nullptr; ++i) fleet->advance(at(i * 100ms));
    CHECK(fleet == nullptr);
    for (const TransportState& transport : transports) CHECK(transport.live == 0);
}

namespace {

/// Records the changes of all services, each after its own observer was notified.
struct FleetNotes {
    std::vector<std::string>* all;
    std::function<void(std::string_view)> then = {};
    void on_service(std::string_view name, const Transition& t) {
        all->push_back("fleet: " + std::string{name} + " " + std::string{to_string(t.to.state)});
        if (then) then(name);
    }
};
struct OwnNotes {
    std::vector<std::string>* all;
    std::function<void()> then = {};
    void on_state(const Transition& t) {
        all->push_back("own: " + std::string{to_string(t.to.state)});
        if (then) then();
    }
};
/// A fleet of two services over one transport each.
struct NotedFleet {
    std::deque<TransportState> transports{2};
    std::vector<std::string> all;
    std::unique_ptr<Fleet<FleetNotes>> fleet =
        std::make_unique<Fleet<FleetNotes>>(FleetOptions{}, FleetNotes{&all});

    NotedFleet() { fleet->attach(Waker{}); }
    auto& add(const char* name, std::size_t transport, std::function<void()> then = {}) {
        return fleet->add(name, FakeTransport<>{transports[transport]}, MaxAttempts{9},
                          OwnNotes{&all, std::move(then)});
    }
    void run() {
        for (int i = 0; i < 99 && fleet != nullptr && fleet->deadline() <= at(0s); ++i) {
            fleet->advance(at(0s));
        }
    }
};

}  // namespace

TEST_CASE("Fleet notifies its observer of each change of any service, after the service's own",
          "[fleet][observer][unit]") {
    NotedFleet f;
    auto& a = f.add("a", 0);
    f.add("b", 1);
    a.start();
    f.run();
    static_cast<void>(f.transports[0].link.opened());
    f.run();
    a.stop();  // outside a turn
    CHECK(f.all == std::vector<std::string>{"own: connecting", "fleet: a connecting",
                                            "own: connected", "fleet: a connected", "own: stopped",
                                            "fleet: a stopped"});
}

TEST_CASE("Fleet does not notify its observer of a service that its own observer has removed",
          "[fleet][observer][unit]") {
    NotedFleet f;
    f.add("a", 0, [&] { f.fleet->remove("a"); }).start();
    f.add("b", 1).start();
    f.run();
    CHECK(f.all ==
          std::vector<std::string>{"own: connecting", "own: connecting", "fleet: b connecting"});
    CHECK(f.fleet->size() == 1);
}

TEST_CASE(
    "Fleet may be destroyed, or its service removed, inside on_service and inside a hook of "
    "the service",
    "[fleet][observer][unit]") {
    const auto play = [](NotedFleet& f, bool in_turn) {
        auto& a = f.add("a", 0);
        f.add("b", 1);
        if (in_turn) {
            a.start();
            f.run();
        } else {
            a.start();
            const auto then = std::exchange(f.fleet->observer().then, nullptr);
            f.run();
            f.all.clear();
            f.fleet->observer().then = then;
            a.stop();
            f.run();
        }
    };
    for (const bool in_turn : {true, false}) {
        const std::string change = in_turn ? "connecting" : "stopped";
        NotedFleet removes;
        removes.fleet->observer().then = [&](std::string_view name) {
            CHECK(removes.fleet->remove(name));
        };
        play(removes, in_turn);
        CHECK(removes.all == std::vector<std::string>{"own: " + change, "fleet: a " + change});
        CHECK_FALSE(removes.fleet->contains("a"));
        CHECK(removes.transports[0].live == 0);

        NotedFleet ends;
        ends.fleet->observer().then = [&](std::string_view) { ends.fleet.reset(); };
        play(ends, in_turn);
        CHECK(ends.all == std::vector<std::string>{"own: " + change, "fleet: a " + change});
        CHECK(ends.fleet == nullptr);
        CHECK(ends.transports[0].live == 0);
    }
    NotedFleet f;  // the service's own hook destroys the fleet
    f.add("a", 0, [&] { f.fleet.reset(); }).start();
    f.run();
    CHECK(f.all == std::vector<std::string>{"own: connecting"});
    CHECK(f.fleet == nullptr);
}

TEST_CASE("Fleet continues after each of its hooks, or a service's, has thrown",
          "[fleet][observer][fault]") {
    struct Throws {
        int* left;
        int* calls;
        void may_throw() {
            ++*calls;
            if (--*left == 0) throw std::runtime_error{"from a hook"};
        }
        void on_service(std::string_view, const Transition&) { may_throw(); }
        void on_network_suspect(const NetworkSuspect&) { may_throw(); }
        void on_state(const Transition&) { may_throw(); }
    };
    for (const bool in_fleet : {true, false}) {
        for (int nth = 1; nth <= (in_fleet ? 13 : 12); ++nth) {
            INFO((in_fleet ? "the fleet's " : "the services' ") << nth);
            std::deque<TransportState> transports(3);
            int never_throws = 0;
            int left = nth;
            int fleets = 0;
            int own = 0;
            Fleet fleet{FleetOptions{}, Throws{in_fleet ? &left : &never_throws, &fleets}};
            fleet.attach(Waker{});
            int thrown = 0;
            for (std::size_t i = 0; i < 3; ++i) {
                fleet.add(std::to_string(i), FakeTransport<>{transports[i]}, MaxAttempts{9},
                          Throws{in_fleet ? &never_throws : &left, &own});
            }
            const auto run = [&](Duration until) {
                for (int i = 0; i < 999 && fleet.deadline() <= at(until); ++i) {
                    try {
                        fleet.advance(detail::larger(fleet.deadline(), at(until) - 100ms));
                    } catch (const std::runtime_error&) {
                        ++thrown;
                    }
                }
            };
            fleet.start();
            run(0s);
            for (TransportState& transport : transports) static_cast<void>(transport.link.opened());
            run(1s);
            for (TransportState& transport : transports)
                static_cast<void>(transport.link.closed(lost));
            run(3s);
            run(3400ms);
            CHECK(fleet.counters().network_suspect);
            fleet.reconnect_all();
            run(3500ms);
            for (TransportState& transport : transports) static_cast<void>(transport.link.opened());
            run(5s);
            CHECK(thrown == 1);
            CHECK(fleet.counters().count(LinkState::connected) == 3);
            CHECK(own == 15);
            CHECK(fleets == (in_fleet ? 16 : 15));
        }
    }
}
