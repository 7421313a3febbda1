// SPDX-License-Identifier: MIT
// Goal: a connection is a success only with evidence that its peer is alive, in all compositions: a
// frozen peer is never a success, and a peer that only receives is no failure. Method: scripted
// transports and time, an hour and a year long.
#include <belay/link/supervisor.hpp>

#include <belay/breaker/circuit_breaker.hpp>
#include <belay/breaker/open_waits.hpp>
#include <belay/breaker/trips.hpp>
#include <belay/call/policies.hpp>
#include <belay/link/bundle.hpp>
#include <belay/link/endpoints.hpp>
#include <belay/link/heartbeat.hpp>
#include <belay/link/validated.hpp>
#include <belay/policy/rules.hpp>
#include <belay/policy/shared.hpp>

#include "support/link/link_rig.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

constexpr HeartbeatOptions readme_beats{.every = 10s, .dead_after = 25s};
const Policy ten_tries{Backoff{NoJitter{}, Cap{60s}, 1s}, MaxAttempts{10}, ResetWhenStable{10s}};

/// Runs a supervisor by hand; `served` plays the server, before each turn.
template <class Link, class F>
void play(Link& link, Instant& now, Instant end, F served) {
    while (now < end) {
        served();
        for (int i = 0; i < 1000 && link.deadline() <= now; ++i) {
            link.advance(now);
            served();
        }
        REQUIRE(link.deadline() > now);
        now = std::min(end, link.deadline());
    }
}

/// Accepts each connection at once, and then does nothing, like the kernel of a stopped process.
struct Accepts {
    TransportState& transport;
    int served = 0;
    void operator()() {
        if (transport.dials == served) return;
        served = transport.dials;
        transport.link.opened();
    }
};

/// Calls `act` when an attempt has succeeded.
struct ActsOnSuccess {
    static constexpr bool listens = true;
    std::function<void()>* act;
    void succeeded(Turn&) noexcept { (*act)(); }
};

/// Opens the endpoint `place`, which the test reads.
struct PlaceDialler {
    using message_type = std::string;
    FakeConnection<true> open(const Link<std::string>& link, const std::string& place) {
        *at = place;
        return {*transport, link};
    }
    TransportState* transport;
    std::string* at;
};

struct NamesItself {
    Verdict begin(const auto&) { return at_once ? Verdict::passed() : Verdict::pending(); }
    Verdict judge(const std::string&, const auto&) { return Verdict::passed(); }
    bool at_once = false;
};

}  // namespace

TEST_CASE("A link with a heartbeat counts each connection to a frozen peer as a failed attempt",
          "[link][evidence][regression]") {
    const bool writes = GENERATE(false, true);
    TransportState transport;
    Supervisor link{Heartbeat{FakeTransport<>{transport}, readme_beats}, ten_tries};
    link.start();
    Instant now{};
    Accepts frozen{transport};
    play(link, now, at(1h), [&] {
        frozen();
        if (writes) static_cast<void>(link.send("x"));
    });
    CHECK(link.status().state == LinkState::failed);
    CHECK(link.status().attempt == 10);
    CHECK(link.status().decided_by == "MaxAttempts");
    CHECK(transport.dials == 10);
}

TEST_CASE("A frozen peer opens a breaker, and a peer that answers the first ping closes it",
          "[link][evidence][regression]") {
    CircuitBreaker breaker{ConsecutiveFailures{5}, OpenFor{5min}};
    TransportState transport;
    Supervisor link{
        Heartbeat{FakeTransport<>{transport}, readme_beats},
        Policy{Backoff{NoJitter{}, Cap{60s}, 1s}, Shared{breaker}, ResetWhenStable{10s}}};
    link.start();
    Instant now{};
    Accepts frozen{transport};
    play(link, now, at(4min), frozen);
    CHECK(link.status().state == LinkState::suspended);
    CHECK(transport.dials == 5);
    play(link, now, at(30min), [&, answered = transport.pings]() mutable {
        frozen();
        if (std::exchange(answered, transport.pings) != transport.pings) transport.link.pong();
    });
    CHECK(link.status().state == LinkState::connected);
    CHECK(link.status().attempt == 0);
    CHECK(breaker.state() == BreakerState::closed);
}

