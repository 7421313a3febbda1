// SPDX-License-Identifier: MIT
// Goal: Heartbeat detects silence within dead_after, and never closes a connection that received
// something in time. Method: scripted transports and time.
#include <belay/link/heartbeat.hpp>

#include <algorithm>

#include <belay/link/bundle.hpp>
#include <belay/link/validated.hpp>
#include <belay/policy/rules.hpp>
#include <belay/sim.hpp>

#include "support/aborts.hpp"
#include "support/link/link_rig.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;
using belay_test::FakeTransport;
using belay_test::TransportState;

namespace {

struct Beating {
    TransportState transport;
    LinkRig<Heartbeat<FakeTransport<>>> rig;

    Beating() : rig{Heartbeat{FakeTransport<>{transport}, {.every = 10s, .dead_after = 25s}}} {
        rig.start();
        transport.link.opened();
        rig.run(0s);
        REQUIRE(std::exchange(transport.pings, 0) == 1);  // the ping at the opening
    }
};

struct Once {
    Verdict begin(const auto&) { return Verdict::passed(); }
    Verdict judge(const std::string&, const auto&) { return Verdict::passed(); }
};

/// A server that reads everything at once, unless it is frozen, and counts.
struct HeartbeatServer {
    struct Counts {
        int& messages;
        void on_message(const Bytes&) { ++messages; }
    };
    HeartbeatServer(sim::Host& host, int& messages) {
        sim::listen_stream(host, 1, [this, &host, &messages](sim::AcceptedStream<> accepted) {
            link.emplace(std::move(accepted), MaxAttempts{1}, Counts{messages});
            host.attach(*link);
            link->start();
        });
    }
    std::optional<Supervisor<sim::AcceptedStream<>, MaxAttempts, Counts>> link;
};

/// Sends `count` messages of 1,000 bytes after 2 s, and then drains if `drain` is not 0.
struct HeartbeatClient {
    struct Log {
        std::vector<LinkStatus>& log;
        void on_state(const Transition& change) { log.push_back(change.to); }
    };
    HeartbeatClient(sim::Host& host, int count, Duration drain, std::vector<LinkStatus>& log)
        : link{Heartbeat{sim::Stream<>{host, "server", 1}, {.every = 10s, .dead_after = 25s}},
               MaxAttempts{1}, Log{log}} {
        host.attach(link);
        link.start();
        host.after(2s, [this, count, drain] {
            for (int i = 0; i < count; ++i) CHECK(link.send(Bytes(1000)) == SendResult::sent);
            if (drain != 0s) link.drain(drain);
        });
    }
    Supervisor<Heartbeat<sim::Stream<>>, MaxAttempts, Log> link;
};

/// A client that sends to a server over a slow link.
struct SlowLink {
    int messages = 0;  // that the server has received
    std::vector<LinkStatus> log;
    sim::World world{Seed{1}};
    sim::Host* server = nullptr;

    SlowLink(std::uint64_t bytes_per_second, int count, Duration drain = 0s) {
        server = &world.host("server", [this](sim::Host& host) {
            return std::make_unique<HeartbeatServer>(host, messages);
        });
        sim::Host& client = world.host("client", [this, count, drain](sim::Host& host) {
            return std::make_unique<HeartbeatClient>(host, count, drain, log);
        });
        world.network().bandwidth(client, *server, bytes_per_second);
    }
};

}  // namespace

TEST_CASE("Heartbeat keeps a connection whose ping waits behind output that a live peer reads",
          "[link][heartbeat][sim][regression]") {
    SlowLink slow{8000, 400};  // 50 s, twice dead_after
    slow.world.run_for(10min);
    CHECK(slow.messages == 400);
    CHECK(slow.log.back().state == LinkState::connected);
}

TEST_CASE("Heartbeat lets a drain finish while the peer reads, and ends it if the peer is frozen",
          "[link][heartbeat][sim][regression]") {
    SlowLink slow{3000, 200, 5min};  // 67 s
    SECTION("a peer that reads slowly") {
        slow.world.run_for(4min);
        CHECK(slow.messages == 200);
        CHECK(slow.log.back().state == LinkState::stopped);
        CHECK(slow.log.back().failure.cause == Cause::none);
    }
    SECTION("a peer that stops reading") {
        slow.world.run_for(10s);
        slow.world.pause(*slow.server);
        slow.world.run_for(1min);
        CHECK(slow.log.back().state == LinkState::stopped);
        CHECK(slow.log.back().failure.error() == LinkErrc::heartbeat_lost);
    }
}

