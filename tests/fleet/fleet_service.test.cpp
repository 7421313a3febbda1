// SPDX-License-Identifier: MIT
// Goal: a service behaves like a Supervisor for its user. Method: its commands, directly and by
// a handle; a transport that throws; credentials; graceful closes.
#include <belay/fleet/fleet.hpp>

#include <stdexcept>

#include <belay/link/bundle.hpp>
#include <belay/link/heartbeat.hpp>
#include <belay/link/with_token.hpp>
#include <belay/policy/rules.hpp>

#include "support/fleet/fleet_rig.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

struct Throws {
    using message_type = std::string;
    int* times;
    FakeConnection<false> open(const Link<std::string>&) {
        ++*times;
        throw std::runtime_error{"no"};
    }
};
struct OpensByToken {
    using message_type = std::string;
    std::vector<std::string>* tokens;
    struct Connection {
        SendResult send(const std::string&) noexcept { return SendResult::sent; }
    };
    Connection open(const Link<std::string>& link, const std::string& token) {
        tokens->push_back(token);
        static_cast<void>(token == "good" ? link.opened()
                                          : link.closed({.cause = Cause::unauthorized}));
        return {};
    }
};
struct Tokens {
    using token_type = std::string;
    std::string token = "bad";
    void credentials(std::string fresh) { token = std::move(fresh); }
    void operator()(auto completion) { completion(token); }
};

void run(auto& fleet, Duration until) {
    while (fleet.deadline() <= at(until)) fleet.advance(at(until));
}

// A transport whose connections have limits by default.
struct LimitsOfConnection {
    std::size_t message_bytes_max = 1024;
    std::size_t output_bytes_max = 4096;
};
struct LimitsItself {
    using message_type = std::string;
    LimitsOfConnection* limits;
    struct Connection {
        LimitsOfConnection* limits;
        SendResult send(const std::string&) noexcept { return SendResult::sent; }
        void limit_messages(std::size_t bytes) noexcept { limits->message_bytes_max = bytes; }
        void limit_output(std::size_t bytes) noexcept { limits->output_bytes_max = bytes; }
    };
    Connection open(const Link<std::string>&) { return {limits}; }
    Connection open(const Link<std::string>&, const std::string&) { return {limits}; }
};
struct GivesToken {
    using token_type = std::string;
    void operator()(Completion<std::string> done) { done("token"); }
};
// A decorator that limits the messages of the connection inside.
struct LimitsInside : part::Around<LimitsItself> {
    explicit LimitsInside(LimitsItself transport) : Around{transport} {}
    struct Connection : part::Wrapped<LimitsItself::Connection, std::string> {
        Connection(LimitsInside& owner, const Link<std::string>& own)
            : Wrapped{[&] { return owner.inner().open(own.child()); }} {
            inner_.limit_messages(100);
        }
    };
    Connection open(const Link<std::string>& link) { return Connection{*this, link}; }
};
}  // namespace

TEST_CASE("FleetService accepts commands by its handle", "[fleet][fleet_service][unit]") {
    TransportState transport;
    Fleet fleet;
    fleet.attach(Waker{});
    auto& service = fleet.add("a", FakeTransport<>{transport}, MaxAttempts{9});
    const auto handle = service.handle();
    handle.start();
    run(fleet, 0s);
    static_cast<void>(transport.link.opened());
    run(fleet, 0s);
    CHECK(handle.status().state == LinkState::connected);
    CHECK(handle.post("hello") == driver::Post::taken);
    run(fleet, 0s);
    CHECK(transport.sent == std::vector<std::string>{"hello"});
    CHECK(fleet.remove("a"));
    CHECK(handle.post("hello") == driver::Post::gone);
}

TEST_CASE("FleetService: an open() that throws is a failed attempt",
          "[fleet][fleet_service][unit]") {
    int times = 0;
    TransportState transport;
    Fleet fleet{{.dials_max = 1}};
    fleet.attach(Waker{});
    auto& service = fleet.add("a", Throws{&times}, MaxAttempts{2});
    service.start();
    int thrown = 0;
    for (int i = 0; i < 100 && fleet.deadline() <= at(1s); ++i) {
        try {
            fleet.advance(at(1s));
        } catch (const std::runtime_error&) {
            ++thrown;
        }
    }
    CHECK(times == 2);
    CHECK(thrown == 2);
    CHECK(service.status().state == LinkState::failed);
    CHECK(service.status().failure.error() == LinkErrc::open_threw);
    // Its slot was released.
    fleet.add("b", FakeTransport<>{transport}, MaxAttempts{2}).start();
    run(fleet, 1s);
    CHECK(transport.dials == 1);
}

TEST_CASE("FleetService::credentials reach a token's source", "[fleet][fleet_service][unit]") {
    std::vector<std::string> tokens;
    Fleet fleet;
    fleet.attach(Waker{});
    auto& service =
        fleet.add("a", WithToken{OpensByToken{&tokens}, Tokens{}}, Policy{MaxAttempts{9}});
    service.start();
    run(fleet, 0s);
    CHECK(service.status().state == LinkState::blocked_auth);
    service.credentials("good");
    run(fleet, 0s);
    CHECK(service.status().state == LinkState::connected);
    CHECK(tokens == std::vector<std::string>{"bad", "good"});
}

