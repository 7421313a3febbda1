// SPDX-License-Identifier: MIT
// Goal: services of any transport are added and removed at any time, by name; a removed service
// receives no event. Method: scripted connections and time.
#include <belay/fleet/fleet.hpp>

#include <concepts>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <belay/breaker/circuit_breaker.hpp>
#include <belay/breaker/open_waits.hpp>
#include <belay/breaker/trips.hpp>
#include <belay/fleet/pool.hpp>
#include <belay/link/heartbeat.hpp>
#include <belay/policy/rules.hpp>
#include <belay/policy/shared.hpp>

#include "support/aborts.hpp"
#include "support/default_member.hpp"
#include "support/fleet/fleet_rig.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

/// A transport of another message type, which opens at once.
struct Numbers {
    using message_type = int;
    struct Connection {
        explicit Connection(const Link<int>& link) { static_cast<void>(link.opened()); }
        SendResult send(int) noexcept { return SendResult::sent; }
    };
    Connection open(const Link<int>& link) { return Connection{link}; }
};

/// Runs a function of the test in every hook.
struct Doing {
    std::function<void(std::string)>* act;
    std::string name;
    const Fleet<Suspicions>* home = nullptr;
    std::shared_ptr<int> lifetime = std::make_shared<int>();
    void on_state(auto& link, const Transition& t) {
        const std::weak_ptr<int> alive = lifetime;
        (*act)(name + " " + std::string{to_string(t.to.state)});
        // The service still exists after any call, unless the fleet was destroyed.
        if (name != "c") CHECK_FALSE(alive.expired());
        if (name == "own" && home != nullptr && !home->contains(name)) {
            CHECK(link.status().state == LinkState::stopped);
        }
    }
    void on_message(const std::string& m) { (*act)(name + " says " + m); }
};

using Lines_ = std::vector<std::string>;

}  // namespace

static_assert(belay_test::DefaultMember<Fleet<>>);

TEST_CASE("Fleet::add accepts services of any transport and policy, and finds them by name",
          "[fleet][fleet][unit]") {
    TransportState transport;
    std::vector<std::string> observed;
    Fleet fleet;
    fleet.attach(Waker{});
    auto& numbers = fleet.add("numbers", Numbers{}, MaxAttempts{3});
    auto& texts = fleet.add("texts", FakeTransport<false>{transport}, Policy{MaxAttempts{3}},
                            Observed{&observed, "t"});
    CHECK(fleet.size() == 2);
    CHECK(fleet.contains("numbers"));
    CHECK_FALSE(fleet.contains("number"));
    CHECK(texts.name() == "texts");
    fleet.start();
    while (fleet.deadline() <= at(0s)) fleet.advance(at(0s));
    CHECK(numbers.status().state == LinkState::connected);
    CHECK(numbers.send(7) == SendResult::sent);
    CHECK(texts.status().state == LinkState::connecting);
    CHECK(texts.observer().all == &observed);
    CHECK(texts.transport().state == &transport);
    static_cast<void>(transport.link.opened());
    fleet.advance(at(1s));
    CHECK(texts.send("hello") == SendResult::sent);
    CHECK(transport.sent == Lines_{"hello"});
    CHECK(observed == Lines_{"t connecting", "t connected"});

    CHECK(fleet.remove("numbers"));
    CHECK_FALSE(fleet.remove("numbers"));
    CHECK(fleet.size() == 1);
    auto& again = fleet.add("numbers", Numbers{}, MaxAttempts{3});
    CHECK(again.status().state == LinkState::stopped);
}

TEST_CASE("Fleet::add aborts with a message when a name is in use", "[fleet][fleet][unit]") {
    const std::string output = aborts_with([] {
        Fleet fleet;
        fleet.add("a", Numbers{}, MaxAttempts{3});
        fleet.add("a", Numbers{}, MaxAttempts{3});
    });
    CHECK(output.find("Fleet::add: the name of a service must be unique") != std::string::npos);
}

