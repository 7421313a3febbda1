// SPDX-License-Identifier: MIT
// Goal: while the network is suspect, one service at a time dials. Soon after its return all are
// connected. A suspicion without confirmation ends. Method: scripted connections and time.
#include <optional>
#include <vector>

#include <belay/core/http_failure.hpp>
#include <belay/fleet/fleet.hpp>
#include <belay/link/heartbeat.hpp>
#include <belay/openssl/tls_error.hpp>
#include <belay/policy/rules.hpp>
#include <belay/posix/endpoint.hpp>

#include "support/fleet/fleet_rig.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

Failure code(std::errc error) { return Failure::from(std::make_error_code(error)); }

enum class Dials { fail_at_once, hang };

/// Services whose network fails at 20 s, all at once. A dial that began during the outage never
/// opens: its packets are lost.
struct Outage {
    explicit Outage(Dials d, int services, FleetOptions options = {}, Duration spread_within = 1s)
        : dials{d}, rig{options} {
        rig.add(services, 0, spread_within);
        rig.up();
        rig.run(now);
        counted.resize(rig.transports.size());
        dialled_at.resize(rig.transports.size());
        dials_before = rig.dials();
        for (std::size_t i = 0; i < rig.transports.size(); ++i) rig.fail(i);
    }
    /// Lets time pass; from `back_at` on the network works.
    void run_until(Duration end) {
        for (; now < end; now += 50ms) {
            rig.run(now);
            for (std::size_t i = 0; i < rig.transports.size(); ++i) {
                if (std::exchange(counted[i], rig.transports[i].dials) != rig.transports[i].dials) {
                    dialled_at[i] = now;
                }
                if (rig.transports[i].live == 0 || rig.state(i) != LinkState::connecting) continue;
                if (dialled_at[i] >= back_at) {
                    rig.open(i);
                } else if (dials == Dials::fail_at_once && now < back_at) {
                    rig.fail(i, code(std::errc::network_unreachable));
                }
            }
            most_live = std::max(most_live, rig.live());
        }
    }
    [[nodiscard]] int dials_since() const { return rig.dials() - dials_before; }

    Dials dials;
    FleetRig rig;
    Duration now = 20s;
    Duration back_at = Duration::max();
    std::vector<int> counted{};
    std::vector<Duration> dialled_at{};
    int dials_before = 0;
    int most_live = 0;
};

}  // namespace

TEST_CASE("Fleet: in an outage of an hour, 50 services dial less often than without scouts",
          "[fleet][outage][unit]") {
    // Without scouts, all waited for common instants: 6480 dials that fail at once, 960 that hang.
    const auto dials = GENERATE(Dials::fail_at_once, Dials::hang);
    Outage outage{dials, 50};
    outage.run_until(20s + 1h);
    CHECK(outage.dials_since() <= 1.2 * (dials == Dials::hang ? 960 : 6480));
    CHECK(outage.dials_since() <= 3600 / 4);  // at least 4 s apart after the waits have grown
    CHECK(outage.most_live <= 8);
    for (const RecordedEvents& recorded : outage.rig.recorded) {
        CHECK(recorded.failed + recorded.lost == 0);
    }
}

TEST_CASE("Fleet: 10 s after the network's return, all services are connected",
          "[fleet][outage][unit]") {
    const auto dials = GENERATE(Dials::fail_at_once, Dials::hang);
    // Few services may all hang in a dial at once, and then none waits.
    const int services = GENERATE(3, 4, 9, 50);
    const Duration spread_within = GENERATE(1s, 20s);
    for (int i = 0; i < 40; ++i) {
        CAPTURE(static_cast<int>(dials), services, spread_within.count(), i);
        Outage outage{dials, services, {}, spread_within};
        const Duration lasts = i * 3700ms + 300ms;
        outage.back_at = 20s + lasts;
        outage.run_until(20s + lasts + 10s);
        REQUIRE(outage.rig.all_up());
        REQUIRE_FALSE(outage.rig.fleet.status().network_suspect);
    }
}