TEST_CASE("Endpoints leaves an endpoint that accepts and then sends nothing",
          "[link][evidence][regression]") {
    TransportState transport;
    std::string place;
    const std::vector<std::string> places{"frozen", "a", "b"};
    Supervisor link{Heartbeat{Endpoints{PlaceDialler{&transport, &place}, places}, readme_beats},
                    policies::reconnection()};
    link.start();
    Instant now{};
    Accepts accepts{transport};
    play(link, now, at(2min), [&, answered = 0]() mutable {
        accepts();
        const bool asked = std::exchange(answered, transport.pings) != transport.pings;
        if (asked && place != "frozen") transport.link.pong();
    });
    CHECK(link.status().state == LinkState::connected);
    CHECK(place == "a");
    CHECK(transport.dials == 2);
    CHECK(link.status().attempt == 0);
}

TEST_CASE("A peer that only receives does not fail a link, however often it is lost",
          "[link][evidence][unit]") {
    const bool by_age = GENERATE(false, true);
    TransportState transport;
    Supervisor link{FakeTransport<>{transport},
                    Policy{Backoff{NoJitter{}, Cap{60s}, 1s}, MaxAttempts{10},
                           by_age ? ResetWhenStable::by_age(10s) : ResetWhenStable{10s}}};
    link.start();
    Instant now{};
    Accepts accepts{transport};
    for (int losses = 0; losses < 100; ++losses) {
        play(link, now, now + 87h, accepts);
        REQUIRE(link.status().state == LinkState::connected);
        REQUIRE(link.send("a line") == SendResult::sent);
        transport.link.closed();
    }
    play(link, now, now + 1h, accepts);
    CHECK(link.status().state == LinkState::connected);
    CHECK(link.status().attempt == (by_age ? 0 : 1));
    CHECK(transport.dials == 101);
}

TEST_CASE("A peer that is silent on a quiet link does not fail it, if its connections grow old",
          "[link][evidence][regression]") {
    const auto losses_until_failed = [](auto policy, Duration lived) {
        TransportState transport;
        Supervisor link{FakeTransport<>{transport}, policy};
        link.start();
        Instant now{};
        Accepts accepts{transport};
        int losses = 0;
        for (; losses < 30 && link.status().state != LinkState::failed; ++losses) {
            while (link.status().state != LinkState::connected) {
                play(link, now, now + 1s, accepts);
            }
            play(link, now, after(link.status().since, lived), accepts);
            transport.link.closed();
            link.advance(now);
        }
        return losses;
    };
    CHECK(losses_until_failed(policies::reconnection(), 72h) == 30);
    CHECK(losses_until_failed(policies::reconnection(), 10s) == 30);
    CHECK(losses_until_failed(ten_tries, 72h) == 30);
    // A balancer without a server behind it accepts, and closes soon.
    CHECK(losses_until_failed(policies::reconnection(), 9s) == 10);
    CHECK(losses_until_failed(ten_tries, 9s) == 10);
}

TEST_CASE("A peer that answers no ping fails a quiet link, also if it closes the connection itself",
          "[link][evidence][unit]") {
    TransportState transport;
    Supervisor link{Heartbeat{FakeTransport<>{transport}, {.every = 30s, .dead_after = 90s}},
                    ten_tries};
    link.start();
    Instant now{};
    Accepts accepts{transport};
    for (int i = 0; i < 10; ++i) {
        while (link.status().state != LinkState::connected) play(link, now, now + 1s, accepts);
        play(link, now, after(link.status().since, 60s), accepts);
        transport.link.closed();
        link.advance(now);
    }
    CHECK(link.status().state == LinkState::failed);
}