TEST_CASE("Heartbeat closes the connection of a peer that stops reading, after dead_after",
          "[link][heartbeat][sim][regression]") {
    SlowLink slow{8000, 400};
    slow.world.run_for(30s);
    REQUIRE(slow.log.back().state == LinkState::connected);
    slow.world.pause(*slow.server);
    slow.world.run_for(45s);  // the window of the frozen peer's kernel fills first
    CHECK(std::any_of(slow.log.begin(), slow.log.end(), [](const LinkStatus& status) {
        return status.failure.error() == LinkErrc::heartbeat_lost;
    }));
}

TEST_CASE("Heartbeat counts written output as a sign of life for at most 24 times dead_after",
          "[link][heartbeat][regression]") {
    Beating b;
    const auto written_each = [&b](Duration gap, Duration until) {
        for (Duration t = gap; t < until && b.rig.state() == LinkState::connected; t += gap) {
            b.rig.run(t - gap / 2);
            b.rig.run(t);
            if (b.rig.state() == LinkState::connected) b.transport.link.written();
            b.rig.run(t);
        }
    };
    SECTION("within the limit") {
        written_each(24s, 24 * 25s);
        CHECK(b.rig.state() == LinkState::connected);
        b.rig.run(590s);
        b.rig.run(24 * 25s);
        CHECK(b.rig.state() == LinkState::cooldown);
    }
    SECTION("a peer that reads less often than once in dead_after") {
        written_each(30s, 1h);
        CHECK(b.rig.link.status().since == at(30s));
    }
    SECTION("a sign of life begins a new period") {
        written_each(24s, 500s);
        b.transport.link.pong();
        b.rig.run(500s);
        for (const Duration t : {510s, 520s, 524s}) b.rig.run(t);
        CHECK(b.rig.state() == LinkState::connected);
        b.rig.run(525s);
        CHECK(b.rig.state() == LinkState::cooldown);
    }
    SECTION("a probe counts only an answer") {
        b.rig.run(1s);
        b.rig.link.probe_now(5s);
        b.rig.run(1s);
        written_each(2s, 7s);
        b.rig.run(6s);
        CHECK(b.rig.state() == LinkState::cooldown);
    }
    SECTION("a probe with a long limit does not end the connection of a live peer") {
        b.rig.run(1s);
        b.rig.link.probe_now(1min);
        b.rig.run(1s);
        written_each(10s, 60s);
        CHECK(b.rig.state() == LinkState::connected);
        for (const Duration t : {55s, 60s, 61s}) b.rig.run(t);
        CHECK(b.rig.link.status().since == at(61s));
        CHECK(b.rig.state() == LinkState::cooldown);
    }
}

TEST_CASE("Heartbeat closes no bundle because of a lane that is not read before the opening",
          "[link][heartbeat][regression]") {
    using Beats = Heartbeat<FakeTransport<>>;
    TransportState a, b;
    const HeartbeatOptions beats{.every = 5s, .dead_after = 12s};
    const SupervisorOptions options{.messages_max = 2};
    Notes notes;
    Supervisor link{Bundle{Beats{FakeTransport<>{a}, beats}, FakeTransport<>{b}}, doubling(),
                    options, std::ref(notes)};
    Duration now{};
    const auto run = [&link, &now](Duration until) {
        for (; now <= until; now += 1s) {
            for (int i = 0; i < 100 && link.deadline() <= at(now); ++i) link.advance(at(now));
        }
        now = until;
    };
    link.start();
    run(0s);
    a.link.opened();
    run(0s);
    for (const char* const m : {"1", "2", "3"}) {
        CHECK(receive(a.link, m) == driver::Post::taken);
        run(0s);
    }
    REQUIRE(receive(a.link, "4") == driver::Post::full);
    run(23s);
    CHECK(link.status().state == LinkState::connecting);
    CHECK(a.dials == 1);
    // The lane is read after this turn, and the limit for the silence ends in this turn.
    now = 24s;
    b.link.opened();
    run(24s);
    CHECK(link.status().state == LinkState::connected);
    CHECK(receive(a.link, "4") == driver::Post::taken);
    // From now on its silence counts.
    while (link.status().state == LinkState::connected) run(now + 1s);
    CHECK(now == 36s);
    CHECK(link.status().failure.error() == LinkErrc::heartbeat_lost);
}

