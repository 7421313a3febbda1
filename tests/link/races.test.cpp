// SPDX-License-Identifier: MIT
// Goal: a supervised connection behaves correctly in each known race between timers, commands,
// gates and the peer. Method: scripted transport and time, so that each race runs in its worst
// order.
#include <belay/link/supervisor.hpp>

#include <algorithm>
#include <memory>

#include <belay/breaker/circuit_breaker.hpp>
#include <belay/link/bundle.hpp>
#include <belay/link/heartbeat.hpp>
#include <belay/link/served_link.hpp>
#include <belay/link/validated.hpp>
#include <belay/policy/shared.hpp>

#include "support/aborts.hpp"
#include "support/link/link_rig.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;
using belay_test::FakeTransport;
using belay_test::TransportState;

namespace {

constexpr HeartbeatOptions ten_and_25{.every = 10s, .dead_after = 25s};

/// Records the events of a Heartbeat, and those of any other observer.
struct BeatNotes : Notes {
    std::vector<Duration> trips;
    std::vector<Duration> conflicts;
    void on_round_trip(Duration d, Lane) { trips.push_back(d); }
    void on_policy_conflict(Duration d, Lane) { conflicts.push_back(d); }
};

template <class T>
struct Raced {
    TransportState transport;
    BeatNotes notes;
    LinkRig<T, std::reference_wrapper<BeatNotes>> rig;

    explicit Raced(auto&& make) : rig{make(transport), std::ref(notes)} {}
    void connect() {
        rig.start();
        transport.link.opened();
        rig.run(0s);
        notes.observed.clear();
    }
};
using Beaten = Raced<Heartbeat<FakeTransport<>>>;
constexpr auto beaten = [](TransportState& transport) {
    return Heartbeat{FakeTransport<>{transport}, ten_and_25};
};
using Bare = Raced<FakeTransport<>>;
constexpr auto bare = [](TransportState& transport) { return FakeTransport<>{transport}; };
using AbruptlyClosed = Raced<FakeTransport<false>>;
constexpr auto abrupt = [](TransportState& transport) { return FakeTransport<false>{transport}; };

/// One of the links that share a breaker.
template <class B>
struct Waiter {
    using Rules = decltype(Policy{Shared{std::declval<B&>()}});
    TransportState transport;
    Supervisor<FakeTransport<>, Rules> link;
    explicit Waiter(B& breaker) : link{FakeTransport<>{transport}, Policy{Shared{breaker}}} {}
};

template <class T, class O>
bool reports_down(LinkRig<T, O>& rig) {
    return rig.link.send("x") == SendResult::down;
}

}  // namespace

// ---- time ---------------------------------------------------------------------------------------

TEST_CASE("A timer that is hours late causes one dial, and a probe first", "[link][race]") {
    SECTION("cooldown") {
        Bare b{bare};
        b.rig.start();
        b.transport.link.closed();
        b.rig.run(0s);
        REQUIRE(b.rig.state() == LinkState::cooldown);
        const int dials = b.transport.dials;
        b.rig.run(5h);
        b.rig.run(5h + 30s);
        CHECK(b.transport.dials == dials + 1);
    }
    SECTION("heartbeat") {
        Beaten b{beaten};
        b.connect();
        b.rig.run(20s);
        const int pings = b.transport.pings;
        b.rig.run(5h);
        CHECK(b.rig.state() == LinkState::connected);
        CHECK(b.transport.pings == pings + 1);
        // One ping: the silence then ends the connection after 5 s, and not after another
        // `dead_after`.
        CHECK(b.rig.link.deadline() == at(5h + 5s));
        b.rig.run(5h + 5s);
        CHECK(b.rig.state() == LinkState::cooldown);
        CHECK(b.rig.link.status().failure.error() == LinkErrc::heartbeat_lost);
    }
}

TEST_CASE("A clock that steps back changes nothing", "[link][race]") {
    Beaten b{beaten};
    b.connect();
    b.rig.link.advance(at(9s));
    const Instant due = b.rig.link.deadline();
    b.rig.link.advance(at(-24h));
    b.rig.link.advance(at(0s));
    CHECK(b.rig.link.deadline() == due);
    CHECK(b.rig.link.now() == at(9s));
    CHECK(b.transport.pings == 1);  // the one at the opening
    CHECK(b.rig.state() == LinkState::connected);
}