TEST_CASE("A link ends its attempts when the peer drops each connection, also after a sent message",
          "[link][evidence][unit]") {
    TransportState transport;
    Supervisor link{FakeTransport<>{transport}, ten_tries};
    link.start();
    Instant now{};
    Accepts accepts{transport};
    for (int losses = 0; losses < 10; ++losses) {
        play(link, now, now + 5s, accepts);
        if (link.status().state == LinkState::connected) static_cast<void>(link.send("a line"));
        transport.link.closed();
        play(link, now, now + 2min, [&] {
            accepts();
            if (link.status().state == LinkState::connected) transport.link.closed();
        });
    }
    CHECK(link.status().state == LinkState::failed);
}

TEST_CASE("A loss that this side reports does not count messages as evidence",
          "[link][evidence][unit]") {
    TransportState transport;
    Supervisor link{FakeTransport<>{transport}, ten_tries};
    link.start();
    Instant now{};
    Accepts accepts{transport};
    for (int losses = 0; losses < 10; ++losses) {
        play(link, now, now + 2min, accepts);
        REQUIRE(link.send("a line") == SendResult::sent);
        link.report_unhealthy();
    }
    play(link, now, now + 1s, accepts);
    CHECK(link.status().state == LinkState::failed);
}

TEST_CASE("A bundle is a success when each peer that is pinged has answered",
          "[link][evidence][unit]") {
    TransportState alive, frozen, mute;
    Supervisor link{Bundle{Heartbeat{FakeTransport<>{alive}, readme_beats},
                           Heartbeat{FakeTransport<>{frozen}, readme_beats}, FakeTransport<>{mute}},
                    ten_tries};
    link.start();
    Instant now{};
    Accepts all[] = {{alive}, {frozen}, {mute}};
    const bool thaws = GENERATE(false, true);
    play(link, now, at(1h), [&, answered = 0, second = 0]() mutable {
        for (Accepts& one : all) one();
        if (std::exchange(answered, alive.pings) != alive.pings) alive.link.pong();
        const bool asked = std::exchange(second, frozen.pings) != frozen.pings;
        if (thaws && asked) frozen.link.pong();
    });
    CHECK(link.status().state == (thaws ? LinkState::connected : LinkState::failed));
    CHECK(link.status().attempt == (thaws ? 0U : 10U));
}

TEST_CASE(
    "A check is evidence if it has judged a message, and not if it passed before the first one",
    "[link][evidence][unit]") {
    const bool at_once = GENERATE(false, true);
    TransportState transport;
    Supervisor link{Validated{FakeTransport<>{transport}, NamesItself{at_once}}, ten_tries};
    link.start();
    Instant now{};
    link.advance(now);
    transport.link.opened();
    link.advance(now);
    if (!at_once) REQUIRE(receive(transport.link, "me") == driver::Post::taken);
    play(link, now, at(1min), [] {});
    REQUIRE(link.status().state == LinkState::connected);
    CHECK(link.status().attempt == (at_once ? 1U : 0U));
}

TEST_CASE("A peer that closes each new connection as planned does not determine the rate of dials",
          "[link][evidence][regression]") {
    const auto dials_in_an_hour = [](auto policy) {
        TransportState transport;
        Supervisor link{FakeTransport<>{transport}, policy};
        link.start();
        Instant now{};
        Accepts accepts{transport};
        play(link, now, at(1h), [&] {
            accepts();
            if (link.status().state == LinkState::connected) {
                transport.link.closed({.cause = Cause::planned});
            }
        });
        return transport.dials;
    };
    CHECK(dials_in_an_hour(ten_tries) == 10);
    CHECK(dials_in_an_hour(policies::reconnection()) == 10);
    CHECK(dials_in_an_hour(Policy{Backoff{NoJitter{}, Cap{60s}, 1s}}) <= 66);
}