TEST_CASE("Fleet: calls with an unknown name report it", "[fleet][fleet][unit]") {
    Fleet fleet;
    fleet.attach(Waker{});
    CHECK_FALSE(fleet.remove("a"));
    CHECK_FALSE(fleet.report_unhealthy("a"));
    CHECK_FALSE(fleet.reconnect_now("a").granted);
    CHECK(fleet.reconnect_now("a").until == never);
    CHECK(fleet.deadline() == never);
}

TEST_CASE("Fleet::remove: a service is removed inside its own hook", "[fleet][fleet][unit]") {
    FleetRig rig;
    Lines_ reported;
    std::function<void(std::string)> act = [&](std::string what) {
        reported.push_back(what);
        if (what == "own connected") CHECK(rig.fleet.remove("own"));
    };
    rig.transports.emplace_back();
    TransportState& transport = rig.transports.back();
    rig.fleet.add("own", FakeTransport<>{transport}, MaxAttempts{9},
                  Doing{&act, "own", &rig.fleet});
    rig.fleet.start();
    rig.run(0s);
    // All events are in one turn: the early message would be delivered right after `connected`.
    CHECK(transport.link.received("early") == driver::Post::taken);
    rig.open(0);
    CHECK(transport.link.received("late") == driver::Post::taken);
    rig.run(0s);
    CHECK(reported == Lines_{"own connecting", "own connected"});
    CHECK(rig.fleet.size() == 0);
    CHECK(transport.live == 0);
    CHECK(rig.fleet.deadline() == never);
}

TEST_CASE("Fleet::remove: a service is removed in a hook outside of its turn",
          "[fleet][fleet][unit]") {
    FleetRig rig;
    Lines_ reported;
    std::function<void(std::string)> act = [&](std::string what) {
        reported.push_back(what);
        if (what != "own stopped") return;
        CHECK(rig.fleet.remove("own"));
        // Its name is free at once.
        rig.fleet.add("own", Numbers{}, MaxAttempts{1});
    };
    rig.transports.emplace_back();
    auto& own = rig.fleet.add("own", FakeTransport<>{rig.transports.back()}, MaxAttempts{9},
                              Doing{&act, "own"});
    own.start();
    rig.run(0s);
    own.stop();
    CHECK(reported == Lines_{"own connecting", "own stopped"});
    rig.run(0s);
    CHECK(rig.fleet.size() == 1);
    CHECK(rig.transports[0].live == 0);
}

TEST_CASE("Fleet::remove: a service is removed inside a call of its transport",
          "[fleet][fleet][fault]") {
    FleetRig rig;
    rig.transports.emplace_back();
    TransportState& transport = rig.transports.back();
    Lines_ reported;
    std::function<void(std::string)> act = [&](std::string what) { reported.push_back(what); };
    auto& own =
        rig.fleet.add("own", FakeTransport<>{transport}, MaxAttempts{9}, Doing{&act, "own"});
    const auto remove = [&] {
        CHECK(rig.fleet.remove("own"));
        CHECK(transport.live == 1);
    };
    rig.fleet.start();
    SECTION("its open") {
        transport.on_open = [&](const auto&) { CHECK(rig.fleet.remove("own")); };
        rig.run(0s);
        CHECK(transport.dials == 1);
        // It waited in the queue for its dial.
        CHECK(reported == Lines_{"own connecting"});
    }
    SECTION("its close") {
        rig.run(0s);
        rig.open(0);
        rig.run(0s);
        reported.clear();
        transport.on_close = remove;
        CHECK(rig.fleet.reconnect_now("own", true).granted);
        rig.run(0s);
        CHECK(transport.dials == 1);
        CHECK(reported.empty());
    }
    SECTION("its send, in a turn") {
        rig.run(0s);
        rig.open(0);
        rig.run(0s);
        reported.clear();
        transport.on_send = remove;
        CHECK(own.handle().post("x") == driver::Post::taken);
        rig.run(0s);
        CHECK(transport.sent == Lines_{"x"});
        CHECK(reported.empty());
    }
    CHECK(rig.fleet.size() == 0);
    CHECK(transport.live == 0);
    CHECK(rig.fleet.deadline() == never);
}