TEST_CASE("After eight hours of sleep the connection is suspect, and is probed", "[link][race]") {
    Beaten b{beaten};
    b.connect();
    b.transport.link.pong();
    b.rig.run(10s);
    b.rig.run(8h);
    REQUIRE(b.rig.state() == LinkState::connected);
    SECTION("it answers in time, and stays") {
        b.transport.link.pong();
        b.rig.run(8h + 4s);
        b.rig.run(8h + 6s);
        CHECK(b.rig.state() == LinkState::connected);
        CHECK(b.notes.observed.empty());
    }
    SECTION("it does not answer and was stable: it is lost, without counting an attempt") {
        b.rig.run(8h + 5s);
        CHECK(b.rig.state() == LinkState::cooldown);
        CHECK(b.rig.link.status().attempt == 0);
    }
    SECTION("the owner may call probe_now with a shorter limit") {
        b.transport.link.pong();
        b.rig.run(8h);
        const int pings = b.transport.pings;
        SECTION("from the same thread") { b.rig.link.probe_now(2s); }
        SECTION("from another thread") { b.rig.link.handle().probe_now(2s); }
        b.rig.run(8h);
        CHECK(b.transport.pings == pings + 1);
        b.rig.run(8h + 1999ms);
        CHECK(b.rig.state() == LinkState::connected);
        b.rig.run(8h + 2s);
        CHECK(b.rig.state() == LinkState::cooldown);
    }
}

TEST_CASE("A supervisor whose wait ended during a sleep does not dial at the moment of waking",
          "[link][race]") {
    std::vector<Duration> waits;
    for (std::uint64_t seed = 1; seed <= 100; ++seed) {
        timeline::SupervisorCore core{doubling()};
        Random bits{Seed{seed}};
        Turn turn{at(1s), bits};
        core.step({.input = timeline::Input::start}, turn);
        core.step({.input = timeline::Input::closed, .failure = lost}, turn);
        turn.now = at(8h);
        CHECK_FALSE(core.step({}, turn).dial);
        REQUIRE(core.status().state == LinkState::cooldown);
        waits.push_back(elapsed(turn.now, core.deadline()));
        turn.now = core.deadline();
        CHECK(core.step({}, turn).dial);
    }
    CHECK(*std::max_element(waits.begin(), waits.end()) <= 1s);
    CHECK(*std::max_element(waits.begin(), waits.end()) > 800ms);
    CHECK(*std::min_element(waits.begin(), waits.end()) < 200ms);
}

// ---- gates --------------------------------------------------------------------------------------

TEST_CASE("A gate that shuts and opens within its grace closes no connection", "[link][race]") {
    Bare b{bare};
    b.connect();
    SECTION("in one turn") {
        b.rig.link.shut(Gate::hidden, 5s);
        b.rig.link.open(Gate::hidden);
        b.rig.run(0s);
        b.rig.run(1h);
        CHECK(b.notes.observed.empty());
    }
    SECTION("later, many times") {
        for (int i = 0; i < 20; ++i) {
            b.rig.link.handle().shut(Gate::hidden, 5s);
            b.rig.run(10s * i);
            b.rig.link.handle().open(Gate::hidden);
            b.rig.run(10s * i + 4999ms);
        }
        b.rig.run(1h);
        CHECK(b.notes.observed.empty());
        CHECK(b.transport.dials == 1);
    }
    SECTION("at the last moment, although the driver was late") {
        b.rig.link.shut(Gate::hidden, 5s);
        b.rig.run(0s);
        b.rig.link.open(Gate::hidden);
        b.rig.run(7s);
        CHECK(b.notes.observed.empty());
    }
    SECTION("two of them, in one turn of a late driver") {
        b.rig.link.shut(Gate::hidden, 5s);
        b.rig.link.shut(Gate::network, 3s);
        b.rig.run(0s);
        b.rig.link.open(Gate::network);
        b.rig.link.open(Gate::hidden);
        b.rig.run(7s);
        CHECK(b.notes.observed.empty());
    }
    SECTION("it stays shut: closes once, when the grace is over, and not earlier") {
        b.rig.link.shut(Gate::hidden, 5s);
        b.rig.run(0s);
        // A second shut() does not restart the grace.
        b.rig.link.shut(Gate::hidden, 5s);
        b.rig.run(4999ms);
        CHECK(b.notes.observed.empty());
        CHECK(b.rig.link.deadline() == at(5s));
        b.rig.run(5s);
        CHECK(b.notes.observed == Observed{"offline"});
        CHECK(b.rig.link.core().deadline() == never);
    }
    SECTION("a grace that is withdrawn acts at once") {
        b.rig.link.shut(Gate::hidden, 5s);
        b.rig.run(1s);
        b.rig.link.shut(Gate::hidden);
        b.rig.run(1s);
        CHECK(b.notes.observed == Observed{"offline"});
    }
    SECTION("the grace of one gate does not apply to another") {
        b.rig.link.shut(Gate::network, 2s);
        b.rig.link.shut(Gate::hidden, 5s);
        b.rig.run(1s);
        b.rig.link.open(Gate::network);
        b.rig.run(4s);
        CHECK(b.notes.observed.empty());
        b.rig.link.shut(Gate::network);
        b.rig.run(4s);
        CHECK(b.notes.observed == Observed{"offline"});
        b.rig.link.open(Gate::network);
        b.rig.run(4500ms);
        b.rig.run(7s);
        // The grace of Gate::hidden ended 5 s after its shut.
        CHECK(b.rig.state() == LinkState::offline);
        b.rig.link.open(Gate::hidden);
        b.rig.run(7s);
        CHECK(b.rig.state() != LinkState::offline);
    }
    SECTION("without a grace one shut closes once") {
        b.rig.link.shut(Gate::hidden);
        b.rig.link.open(Gate::hidden);
        b.rig.run(0s);
        CHECK(b.notes.observed.size() >= 2);
        CHECK(std::count(b.notes.observed.begin(), b.notes.observed.end(), "offline") == 1);
    }
}

