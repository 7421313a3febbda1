// SPDX-License-Identifier: MIT
// Goal: chaos::Transport drops and delays connections at the given rates, counts and reports each
// fault, keeps the order of messages, and does nothing while it is off. Method: a scripted
// transport, a supervisor, and time set by hand.
#include <belay/link/chaos_transport.hpp>

#include <stdexcept>
#include <string>
#include <vector>

#include <belay/link/heartbeat.hpp>

#include "support/aborts.hpp"
#include "support/link/link_rig.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

struct FaultNotes {
    std::vector<chaos::LinkInjected::Kind>* kinds;
    void on_injected(const chaos::LinkInjected& fault) { kinds->push_back(fault.kind); }
};
using FaultKind = chaos::LinkInjected::Kind;
using Kinds = std::vector<FaultKind>;

struct ChaosRig {
    chaos::LinkFaults faults;
    TransportState transport{};
    Kinds kinds{};
    LinkRig<chaos::Transport<FakeTransport<>, FaultNotes>> rig{
        chaos::Transport{FakeTransport<>{transport}, faults, FaultNotes{&kinds}}};

    explicit ChaosRig(chaos::LinkOptions options) : faults{options, Seed{7}} {}
    void connect(Duration now = {}) {
        rig.start(now);
        transport.link.opened();
        rig.run(now);
    }
};

}  // namespace

TEST_CASE("chaos::Transport passes everything while it is off", "[link][chaos_transport][unit]") {
    ChaosRig c{{.failures_per_thousand = 1000, .drops_per_thousand = 1000}};
    c.connect();
    CHECK(c.rig.state() == LinkState::connected);
    receive(c.transport.link, "one");
    c.rig.run(0s);
    CHECK(c.rig.notes.observed == Observed{"connecting", "connected", "message one on 0"});
    CHECK(c.rig.link.send("two") == SendResult::sent);
    CHECK(c.transport.sent == Observed{"two"});
    CHECK(c.transport.limit == 0);  // no limit is set: the connection keeps its own
    CHECK(c.faults.counters() == chaos::LinkCounters{});
    CHECK(c.kinds.empty());
}

TEST_CASE("chaos::Transport fails attempts without reaching the peer",
          "[link][chaos_transport][unit]") {
    ChaosRig c{{.failures_per_thousand = 1000}};
    c.faults.switch_on();
    c.rig.start();
    CHECK(c.rig.state() == LinkState::cooldown);
    CHECK(c.rig.link.status().failure.error() == LinkErrc::injected);
    CHECK(c.transport.dials == 0);
    CHECK(c.faults.counters() == chaos::LinkCounters{.failures = 1});
    CHECK(c.kinds == Kinds{FaultKind::failure});
    c.faults.switch_off();
    c.rig.run(1s);
    CHECK(c.transport.dials == 1);
}

TEST_CASE("chaos::Transport drops an open connection at a message, and the link dials again",
          "[link][chaos_transport][unit]") {
    ChaosRig c{{.drops_per_thousand = 1000}};
    c.connect();
    c.faults.switch_on();
    receive(c.transport.link, "lost");
    c.rig.run(0s);
    CHECK(c.rig.state() == LinkState::cooldown);
    CHECK(c.rig.link.status().failure.error() == LinkErrc::injected);
    CHECK(c.transport.live == 0);
    CHECK(c.kinds == Kinds{FaultKind::drop});
    c.rig.run(1s);
    c.transport.link.opened();
    c.rig.run(1s);
    CHECK(c.rig.state() == LinkState::connected);
}

TEST_CASE("chaos::Transport delays the attempt to connect", "[link][chaos_transport][unit]") {
    ChaosRig c{{.delays_per_thousand = 1000, .delay = 3s}};
    c.faults.switch_on();
    c.rig.start();
    c.rig.run(2s);
    CHECK(c.rig.state() == LinkState::connecting);
    CHECK(c.transport.dials == 0);
    CHECK(c.rig.link.send("early") == SendResult::down);
    c.rig.run(3s);
    CHECK(c.transport.dials == 1);
    c.transport.link.opened();
    c.rig.run(3s);
    CHECK(c.rig.state() == LinkState::connected);
    CHECK(c.kinds == Kinds{FaultKind::delay});
}

TEST_CASE("A delayed attempt whose open() throws ends like any other",
          "[link][chaos_transport][unit]") {
    ChaosRig c{{.delays_per_thousand = 1000, .delay = 3s}};
    c.faults.switch_on();
    c.transport.on_open = [](const auto&) { throw std::runtime_error{"open"}; };
    c.rig.start();
    c.rig.run(2s);
    CHECK_THROWS_WITH(c.rig.link.advance(at(3s)), "open");
    c.rig.run(3s);
    CHECK(c.rig.state() == LinkState::cooldown);
    CHECK(c.rig.link.status().failure.error() == LinkErrc::open_threw);
}