TEST_CASE("Fleet: a hook removes services, adds one, and destroys the fleet",
          "[fleet][fleet][unit]") {
    std::deque<TransportState> transports(3);
    auto fleet = std::make_unique<Fleet<>>();
    fleet->attach(Waker{});
    Lines_ reported;
    std::function<void(std::string)> act = [&](std::string what) {
        reported.push_back(what);
        if (what == "a connecting") {
            CHECK(fleet->remove("b"));
            fleet->add("c", FakeTransport<>{transports[2]}, MaxAttempts{9}, Doing{&act, "c"})
                .start();
        }
        if (what == "c connecting") fleet.reset();
    };
    fleet->add("a", FakeTransport<>{transports[0]}, MaxAttempts{9}, Doing{&act, "a"});
    fleet->add("b", FakeTransport<>{transports[1]}, MaxAttempts{9}, Doing{&act, "b"});
    fleet->start();
    for (int i = 0; fleet != nullptr && i < 10; ++i) fleet->advance(at(0s));
    CHECK(fleet == nullptr);
    CHECK(reported == Lines_{"a connecting", "c connecting"});
    for (const TransportState& transport : transports) CHECK(transport.live == 0);
}

TEST_CASE("Fleet: a service added in a turn receives later events, and a removed one none",
          "[fleet][fleet][unit]") {
    FleetRig rig;
    Lines_ reported;
    std::function<void(std::string)> act = [&](std::string what) {
        reported.push_back(what);
        if (what != "0 says go") return;
        // 1 has a message in this round, in which 2 is new.
        CHECK(rig.fleet.remove("1"));
        rig.fleet.add("2", FakeTransport<>{rig.transports[2]}, MaxAttempts{9}, Doing{&act, "2"})
            .start();
    };
    rig.transports.resize(3);
    for (std::size_t i = 0; i < 2; ++i) {
        const std::string name = std::to_string(i);
        rig.fleet.add(name, FakeTransport<>{rig.transports[i]}, MaxAttempts{9}, Doing{&act, name});
    }
    rig.up();
    reported.clear();
    CHECK(rig.transports[0].link.received("go") == driver::Post::taken);
    CHECK(rig.transports[1].link.received("go") == driver::Post::taken);
    rig.run(0s);
    CHECK(reported == Lines_{"0 says go", "2 connecting"});
}

TEST_CASE("Fleet: services A and C stay connected while B is down", "[fleet][fleet][unit]") {
    FleetRig rig;
    rig.add(3);
    rig.up();
    for (int second = 0; second < 100; ++second) {
        const bool dialled = rig.state(1) != LinkState::cooldown && rig.transports[1].live != 0;
        if (dialled) rig.fail(1);
        rig.observed.clear();
        CHECK(rig.transports[0].link.received("m") == driver::Post::taken);
        CHECK(rig.transports[2].link.received("m") == driver::Post::taken);
        rig.run(second * 1s);
        CHECK(rig.observed.size() >= 2);
        CHECK(rig.observed.front() == "0 says m");
        CHECK(rig.state(0) == LinkState::connected);
        CHECK(rig.state(2) == LinkState::connected);
    }
    CHECK(rig.fleet.observer().all.empty());
    CHECK(rig.transports[1].dials > 30);
}

TEST_CASE("Fleet: services share a breaker by Shared, as other policies do",
          "[fleet][fleet][unit]") {
    CircuitBreaker breaker{ConsecutiveFailures{2}, OpenFor{30s}};
    std::deque<TransportState> transports(3);
    Fleet fleet{{.hold = 0s}};
    fleet.attach(Waker{});
    const Policy policy{Backoff{NoJitter{}, Cap{1s}, 1s}, Shared{breaker}};
    auto& a = fleet.add("a", FakeTransport<>{transports[0]}, policy);
    auto& b = fleet.add("b", FakeTransport<>{transports[1]}, policy);
    auto& c = fleet.add("c", FakeTransport<>{transports[2]}, policy);
    const auto run = [&](Duration until) {
        while (fleet.deadline() <= at(until)) fleet.advance(at(until));
    };
    a.start();
    b.start();
    run(0s);
    for (TransportState& transport : transports) static_cast<void>(transport.link.closed(lost));
    run(0s);
    CHECK(a.status().state == LinkState::cooldown);
    CHECK(b.status().state == LinkState::suspended);
    c.start();
    run(0s);
    CHECK(c.status().state == LinkState::suspended);
    // The open wait, and a random part of it.
    CHECK(c.status().retry_at >= at(30s));
    CHECK(c.status().retry_at <= at(60s));
    CHECK(transports[2].dials == 0);
    run(2s);
    CHECK(a.status().state == LinkState::suspended);
}