TEST_CASE("Heartbeat pings after each period of silence, and closes after dead_after",
          "[link][heartbeat][unit]") {
    Beating b;
    CHECK(b.rig.link.deadline() == at(10s));
    b.rig.run(9999ms);
    CHECK(b.transport.pings == 0);
    b.rig.run(10s);
    CHECK(b.transport.pings == 1);
    b.rig.run(20s);
    CHECK(b.transport.pings == 2);
    CHECK(b.rig.link.deadline() == at(25s));
    b.rig.run(25s);
    CHECK(b.rig.state() == LinkState::cooldown);
    CHECK(b.rig.link.status().failure.error() == LinkErrc::heartbeat_lost);
    CHECK(b.rig.link.status().failure.cause == Cause::timed_out);
    CHECK(b.transport.live == 0);
}

TEST_CASE("Heartbeat accepts any sign of life, and counts from the last one",
          "[link][heartbeat][unit]") {
    Beating b;
    b.rig.run(7s);
    SECTION("a pong") { b.transport.link.pong(); }
    SECTION("a message") { receive(b.transport.link, "x"); }
    b.rig.run(7s);
    b.rig.run(16999ms);
    CHECK(b.transport.pings == 0);
    b.rig.run(17s);
    CHECK(b.transport.pings == 1);
    b.rig.run(31999ms);
    CHECK(b.rig.state() == LinkState::connected);
    b.rig.run(32s);
    CHECK(b.rig.state() == LinkState::cooldown);
}

TEST_CASE("Heartbeat does not count its own side's sends", "[link][heartbeat][unit]") {
    Beating b;
    for (int s = 1; s < 25; ++s) {
        b.rig.run(std::chrono::seconds{s});
        CHECK(b.rig.link.send("x") == SendResult::sent);
        b.transport.link.writable();
    }
    b.rig.run(25s);
    CHECK(b.rig.state() == LinkState::cooldown);
}

TEST_CASE("Heartbeat with a late driver processes queued events before it closes",
          "[link][heartbeat][regression]") {
    TransportState transport;
    Notes notes;
    Supervisor link{Heartbeat{FakeTransport<>{transport}, {.every = 10s, .dead_after = 25s}},
                    doubling(),
                    {.events_per_turn_max = 4},
                    std::ref(notes)};
    link.start();
    link.advance(at(0s));
    transport.link.opened();
    link.advance(at(0s));
    SECTION("a single pong") {
        transport.link.pong();
        link.advance(at(1h));
    }
    SECTION("a pong after more events than one turn handles") {
        for (int i = 0; i < 20; ++i) transport.link.writable();
        transport.link.pong();
        for (int i = 0; i < 20 && link.deadline() <= at(1h); ++i) link.advance(at(1h));
    }
    CHECK(link.status().state == LinkState::connected);
    CHECK(link.deadline() == at(1h + 10s));
}

TEST_CASE("Heartbeat with a late driver closes when no event was queued",
          "[link][heartbeat][unit]") {
    Beating b;
    b.rig.run(20s);
    b.rig.link.advance(at(34s));
    CHECK(b.rig.state() == LinkState::cooldown);
}

TEST_CASE("Heartbeat with a driver that was asleep pings once more before it closes",
          "[link][heartbeat][regression]") {
    Beating b;
    b.rig.run(20s);
    const int pings = b.transport.pings;
    b.rig.run(1h);
    CHECK(b.rig.state() == LinkState::connected);
    CHECK(b.transport.pings == pings + 1);
    SECTION("no answer") {
        b.rig.run(1h + 10s);
        CHECK(b.rig.state() == LinkState::cooldown);
    }
    SECTION("the peer answers") {
        b.transport.link.pong();
        b.rig.run(1h + 9s);
        CHECK(b.rig.state() == LinkState::connected);
    }
}

TEST_CASE("Heartbeat is idle until its connection is open, and starts again with each connection",
          "[link][heartbeat][unit]") {
    Beating b;
    b.rig.run(24s);
    b.transport.link.closed();
    b.rig.run(24s);
    b.rig.run(25s);
    REQUIRE(b.rig.state() == LinkState::connecting);
    // Only the attempt's own limit runs now.
    CHECK(b.rig.link.deadline() == at(55s));
    b.transport.link.opened();
    b.rig.run(26s);
    CHECK(b.rig.link.deadline() == at(36s));  // both: stable after 10 s, ping after 10 s
}

TEST_CASE("Heartbeat inside Heartbeat: both receive the pong", "[link][heartbeat][regression]") {
    TransportState transport;
    LinkRig rig{Heartbeat{Heartbeat{FakeTransport<>{transport}, {.every = 4s, .dead_after = 9s}},
                          {.every = 4s, .dead_after = 9s}}};
    rig.start();
    transport.link.opened();
    for (int s = 0; s < 60; ++s) {
        rig.run(std::chrono::seconds{s});
        transport.link.pong();
    }
    CHECK(rig.state() == LinkState::connected);
}