TEST_CASE("Fleet: while the network is suspect, services dial in turn, one at a time",
          "[fleet][outage][unit]") {
    Outage outage{Dials::fail_at_once, 5};
    std::vector<int> before(5);
    Instant last = always;
    for (std::size_t round = 0; round < 20; ++round) {
        const auto& reported = outage.rig.fleet.observer().all;
        const std::size_t times = reported.size();
        while (reported.size() == times) outage.run_until(outage.now + 50ms);
        CHECK(reported.back().times == times + 1);
        CHECK(reported.back().since == at(20s));
        CHECK(reported.back().retry_at - outage.rig.now <= 8s);
        CHECK(outage.rig.fleet.status().retry_at == reported.back().retry_at);
        CHECK(reported.back().retry_at > std::exchange(last, reported.back().retry_at));
        if (times == 0) continue;
        CHECK(outage.dials_since() == static_cast<int>(times));
        // No service dials again before each of the others has.
        int least = 1000, most = 0;
        for (const TransportState& transport : outage.rig.transports) {
            least = std::min(least, transport.dials);
            most = std::max(most, transport.dials);
        }
        CHECK(most - least <= 1);
    }
    outage.run_until(outage.now + 1s);
    for (std::size_t i = 0; i < 5; ++i) {
        const LinkStatus status = outage.rig.status(i);
        CHECK(status.state == LinkState::cooldown);
        CHECK(status.withdrawn);
        CHECK(status.decided_by == "network suspect");
        CHECK(status.failure.cause != Cause::none);
    }
}

TEST_CASE("Fleet: dials that hang in all slots do not hide that the network has returned",
          "[fleet][outage][unit]") {
    Outage outage{Dials::hang, 12, {.dials_max = 1}};
    outage.back_at = 20s + 5min;
    outage.run_until(20s + 5min + 10s);
    CHECK(outage.rig.all_up());
    CHECK(outage.most_live <= 12);
}

TEST_CASE("Fleet: a service whose server requested a wait is not the scout for ever",
          "[fleet][outage][regression]") {
    Outage outage{GENERATE(Dials::fail_at_once, Dials::hang), 5};
    FleetRig& rig = outage.rig;
    // Its server is overloaded. Then a command dials nevertheless, during the outage.
    outage.back_at = 0s;
    outage.run_until(40s);
    REQUIRE(rig.all_up());
    rig.fail(0, {.cause = Cause::overloaded, .retry_after = 1h});
    outage.run_until(60s);
    outage.back_at = 180s;
    for (std::size_t i = 1; i < 5; ++i) rig.fail(i);
    outage.run_until(70s);
    rig.fleet.reconnect_all(true);
    outage.run_until(190s);
    for (std::size_t i = 1; i < 5; ++i) CHECK(rig.state(i) == LinkState::connected);
}

TEST_CASE("Fleet: a command to reconnect dials although scouts hang in all slots",
          "[fleet][outage][regression]") {
    Outage outage{Dials::hang, 20, {.dials_max = 1}};
    outage.run_until(2min);
    while (!outage.rig.fleet.reconnect_now("7").granted) {
        outage.run_until(outage.now + 50ms);
        REQUIRE(outage.now < 3min);
    }
    const int before = outage.rig.transports[7].dials;
    outage.run_until(outage.now + 20s);
    CHECK(outage.rig.transports[7].dials > before);
}

TEST_CASE("Fleet: commands to reconnect do not prolong a suspicion without end",
          "[fleet][outage][regression]") {
    Outage outage{Dials::hang, 4, {.dials_max = 1, .suspect_rounds_max = 10}};
    while (outage.now < 10min) {
        outage.run_until(outage.now + 2s);
        outage.rig.fleet.reconnect_all(true);
    }
    CHECK_FALSE(outage.rig.fleet.status().network_suspect);
}

TEST_CASE("Fleet: a dial under way does not hide an outage in which dials hang",
          "[fleet][outage][regression]") {
    FleetRig rig;
    rig.add(10);
    rig.up();
    rig.run(19s);
    rig.fail(9);
    rig.run(20s);  // the peer was reachable, and its service dials again
    rig.run(20200ms);
    REQUIRE(rig.state(9) == LinkState::connecting);
    for (std::size_t i = 0; i < 9; ++i) rig.fail(i);
    rig.run(60s);
    CHECK(rig.fleet.status().network_suspect);
}

TEST_CASE("Fleet: a scout that is stopped loses its exception from the wait",
          "[fleet][outage][regression]") {
    Outage outage{Dials::fail_at_once, 5};
    FleetRig& rig = outage.rig;
    auto& one = rig.fleet.add("5", FakeTransport<>{rig.transports.emplace_back()}, MaxAttempts{99});
    one.start();
    outage.counted.resize(6);
    outage.dialled_at.resize(6);
    outage.run_until(30s);
    while (!one.reconnect_now().granted) {  // it does not wait for the network
        outage.run_until(outage.now + 50ms);
        REQUIRE(outage.now < 1min);
    }
    one.stop();
    outage.run_until(outage.now + 10s);
    const int before = rig.transports[5].dials;
    const auto times = rig.fleet.observer().all.size();
    one.start();
    outage.run_until(outage.now + 100ms);
    if (rig.fleet.observer().all.size() == times) CHECK(rig.transports[5].dials == before);
}