TEST_CASE("FleetService::stop closes gracefully, also while it waits in the queue",
          "[fleet][fleet_service][unit]") {
    FleetRig rig{{.dials_max = 1}};
    rig.transports.resize(2);
    auto& a = rig.fleet.add("a", FakeTransport<>{rig.transports[0]}, MaxAttempts{9});
    auto& b = rig.fleet.add("b", FakeTransport<>{rig.transports[1]}, MaxAttempts{9});
    rig.fleet.start();
    rig.run(0s);
    static_cast<void>(rig.transports[0].link.opened());
    rig.run(0s);
    a.stop();
    CHECK(rig.transports[0].log.back() == "close");
    CHECK(rig.transports[0].live == 1);
    static_cast<void>(rig.transports[0].link.closed());  // the close is complete
    rig.run(0s);
    CHECK(rig.transports[0].live == 0);
    CHECK(b.status().state == LinkState::connecting);
    b.stop();
    b.start();
    rig.run(2s);
    CHECK(rig.transports[1].dials == 2);
}

TEST_CASE("FleetService::report_unhealthy is not held, because it is no sign of a network fault",
          "[fleet][fleet_service][unit]") {
    FleetRig rig;
    rig.add(3);
    rig.up();
    for (const char* name : {"0", "1", "2"}) CHECK(rig.fleet.report_unhealthy(name));
    rig.run(0s);
    for (const RecordedEvents& recorded : rig.recorded) CHECK(recorded.failed == 1);
    rig.run(1s);
    CHECK(rig.fleet.observer().all.empty());
}

TEST_CASE("FleetService: probes, graces of gates and drains are the Supervisor's",
          "[fleet][fleet_service][unit]") {
    TransportState transport;
    Fleet fleet;
    fleet.attach(Waker{});
    auto& service =
        fleet.add("a", Heartbeat{FakeTransport<>{transport}, {.every = 10s, .dead_after = 25s}},
                  MaxAttempts{9});
    service.start();
    run(fleet, 0s);
    static_cast<void>(transport.link.opened());
    run(fleet, 0s);
    transport.pings = 0;
    service.probe_now(2s);
    run(fleet, 0s);
    CHECK(transport.pings == 1);
    static_cast<void>(transport.link.pong());
    service.shut(Gate::hidden, 5s);
    run(fleet, 4s);
    CHECK(service.status().state == LinkState::connected);
    service.open(Gate::hidden);
    service.drain(5s);
    run(fleet, 6s);
    CHECK(transport.log.back() == "close");
    static_cast<void>(transport.link.closed({.cause = Cause::planned}));
    run(fleet, 6s);
    CHECK(service.status().state == LinkState::stopped);
    CHECK(service.status().failure.cause == Cause::none);
    CHECK(fleet.status().count(LinkState::stopped) == 1);
}

TEST_CASE(
    "A Bundle is a service of a Fleet: its connections count as one dial, and keep their lanes",
    "[fleet][fleet_service][unit]") {
    struct Lanes {
        std::vector<std::string>* all;
        void on_message(const std::string& m, Lane lane) {
            all->push_back(std::to_string(lane) + " " + m);
        }
    };
    TransportState transports[3];
    std::vector<std::string> received;
    Fleet fleet{FleetOptions{.dials_max = 1}};
    fleet.attach(Waker{});
    auto& both =
        fleet.add("both", Bundle{FakeTransport<>{transports[0]}, FakeTransport<>{transports[1]}},
                  MaxAttempts{9}, Lanes{&received});
    fleet.add("other", FakeTransport<>{transports[2]}, MaxAttempts{9});
    fleet.start();
    run(fleet, 0s);
    CHECK((transports[0].dials == 1 && transports[1].dials == 1 && transports[2].dials == 0));
    CHECK(fleet.counters().dialling == 1);
    static_cast<void>(transports[0].link.opened());
    run(fleet, 0s);
    CHECK(transports[2].dials == 0);
    static_cast<void>(transports[1].link.opened());
    run(fleet, 0s);
    CHECK(both.status().state == LinkState::connected);
    CHECK(transports[2].dials == 1);
    CHECK(both.send("to the second", 1) == SendResult::sent);
    CHECK(transports[1].sent == std::vector<std::string>{"to the second"});
    static_cast<void>(transports[1].link.received("from the second"));
    run(fleet, 0s);
    CHECK(received == std::vector<std::string>{"1 from the second"});
    static_cast<void>(transports[0].link.closed(lost));
    run(fleet, 0s);     // held: the network may be the cause
    run(fleet, 500ms);  // `other` still dials, so the policy dials again, in line
    CHECK(both.status().attempt == 2);
    CHECK(both.status().state == LinkState::connecting);
    CHECK(transports[1].live == 0);
}

TEST_CASE("A fleet leaves the limits of a connection as it, or a decorator, has set them",
          "[fleet][fleet_service][regression]") {
    LimitsOfConnection own, by_decorator, behind_token;
    Fleet fleet;
    fleet.attach(Waker{});
    fleet.add("own", LimitsItself{&own}, MaxAttempts{9});
    fleet.add("by decorator", LimitsInside{LimitsItself{&by_decorator}}, MaxAttempts{9});
    fleet.add("behind a token", WithToken{LimitsItself{&behind_token}, GivesToken{}},
              MaxAttempts{9});
    fleet.start();
    run(fleet, 0s);
    CHECK(own.message_bytes_max == 1024);
    CHECK(own.output_bytes_max == 4096);
    CHECK(by_decorator.message_bytes_max == 100);
    CHECK(behind_token.message_bytes_max == 1024);
    CHECK(behind_token.output_bytes_max == 4096);
}