TEST_CASE("Fleet::reconnect_now and reconnect_all dial before the wait is over",
          "[fleet][fleet][unit]") {
    FleetRig rig;
    rig.add(3);
    rig.up();
    rig.run(20s);
    rig.fail(0);
    rig.fail(1);
    rig.run(20500ms);
    CHECK(rig.state(0) == LinkState::cooldown);
    CHECK(rig.fleet.reconnect_now("0").granted);
    rig.run(20500ms);
    CHECK(rig.state(0) == LinkState::connecting);
    CHECK(rig.state(1) == LinkState::cooldown);
    rig.fleet.reconnect_all();
    rig.run(20500ms);
    CHECK(rig.state(1) == LinkState::connecting);
    CHECK(rig.state(2) == LinkState::connected);
    CHECK(rig.transports[2].dials == 1);
    CHECK(rig.fleet.reconnect_now("2").granted);
    rig.run(20500ms);
    CHECK(rig.transports[2].dials == 2);
}

TEST_CASE("Fleet::report_unhealthy ends a connection by name", "[fleet][fleet][unit]") {
    FleetRig rig;
    rig.add(1);
    rig.up();
    CHECK(rig.fleet.report_unhealthy("0"));
    rig.run(0s);
    CHECK(rig.state(0) == LinkState::cooldown);
    CHECK(rig.status(0).failure.error() == LinkErrc::reported_unhealthy);
    CHECK(rig.recorded[0].failed == 1);
}

TEST_CASE("Fleet counts a service that is drained, and can probe it", "[fleet][fleet][unit]") {
    TransportState transport;
    std::vector<std::string> observed;
    Fleet fleet;
    fleet.attach(Waker{});
    auto& beating =
        fleet.add("b", Heartbeat{FakeTransport<>{transport}, {.every = 10s, .dead_after = 25s}},
                  Policy{MaxAttempts{3}}, Observed{&observed, "b"});
    const auto run = [&](Duration until) {
        while (fleet.deadline() <= at(until)) fleet.advance(at(until));
    };
    fleet.start();
    run(0s);
    transport.link.opened();
    run(0s);
    REQUIRE(beating.status().state == LinkState::connected);
    transport.pings = 0;
    beating.probe_now(3s);
    run(0s);
    CHECK(transport.pings == 1);
    transport.link.pong();
    beating.drain(5s);
    run(1s);
    CHECK(fleet.status().count(LinkState::draining) == 1);
    CHECK(fleet.status().count(LinkState::connected) == 0);
    run(6s);
    CHECK(fleet.status().count(LinkState::draining) == 0);
    CHECK(fleet.status().count(LinkState::stopped) == 1);
    CHECK(observed ==
          std::vector<std::string>{"b connecting", "b connected", "b draining", "b stopped"});
}

TEST_CASE("Fleet and Pool take an observer without options", "[fleet][unit]") {
    struct Alarms {
        void on_network_suspect(const NetworkSuspect&) {}
    };
    struct Idle {
        void on_idle() {}
    };
    Alarms alarms;
    Fleet fleet{Alarms{}};
    Fleet referring{std::ref(alarms)};
    STATIC_REQUIRE(std::same_as<decltype(fleet), Fleet<Alarms>>);
    STATIC_REQUIRE(std::same_as<decltype(referring), Fleet<std::reference_wrapper<Alarms>>>);
    Pool pool{Numbers{}, MaxAttempts{3}, Idle{}};
    STATIC_REQUIRE(std::same_as<decltype(pool), Pool<Numbers, MaxAttempts, Idle>>);
}