// ---- credentials, breaker -----------------------------------------------------------------------

TEST_CASE("New credentials end an open connection only with SupervisorCoreOptions::recycle",
          "[link][race]") {
    const bool recycle = GENERATE(false, true);
    TransportState transport;
    Notes notes;
    SupervisorOptions options;
    options.core.recycle = recycle;
    Supervisor link{FakeTransport<>{transport}, doubling(), options, std::ref(notes)};
    const auto run = [&](Duration now) {
        for (int i = 0; i < 100 && link.deadline() <= at(now); ++i) link.advance(at(now));
    };
    link.start();
    run(0s);
    SECTION("while connected") {
        transport.link.opened();
        run(1s);
        link.handle().credentials();
        run(1s);
    }
    SECTION("while it is being opened: the attempt continues first") {
        link.handle().credentials();
        run(1s);
        CHECK(link.status().state == LinkState::connecting);
        transport.link.opened();
        run(1s);
    }
    CHECK(transport.dials == 1);
    if (!recycle) {
        CHECK(notes.observed == Observed{"connecting", "connected"});
        return;
    }
    // The supervisor decides the end: a graceful close, then a random wait, and no failed attempt.
    CHECK(notes.observed == Observed{"connecting", "connected", "cooldown"});
    CHECK(transport.log == std::vector<std::string>{"open", "close"});
    CHECK(link.status().withdrawn);
    CHECK(link.status().failure.cause == Cause::none);
    CHECK(link.status().attempt == 0);
    CHECK(link.status().retry_at <= at(2s));
    run(2s);
    CHECK(transport.dials == 2);
    transport.link.opened();
    run(2s);
    run(1h);
    CHECK(link.status().state == LinkState::connected);
    CHECK(transport.dials == 2);
}

TEST_CASE("Many supervisors that wait for a breaker make one dial, and the others continue to wait",
          "[link][race]") {
    CircuitBreaker breaker{ConsecutiveFailures{1}, OpenFor{10s}};
    Random bits{Seed{1}};
    Turn turn{at(0s), bits};
    static_cast<void>(breaker.acquire(turn).failure(turn));
    using One = Waiter<decltype(breaker)>;
    std::vector<std::unique_ptr<One>> all;
    for (int i = 0; i < 5; ++i) all.push_back(std::make_unique<One>(breaker));
    const auto run = [&](Duration now) {
        for (auto& one : all) {
            for (int i = 0; i < 10 && one->link.deadline() <= at(now); ++i)
                one->link.advance(at(now));
        }
    };
    const auto dials = [&] {
        int n = 0;
        for (auto& one : all) n += one->transport.dials;
        return n;
    };
    for (auto& one : all) one->link.start();
    run(0s);
    CHECK(dials() == 0);
    // Each waits for the breaker, and then for a random part of at most its open wait.
    Duration now = 10s;
    for (; dials() == 0 && now < 20s; now += 10ms) run(now);
    REQUIRE(dials() == 1);
    run(now);
    for (auto& one : all) {
        if (one->transport.dials != 0) continue;
        CHECK(one->link.status().state == LinkState::suspended);
        CHECK(one->link.deadline() > at(now));
        CHECK(one->link.deadline() != never);
    }
    // The supervisor with the permit is destroyed: the permit is free, and the next one gets it.
    const auto first = std::find_if(all.begin(), all.end(),
                                    [](const auto& one) { return one->transport.dials != 0; });
    all.erase(first);
    for (; now <= 32s; now += 10ms) run(now);
    CHECK(dials() == 1);
}