TEST_CASE("Fleet: services whose hosts refuse fail on their own", "[fleet][outage][regression]") {
    FleetRig rig;
    rig.add(4);
    rig.fleet.start();
    rig.run(0s);
    for (std::size_t i = 0; i < 4; ++i) rig.fail(i, code(std::errc::connection_refused));
    rig.run(0s);
    for (const RecordedEvents& recorded : rig.recorded) CHECK(recorded.failed == 1);  // not held
    CHECK(rig.fleet.observer().all.empty());
}

TEST_CASE("Fleet: an answer ends a suspicion, and a missing answer does not",
          "[fleet][outage][unit]") {
    struct Case {
        Failure failure;
        bool ends;
    };
    const Case one = GENERATE(
        Case{code(std::errc::connection_refused), true}, Case{http_failure(503), true},
        Case{http_failure(403), true}, Case{{.cause = Cause::overloaded}, true},
        Case{Failure::from(tls::Errc::certificate_expired), true},
        Case{Failure::from(tls::Errc::handshake_failed), true},
        Case{code(std::errc::host_unreachable), false},
        Case{code(std::errc::network_unreachable), false}, Case{code(std::errc::timed_out), false},
        Case{code(std::errc::connection_reset), false},
        Case{code(std::errc::not_enough_memory), false},
        Case{failure_of(LinkErrc::closed_by_peer), false},
        Case{failure_of(LinkErrc::heartbeat_lost), false}, Case{http_failure(0), false});
    CAPTURE(one.failure.message());
    FleetRig rig;
    rig.add(4);
    rig.up();
    rig.run(20s);
    for (std::size_t i = 0; i < 4; ++i) rig.fail(i);
    rig.run(20200ms);
    REQUIRE(rig.fleet.status().network_suspect);
    rig.run(21500ms);
    REQUIRE(rig.live() == 1);
    for (std::size_t i = 0; i < 4; ++i) {
        if (rig.transports[i].live != 0) rig.fail(i, one.failure);
    }
    rig.run(21500ms);
    CHECK(rig.fleet.status().network_suspect != one.ends);
    rig.run(21900ms);
    CHECK((rig.live() >= 3) == one.ends);
}

TEST_CASE("Fleet: a suspicion ends after a number of rounds, and failures count again",
          "[fleet][outage][unit]") {
    Outage outage{Dials::fail_at_once, 4, {.suspect_rounds_max = 10}};
    FleetRig& rig = outage.rig;
    while (rig.fleet.status().network_suspect || outage.dials_since() == 0) {
        outage.run_until(outage.now + 50ms);
        REQUIRE(outage.now < 20s + 10 * 8s);
    }
    // Nine scouts, since the first round begins with the failures; then all four at once.
    CHECK(outage.dials_since() == 9 + 4);
    for (const RecordedEvents& recorded : rig.recorded) CHECK(recorded.failed == 0);
    outage.run_until(outage.now + 1min);
    CHECK_FALSE(rig.fleet.status().network_suspect);
    for (const RecordedEvents& recorded : rig.recorded) CHECK(recorded.failed > 10);
    // Evidence of a network makes the next suspicion possible.
    outage.back_at = outage.now;
    outage.run_until(outage.now + 20s);
    REQUIRE(rig.all_up());
    for (std::size_t i = 0; i < 4; ++i) rig.fail(i);
    rig.run(outage.now + 300ms);
    CHECK(rig.fleet.status().network_suspect);
}

TEST_CASE("Fleet: failures of peers that accept and are frozen count for each service in the end",
          "[fleet][outage][regression]") {
    TransportState transports[3];
    Fleet fleet{FleetOptions{.suspect_rounds_max = 20}, Suspicions{}};
    fleet.attach(Waker{});
    for (TransportState& transport : transports) {
        fleet.add(std::to_string(&transport - transports),
                  Heartbeat{FakeTransport<>{transport}, {.every = 10s, .dead_after = 25s}},
                  Policy{Backoff{NoJitter{}, Cap{30s}, 1s}, ResetWhenStable{10s}, MaxAttempts{5}});
    }
    fleet.start();
    int opened[3] = {};
    Instant t = at(0s);
    for (; fleet.status().count(LinkState::failed) < 3 && t < at(2h); t = after(t, 100ms)) {
        for (int turns = 0; fleet.deadline() <= t; ++turns) {
            REQUIRE(turns < 1000);
            fleet.advance(t);
        }
        for (std::size_t i = 0; i < 3; ++i) {
            // The peer accepts, and sends nothing.
            if (std::exchange(opened[i], transports[i].dials) != transports[i].dials) {
                static_cast<void>(transports[i].link.opened());
            }
        }
    }
    CHECK(fleet.status().count(LinkState::failed) == 3);
    CHECK(fleet.observer().all.back().times == 20);  // never more than suspect_rounds_max
}