TEST_CASE(
    "A peer that closes connections as planned, which are stable at once, is dialled as "
    "after losses",
    "[link][evidence][regression]") {
    const Duration age = GENERATE(0ms, 999ms, 1s);
    TransportState transport;
    Supervisor link{FakeTransport<>{transport},
                    Policy{Backoff{NoJitter{}, Cap{60s}, 10s}, ResetWhenStable{0s}},
                    SupervisorOptions{.core = {.spread_within = 0s}}};
    link.start();
    Instant now{};
    for (int i = 1; i <= 20; ++i) {
        play(link, now, after(now, 10s), [] {});
        link.advance(now);
        REQUIRE(transport.dials == i);
        transport.link.opened();
        receive(transport.link, "x");
        play(link, now, after(now, age), [] {});
        link.advance(now);
        REQUIRE(link.status().state == LinkState::connected);
        transport.link.closed({.cause = Cause::planned});
        link.advance(now);
        const bool planned = link.status().state == LinkState::connecting;
        CHECK(planned == (age >= 1s));
        CHECK(link.status().failure.cause == (planned ? Cause::planned : Cause::lost));
        if (planned) break;
        CHECK(link.status().retry_at == after(now, 10s));
    }
}

TEST_CASE("A message whose evidence makes a rule stop the link is not delivered later",
          "[link][evidence][regression]") {
    TransportState transport;
    std::function<void()> act = [] {};
    Notes notes;
    Supervisor link{FakeTransport<>{transport},
                    Policy{ActsOnSuccess{&act}, ResetWhenStable{10s}},
                    {},
                    std::ref(notes)};
    act = [&] { link.stop(); };
    link.start();
    link.advance(at(0s));
    transport.link.opened();
    link.advance(at(0s));
    REQUIRE(link.status().state == LinkState::connected);
    REQUIRE(receive(transport.link, "old") == driver::Post::taken);
    link.advance(at(11s));
    CHECK(link.status().state == LinkState::stopped);
    act = [] {};
    link.start();
    link.advance(at(12s));
    transport.link.opened();
    for (int i = 0; i < 3; ++i) link.advance(at(12s));
    CHECK(link.status().state == LinkState::connected);
    for (const std::string& note : notes.observed) CHECK(note.find("message") == note.npos);
}

TEST_CASE("MaxElapsed counts from the loss of a connection, also if its peer sent nothing",
          "[link][evidence][regression]") {
    TransportState transport;
    Supervisor link{FakeTransport<>{transport},
                    Policy{Backoff{NoJitter{}, Cap{60s}, 1s}, MaxElapsed{10min}}};
    link.start();
    Instant now{};
    Accepts accepts{transport};
    play(link, now, at(1h), accepts);
    REQUIRE(link.send("a line") == SendResult::sent);
    transport.link.closed();
    play(link, now, at(2h), accepts);
    CHECK(link.status().state == LinkState::connected);
    CHECK(transport.dials == 2);
}

TEST_CASE("A check over a bundle does not replace the evidence of each heartbeat",
          "[link][evidence][regression]") {
    TransportState alive, frozen;
    Supervisor link{Validated{Bundle{Heartbeat{FakeTransport<>{alive}, readme_beats},
                                     Heartbeat{FakeTransport<>{frozen}, readme_beats}},
                              NamesItself{}},
                    ten_tries};
    link.start();
    Instant now{};
    Accepts all[] = {{alive}, {frozen}};
    play(link, now, at(1h), [&, dials = 0, pings = 0]() mutable {
        for (Accepts& one : all) one();
        const bool dialled = std::exchange(dials, alive.dials) != alive.dials;
        if (dialled) static_cast<void>(receive(alive.link, "me"));
        if (std::exchange(pings, alive.pings) != alive.pings) alive.link.pong();
    });
    CHECK(link.status().state == LinkState::failed);
    CHECK(link.status().attempt == 10);
}