// ---- the end ------------------------------------------------------------------------------------

TEST_CASE("Supervisor::drain ends in stopped, and delivers messages that arrive meanwhile",
          "[link][race]") {
    Bare b{bare};
    b.connect();
    REQUIRE(b.rig.link.send("last word") == SendResult::sent);
    static_cast<void>(b.rig.link.handle().post("posted before", 0));
    b.rig.link.drain(5s);
    b.rig.run(0s);
    CHECK(b.transport.sent == std::vector<std::string>{"last word", "posted before"});
    CHECK(b.notes.observed == Observed{"draining"});
    CHECK(b.transport.log == std::vector<std::string>{"open", "close"});
    CHECK(reports_down(b.rig));
    // Messages that the peer sends during the drain are still delivered.
    receive(b.transport.link, "answer");
    b.rig.run(1s);
    CHECK(b.notes.observed == Observed{"draining", "message answer on 0"});
    b.notes.observed.clear();
    SECTION("everything is sent") {
        b.transport.link.closed(Failure{.cause = Cause::planned});
        b.rig.run(1s);
        CHECK(b.rig.link.status().failure.cause == Cause::none);
    }
    SECTION("the peer closes: no cooldown follows") {
        b.transport.link.closed(Failure{.cause = Cause::overloaded, .retry_after = 5s});
        b.rig.run(1s);
        CHECK(b.rig.link.status().failure.cause == Cause::overloaded);
    }
    SECTION("the time is over") {
        b.rig.run(4999ms);
        CHECK(b.notes.observed.empty());
        b.rig.run(5s);
        CHECK(b.rig.link.status().failure.error() == LinkErrc::not_drained);
    }
    SECTION("drain() again, with less time") {
        b.rig.link.drain(1s);
        b.rig.run(1s);
        b.rig.link.drain(1h);
        b.rig.run(2s);
    }
    SECTION("stop() ends it") { b.rig.link.stop(); }
    SECTION("commands that would reconnect have no effect") {
        b.rig.link.start();
        b.rig.link.reconnect_now(true);
        b.rig.link.credentials();
        b.rig.link.shut(Gate::hidden);
        b.rig.link.open(Gate::hidden);
        b.rig.run(2s);
        CHECK(b.rig.state() == LinkState::draining);
        b.rig.run(5s);
    }
    CHECK(b.notes.observed == Observed{"stopped"});
    CHECK(b.transport.live == 0);
    b.rig.run(1h);
    CHECK(b.transport.dials == 1);
    b.notes.observed.clear();
    b.rig.start(1h);
    CHECK(b.notes.observed == Observed{"connecting"});
}

TEST_CASE("Supervisor::report_unhealthy during a drain does not close a second time",
          "[link][race]") {
    Bare b{bare};
    b.connect();
    b.rig.link.drain(5s);
    b.rig.link.report_unhealthy();  // it was still connected
    b.rig.run(0s);
    CHECK(b.notes.observed == Observed{"draining", "stopped"});
    CHECK(b.rig.link.status().failure.error() == LinkErrc::reported_unhealthy);
    // The bytes that were sent are still written, as after stop().
    CHECK(b.transport.log == std::vector<std::string>{"open", "close"});
    b.rig.run(2s);
    CHECK(b.transport.log == std::vector<std::string>{"open", "close", "destroy"});
    CHECK(b.rig.state() == LinkState::stopped);
}

TEST_CASE("Supervisor::drain with nothing to wait for ends at once", "[link][race]") {
    SECTION("the connection has no graceful close: its messages were passed to the kernel") {
        AbruptlyClosed b{abrupt};
        b.connect();
        b.rig.link.drain(5s);
        b.rig.run(0s);
        CHECK(b.notes.observed == Observed{"draining", "stopped"});
        CHECK(b.rig.link.status().failure.cause == Cause::none);
        CHECK(b.transport.live == 0);
    }
    SECTION("it is not connected") {
        Bare b{bare};
        b.rig.start();
        b.rig.link.drain(5s);
        b.rig.run(0s);
        CHECK(b.notes.observed == Observed{"connecting", "stopped"});
    }
}