TEST_CASE("Fleet: if peers never send, an opened connection ends the waits",
          "[fleet][outage][unit]") {
    FleetRig rig;
    rig.add(10);
    rig.up();
    rig.run(20s);
    for (std::size_t i = 0; i < 10; ++i) rig.fail(i);
    rig.run(20200ms);
    REQUIRE(rig.fleet.status().network_suspect);
    rig.run(21500ms);
    for (Duration t = 21500ms; t <= 25s; t += 50ms) {
        for (TransportState& transport : rig.transports) {
            if (transport.live != 0) static_cast<void>(transport.link.opened());
        }
        rig.run(t);
    }
    CHECK(rig.all_up());
}

TEST_CASE("Fleet: a suspicion ends if too few services are left", "[fleet][outage][unit]") {
    FleetRig rig;
    rig.add(3);
    rig.up();
    rig.run(20s);
    for (std::size_t i = 0; i < 3; ++i) rig.fail(i);
    rig.run(20200ms);
    REQUIRE(rig.fleet.status().network_suspect);
    rig.fleet.remove("0");
    rig.run(25s);
    CHECK_FALSE(rig.fleet.status().network_suspect);
    CHECK(rig.live() == 2);
    rig.fleet.remove("1");
    rig.fleet.remove("2");
    CHECK(rig.fleet.deadline() == never);
}

TEST_CASE("Fleet: a refusal by this machine is no evidence about the network",
          "[fleet][outage][unit]") {
    struct Local : FakeTransport<> {
        struct Where {
            std::string host;
        };
        explicit Local(TransportState& w, std::string host)
            : FakeTransport<>{w}, where{std::move(host)} {}
        [[nodiscard]] const Where& endpoint() const noexcept { return where; }
        Where where;
    };
    const auto [host, is_answer] =
        GENERATE(std::pair{"127.0.0.2", false}, std::pair{"localhost", false},
                 std::pair{"::1", false}, std::pair{"10.1.2.3", true}, std::pair{"a.test", true});
    TransportState transports[3];
    Fleet fleet;
    fleet.attach(Waker{});
    for (TransportState& transport : transports) {
        fleet.add(std::to_string(&transport - transports),
                  Heartbeat{Local{transport, host}, {.every = 10s, .dead_after = 25s}},
                  MaxAttempts{9});
    }
    fleet.start();
    while (fleet.deadline() <= at(0s)) fleet.advance(at(0s));
    for (TransportState& transport : transports) {
        REQUIRE(transport.live == 1);
        static_cast<void>(transport.link.closed(code(std::errc::connection_refused)));
    }
    for (const Duration t : {0ms, 200ms}) {
        while (fleet.deadline() <= at(t)) fleet.advance(at(t));
    }
    CHECK(fleet.status().network_suspect != is_answer);
}

TEST_CASE("Fleet: a refusal at the path of a Unix socket is no evidence about the network",
          "[fleet][outage][unit]") {
    struct AtPath : FakeTransport<> {
        using FakeTransport<>::FakeTransport;
        [[nodiscard]] const posix::UnixPath& endpoint() const noexcept { return where; }
        posix::UnixPath where{"/run/app.sock"};
    };
    Failure missing = code(std::errc::no_such_file_or_directory);
    missing.cause = Cause::refused;
    const Failure failure = GENERATE_COPY(code(std::errc::connection_refused), missing,
                                          Failure::from(posix::UnixErrc::not_a_stream_socket));
    CAPTURE(failure.message());
    TransportState transports[3];
    Fleet fleet;
    fleet.attach(Waker{});
    for (TransportState& transport : transports) {
        fleet.add(std::to_string(&transport - transports),
                  Heartbeat{AtPath{transport}, {.every = 10s, .dead_after = 25s}}, MaxAttempts{9});
    }
    fleet.start();
    while (fleet.deadline() <= at(0s)) fleet.advance(at(0s));
    for (TransportState& transport : transports) static_cast<void>(transport.link.closed(failure));
    for (const Duration t : {0ms, 200ms}) {
        while (fleet.deadline() <= at(t)) fleet.advance(at(t));
    }
    CHECK(fleet.status().network_suspect);
}