TEST_CASE("Heartbeat of one lane closes the whole bundle", "[link][heartbeat][unit]") {
    TransportState a, b;
    LinkRig rig{Bundle{Heartbeat{FakeTransport<>{a}, {.every = 10s, .dead_after = 25s}},
                       FakeTransport<>{b}}};
    rig.start();
    a.link.opened();
    b.link.opened();
    rig.run(0s);
    rig.run(20s);
    receive(b.link, "alive");  // the other lane proves nothing about this one
    rig.run(25s);
    CHECK(rig.state() == LinkState::cooldown);
    CHECK(a.live + b.live == 0);
}

TEST_CASE("Heartbeat aborts on an interval of 0", "[link][heartbeat][unit]") {
    TransportState transport;
    const auto text = aborts_with([&] { Heartbeat h(FakeTransport<>{transport}, {.every = 0s}); });
    CHECK(text.find("0ns < every < dead_after must hold") != std::string::npos);
    const std::string both = aborts_with(
        [&] { Heartbeat h(FakeTransport<>{transport}, {.every = 30s, .dead_after = 10s}); });
    CHECK(both.find("every is 30000000000ns, dead_after is 10000000000ns") != std::string::npos);
}

TEST_CASE("Heartbeat::make gives the sentence on wrong options, as check() does",
          "[link][heartbeat][unit]") {
    TransportState transport;
    using Beats = Heartbeat<FakeTransport<>>;
    CHECK(Beats::make(FakeTransport<>{transport}, {.every = 10s, .dead_after = 25s}));
    constexpr HeartbeatOptions wrong{.every = 30s, .dead_after = 10s};
    static_assert(!wrong.check().empty());
    static_assert(HeartbeatOptions{}.check().empty());
    const auto none = Beats::make(FakeTransport<>{transport}, wrong);
    REQUIRE_FALSE(none);
    CHECK(none.error() == wrong.check());
}

TEST_CASE("Supervisor::probe_now reaches each Heartbeat, however deeply it is nested",
          "[link][heartbeat][unit]") {
    constexpr HeartbeatOptions beats{.every = 10s, .dead_after = 25s};
    TransportState a, b, c;
    LinkRig rig{Validated{Bundle{Heartbeat{FakeTransport<>{a}, beats}, FakeTransport<>{b},
                                 Validated{Heartbeat{FakeTransport<>{c}, beats}, Once{}}},
                          Once{}}};
    rig.link.probe_now();  // no connection is open, so nothing happens
    rig.start();
    rig.link.probe_now();
    rig.run(0s);
    CHECK(a.pings + b.pings + c.pings == 0);
    for (TransportState* w : {&a, &b, &c}) w->link.opened();
    rig.run(0s);
    REQUIRE(rig.state() == LinkState::connected);
    a.pings = c.pings = 0;
    rig.link.handle().probe_now(3s);
    rig.run(1s);
    CHECK(a.pings == 1);
    CHECK(b.pings == 0);
    CHECK(c.pings == 1);
    a.link.pong();
    SECTION("all answer") {
        c.link.pong();
        rig.run(1s);
        rig.run(9s);
        CHECK(rig.state() == LinkState::connected);
    }
    SECTION("one does not answer") {
        rig.run(4s);
        CHECK(rig.state() == LinkState::cooldown);
        CHECK(rig.link.status().failure.error() == LinkErrc::heartbeat_lost);
    }
}

TEST_CASE("Heartbeat measures the time from the first ping to its first answer, in its lane",
          "[link][heartbeat][unit]") {
    struct Trips : NoObserver {
        std::vector<std::pair<Duration, Lane>> observed;
        void on_round_trip(Duration d, Lane lane) { observed.emplace_back(d, lane); }
    } trips;
    using Trip = std::pair<Duration, Lane>;
    TransportState a, b;
    LinkRig rig{Bundle{FakeTransport<>{a},
                       Heartbeat{FakeTransport<>{b}, {.every = 10s, .dead_after = 25s}}},
                std::ref(trips)};
    rig.start();
    a.link.opened();
    b.link.opened();
    rig.run(0s);
    rig.link.advance(at(20ms));
    b.link.pong();  // to the ping at the opening
    b.link.pong();  // an answer without a ping
    rig.run(20ms);
    CHECK(std::exchange(trips.observed, {}) == std::vector<Trip>{{20ms, Lane{1}}});
    rig.run(10020ms);
    rig.run(20020ms);
    rig.link.advance(at(20520ms));
    b.link.pong();
    b.link.pong();
    rig.run(20520ms);
    CHECK(trips.observed == std::vector<Trip>{{10500ms, Lane{1}}});
}