TEST_CASE("A frozen peer does not delay a drain for longer than its heartbeat", "[link][race]") {
    Beaten b{beaten};
    b.connect();
    b.rig.link.drain(10min);
    b.rig.run(0s);
    b.rig.run(10s);
    b.rig.run(20s);
    b.rig.run(25s);
    CHECK(b.rig.state() == LinkState::stopped);
    CHECK(b.rig.link.status().failure.error() == LinkErrc::heartbeat_lost);
}

// ---- too many pings -----------------------------------------------------------------------------

TEST_CASE(
    "A Heartbeat pings half as often after a close with too_many_pings, in all later connections",
    "[link][race]") {
    Beaten b{beaten};
    b.rig.start();
    Duration now{};
    const auto opens = [&] {
        b.transport.link.opened();
        b.rig.run(now);
    };
    const auto penalty = [&] {
        b.transport.link.closed(failure_of(LinkErrc::too_many_pings));
        b.rig.run(now);
        now += 9s;
        b.rig.run(now);
        REQUIRE(b.rig.state() == LinkState::connecting);
    };
    /// Returns when a silent connection is pinged, and when it ends.
    const auto silent = [&] {
        const int pings = b.transport.pings;
        std::vector<Duration> out;
        for (Duration t{}; b.rig.state() == LinkState::connected && t < 3h; t += 1s) {
            const int before = b.transport.pings;
            b.rig.run(now + t);
            if (b.transport.pings != before) out.push_back(t);
            if (b.rig.state() != LinkState::connected) out.push_back(t);
        }
        CHECK(b.transport.pings > pings);
        return out;
    };
    opens();
    penalty();
    opens();
    CHECK(b.notes.conflicts.empty());  // 20 s, and 5 s for an answer, are within the 25 s
    penalty();
    opens();
    CHECK(b.notes.conflicts == std::vector<Duration>{45s});
    CHECK(silent() == std::vector<Duration>{40s, 45s});
    now += 45s + 9s;
    b.rig.run(now);
    REQUIRE(b.rig.state() == LinkState::connecting);
    for (int i = 0; i < 40; ++i) penalty();
    opens();
    // The interval is at most an hour, so that a half-open connection is detected at some time.
    CHECK(silent() == std::vector<Duration>{1h, 1h + 5s});
    // The hook is called once for each connection in which the interval has grown.
    CHECK(b.notes.conflicts.size() == 2);
    CHECK(b.notes.conflicts.back() == 1h + 5s);
}

TEST_CASE("Other overload failures do not change the ping interval", "[link][race]") {
    Beaten b{beaten};
    b.connect();
    b.transport.link.closed(Failure{.cause = Cause::overloaded});
    b.rig.run(0s);
    b.rig.run(1s);
    b.transport.link.opened();
    b.rig.run(1s);
    b.transport.pings = 0;
    b.rig.run(11s);
    CHECK(b.transport.pings == 1);
}

TEST_CASE("probe_now with a time that has passed does nothing", "[link][race]") {
    Beaten b{beaten};
    b.connect();
    b.transport.link.pong();
    b.rig.run(0s);
    const int pings = b.transport.pings;
    const Instant due = b.rig.link.deadline();
    const Duration rest = GENERATE(as<Duration>{}, 0s, -1ns, Duration::min());
    SECTION("from the same thread") { b.rig.link.probe_now(rest); }
    SECTION("from another thread") {
        CHECK(b.rig.link.handle().probe_now(rest) == driver::Post::taken);
    }
    b.rig.run(0s);
    CHECK(b.transport.pings == pings);
    CHECK(b.rig.state() == LinkState::connected);
    CHECK(b.rig.link.deadline() == due);
}

TEST_CASE("drain and shut with a time that has passed take effect at once", "[link][race]") {
    Beaten b{beaten};
    b.connect();
    const Duration rest = GENERATE(as<Duration>{}, -1ns, Duration::min());
    SECTION("drain") {
        b.rig.link.drain(rest);
        b.rig.run(0s);
        CHECK(b.rig.state() == LinkState::stopped);
    }
    SECTION("drain of another thread") {
        CHECK(b.rig.link.handle().drain(rest) == driver::Post::taken);
        b.rig.run(0s);
        CHECK(b.rig.state() == LinkState::stopped);
    }
    SECTION("shut") {
        b.rig.link.shut(Gate::hidden, rest);
        b.rig.run(0s);
        CHECK(b.rig.state() == LinkState::offline);
    }
    SECTION("shut of another thread") {
        CHECK(b.rig.link.handle().shut(Gate::hidden, rest) == driver::Post::taken);
        b.rig.run(0s);
        CHECK(b.rig.state() == LinkState::offline);
    }
}