TEST_CASE("chaos::Transport delays messages, in their order, also after it is switched off",
          "[link][chaos_transport][unit]") {
    ChaosRig c{{.delays_per_thousand = 1000, .delay = 2s}};
    c.connect();
    c.faults.switch_on();
    receive(c.transport.link, "one");
    c.rig.run(0s);
    c.rig.run(1s);
    c.faults.switch_off();
    receive(c.transport.link, "two");
    c.rig.run(1s);
    CHECK(c.rig.notes.observed == Observed{"connecting", "connected"});
    c.rig.run(2s);
    receive(c.transport.link, "three");
    c.rig.run(2s);
    CHECK(c.rig.notes.observed == Observed{"connecting", "connected", "message one on 0",
                                           "message two on 0", "message three on 0"});
    CHECK(c.faults.counters() == chaos::LinkCounters{.delays = 1});
}

TEST_CASE("chaos::Transport loses waiting messages with their connection",
          "[link][chaos_transport][unit]") {
    ChaosRig c{{.delays_per_thousand = 1000, .delay = 2s}};
    c.connect();
    c.faults.switch_on();
    receive(c.transport.link, "one");
    c.rig.run(0s);
    c.faults.switch_off();
    c.transport.link.closed({.cause = Cause::lost});
    c.rig.run(0s);
    c.rig.run(1s);
    c.transport.link.opened();
    c.rig.run(10s);
    CHECK(c.rig.notes.observed ==
          Observed{"connecting", "connected", "cooldown", "connecting", "connected"});
}

TEST_CASE("chaos::Transport holds at most held_max messages", "[link][chaos_transport][unit]") {
    ChaosRig c{{.delays_per_thousand = 1000, .delay = 1h}};
    c.connect();
    c.faults.switch_on();
    const std::size_t most = chaos::Transport<FakeTransport<>>::held_max;
    for (std::size_t i = 0; i <= most; ++i) {
        CHECK(receive(c.transport.link, std::to_string(i)) == driver::Post::taken);
        c.rig.run(0s);
        CHECK(c.rig.notes.observed.size() == (i < most ? 2 : 2 + most + 1));
    }
    CHECK(c.rig.notes.observed.back() == "message 1024 on 0");
}

TEST_CASE("chaos::Transport releases every message that is due although its mailbox is full",
          "[link][chaos_transport][regression]") {
    // A mailbox is full after 64 events, and a turn handles more than 32.
    const std::size_t burst = GENERATE(0U, 30U, 60U, 70U, 200U, 500U);
    CAPTURE(burst);
    ChaosRig c{{.delays_per_thousand = 1000, .delay = 5ms}};
    c.connect();
    c.faults.switch_on();
    Observed expected{"connecting", "connected"};
    const auto say = [&](std::size_t messages) {
        for (std::size_t i = 0; i < messages; ++i) {
            const std::string text = std::to_string(expected.size());
            REQUIRE(receive(c.transport.link, text) == driver::Post::taken);
            expected.push_back("message " + text + " on 0");
        }
    };
    say(40);
    c.rig.run(0s);
    say(burst);
    c.rig.run(5ms);  // the 40 are due while the burst waits in the mailbox
    c.rig.run(10ms);
    CHECK(c.rig.notes.observed == expected);
    say(1);
    c.rig.run(10ms);
    c.rig.run(15ms);
    CHECK(c.rig.notes.observed == expected);
}

TEST_CASE("chaos::Transport repeats its faults for the same seed",
          "[link][chaos_transport][unit]") {
    const auto played = [](Seed seed) {
        chaos::LinkFaults faults{{.failures_per_thousand = 300, .delays_per_thousand = 300}, seed};
        std::string text;
        for (int i = 0; i < 200; ++i) {
            const auto decision = faults.draw(true);
            text += decision.fails ? 'f' : decision.delays ? 'd' : '.';
        }
        return text;
    };
    CHECK(played(Seed{3}) == played(Seed{3}));
    CHECK(played(Seed{3}) != played(Seed{4}));
}

TEST_CASE("chaos::Transport can be the transport inside a Heartbeat",
          "[link][chaos_transport][unit]") {
    chaos::LinkFaults faults{{.drops_per_thousand = 1000}};
    TransportState transport;
    LinkRig<Heartbeat<chaos::Transport<FakeTransport<>>>> rig{Heartbeat{
        chaos::Transport{FakeTransport<>{transport}, faults}, {.every = 5s, .dead_after = 12s}}};
    rig.start();
    transport.link.opened();
    rig.run(0s);
    faults.switch_on();
    receive(transport.link, "lost");
    rig.run(0s);
    CHECK(rig.state() == LinkState::cooldown);
    CHECK(rig.link.status().failure.error() == LinkErrc::injected);
}

TEST_CASE("chaos::LinkFaults aborts on rates above 1000", "[link][chaos_transport][unit]") {
    CHECK(chaos::LinkOptions{.drops_per_thousand = 1001}.check() ==
          "chaos::LinkOptions: a rate must be <= 1000");
    CHECK(chaos::LinkOptions{.delay = -1ns}.check() ==
          "chaos::LinkOptions: the delay must be >= 0ns");
    CHECK(aborts_with([] {
              chaos::LinkFaults wrong{{.failures_per_thousand = 1001}};
          }).find("chaos::LinkFaults: see chaos::LinkOptions::check()") != std::string::npos);
}
