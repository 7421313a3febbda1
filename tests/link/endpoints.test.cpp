// SPDX-License-Identifier: MIT
// Goal: each failure leads to the next endpoint, and the end of a stable connection to the first
// one. An end that this side decides leads to the same endpoint. The policy decides the waits. In a
// bundle all pairs of endpoints are tried. A list can be replaced. Method: scripted transports.
#include <belay/link/endpoints.hpp>

#include <algorithm>
#include <memory>
#include <set>
#include <utility>

#include <belay/link/bundle.hpp>
#include <belay/link/heartbeat.hpp>
#include <belay/link/validated.hpp>
#include <belay/link/with_token.hpp>
#include <belay/policy/rules.hpp>

#include "support/aborts.hpp"
#include "support/link/link_archetypes.hpp"
#include "support/link/link_rig.hpp"
#include "support/seeds.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

/// A transport to any of several endpoints, which all share one TransportState.
struct Dialler {
    using message_type = std::string;
    TransportState* transport;
    std::vector<std::string>* dialled;
    FakeConnection<true> open(const Link<std::string>& link, const std::string& place) {
        dialled->push_back(place);
        return {*transport, link};
    }
    FakeConnection<true> open(const Link<std::string>& link, const std::string& place,
                              const int& token) {
        dialled->push_back(place + "/" + std::to_string(token));
        return {*transport, link};
    }
};

struct Greeted {
    Failure why{};
    Verdict begin(const auto&) { return Verdict::pending(); }
    Verdict judge(const std::string&, const auto&) { return Verdict::rejected(why); }
};

struct Sevens {
    using token_type = int;
    void operator()(Completion<int> done) const { done(7); }
};

/// A source that returns a token only while `has` is true.
struct IntermittentSource {
    using token_type = int;
    const bool* has;
    void operator()(Completion<int> done) const {
        if (*has) done(7);
    }
};

const std::vector<std::string> abc{"a", "b", "c"};

struct EndpointsRig {
    TransportState transport;
    std::vector<std::string> dialled;
    LinkRig<Endpoints<Dialler, std::string>> rig{Endpoints{Dialler{&transport, &dialled}, abc}};

    /// The attempt, or the connection, fails at `now`, and the next attempt is made.
    void fail(Duration now, const Failure& why = {}) {
        transport.link.closed(why);
        rig.run(now);
        wait();
    }
    /// The attempt fails, and no other one follows.
    void end(const Failure& why) {
        transport.link.closed(why);
        rig.run(now());
        REQUIRE(rig.link.status().retry_at == never);
    }
    /// Runs until the next attempt.
    void wait() { rig.run(elapsed(Instant{}, rig.link.status().retry_at)); }
    [[nodiscard]] Duration now() const { return elapsed(Instant{}, rig.link.now()); }
};

using Places = std::vector<std::string>;

}  // namespace

TEST_CASE("Endpoints moves to the next endpoint at each failure, and starts over after the last",
          "[link][endpoints][unit]") {
    EndpointsRig r;
    r.rig.start();
    for (int i = 0; i < 4; ++i) r.fail(r.now());
    CHECK(r.dialled == Places{"a", "b", "c", "a", "b"});
    // The waits are the policy's, also within a round: 1, 2, 4 and 8 s.
    CHECK(r.now() == 15s);
    CHECK(r.rig.link.transport().place() == 1);
}

TEST_CASE("Endpoints: a wait that one endpoint requests holds for all", "[link][endpoints][unit]") {
    EndpointsRig r;
    r.rig.start();
    r.fail(0s, {.cause = Cause::overloaded, .retry_after = 1min});
    CHECK(r.now() == 1min);
    r.fail(r.now(), {.cause = Cause::overloaded, .retry_after = 24h});
    CHECK(r.now() == 1h + 1min);
    CHECK(r.dialled == Places{"a", "b", "c"});
}

TEST_CASE("Endpoints returns to the first endpoint when a stable connection closes",
          "[link][endpoints][unit]") {
    EndpointsRig r;
    r.rig.start();
    r.fail(0s);
    REQUIRE(r.dialled == Places{"a", "b"});
    r.transport.link.opened();
    r.transport.link.pong();
    r.rig.run(1s);
    REQUIRE(r.rig.state() == LinkState::connected);
    SECTION("stable: stays until the connection closes, then the first endpoint") {
        r.rig.run(24h);
        CHECK(r.dialled.size() == 2);
        r.fail(24h);
        CHECK(r.dialled == Places{"a", "b", "a"});
    }
    SECTION("not stable: a failure as any other") {
        r.fail(10s);
        CHECK(r.dialled == Places{"a", "b", "c"});
    }
    SECTION("stable by timestamps, where the driver is late") {
        r.transport.link.closed();
        r.rig.run(11s);
        r.rig.run(12s);
        CHECK(r.dialled == Places{"a", "b", "a"});
    }
}

TEST_CASE("Endpoints moves on after a hanging dial, a lost heartbeat and a failed check",
          "[link][endpoints][unit]") {
    TransportState transport;
    std::vector<std::string> dialled;
    SECTION("a dial that hangs") {
        LinkRig rig{Endpoints{Dialler{&transport, &dialled}, abc}};
        rig.start();
        rig.run(30s);
        rig.run(31s);
    }
    SECTION("a server that accepts and then sends nothing") {
        LinkRig rig{Heartbeat{Endpoints{Dialler{&transport, &dialled}, abc},
                              {.every = 2s, .dead_after = 5s}}};
        rig.start();
        transport.link.opened();
        rig.run(1s);
        REQUIRE(rig.state() == LinkState::connected);
        for (Duration t = 1s; t <= 8s; t += 1s) rig.run(t);
    }
    SECTION("a server that sends a wrong greeting") {
        LinkRig rig{Validated{Endpoints{Dialler{&transport, &dialled}, abc}, Greeted{}}};
        rig.start();
        transport.link.opened();
        receive(transport.link, "go away");
        rig.run(0s);
        rig.run(1s);
    }
    CHECK(dialled == Places{"a", "b"});
}

TEST_CASE("Endpoints stays at its endpoint after a close that is no failure of the endpoint",
          "[link][endpoints][unit]") {
    EndpointsRig r;
    r.rig.start();
    r.fail(0s);
    SECTION("a gate that shuts during the dial") {
        r.rig.link.shut(Gate::network);
        r.rig.run(1s);
        r.rig.link.open(Gate::network);
        r.rig.run(1s);
        r.wait();
    }
    SECTION("a drain and a new start") {
        r.transport.link.opened();
        r.rig.run(1s);
        CHECK(r.rig.link.reconnect_now(true).granted);
        r.rig.run(1s);
    }
    SECTION("a manual reconnect") {
        r.transport.link.opened();
        r.rig.run(1s);
        CHECK(r.rig.link.reconnect_now().granted);
        r.rig.run(1s);
    }
    CHECK(r.dialled == Places{"a", "b", "b"});
}

TEST_CASE("Endpoints moves on after a failure that is withdrawn, as a fleet does in an outage",
          "[link][endpoints][regression]") {
    const Failure silent = failure_of(LinkErrc::attempt_timed_out);
    EndpointsRig r;
    r.rig.start();
    const auto withdraw = [&r](const Failure& failure) {
        r.transport.link.withdraw(failure);
        r.rig.run(r.now());
        r.wait();
    };
    const auto connect = [&r] {
        r.transport.link.opened();
        r.transport.link.pong();
        r.rig.run(r.now());
        REQUIRE(r.rig.state() == LinkState::connected);
    };
    SECTION("at each dial, although the policy counts no failure") {
        for (int i = 0; i < 3; ++i) withdraw(silent);
        CHECK(r.rig.link.status().attempt == 1);
        CHECK(r.dialled == Places{"a", "b", "c", "a"});
    }
    SECTION("and between failures that count") {
        r.fail(r.now());
        withdraw(silent);
        r.fail(r.now());
        CHECK(r.rig.link.status().attempt == 3);
        CHECK(r.dialled == Places{"a", "b", "c", "a"});
    }
    SECTION("a connection that was not stable") {
        connect();
        withdraw(silent);
        CHECK(r.dialled == Places{"a", "b"});
    }
    SECTION("a gate that shuts after it changes nothing") {
        r.transport.link.withdraw(silent);
        r.rig.run(r.now());
        r.rig.link.shut(Gate::network);
        r.rig.run(r.now());
        r.rig.link.open(Gate::network);
        r.rig.run(r.now());
        r.wait();
        CHECK(r.dialled == Places{"a", "b"});
    }
    SECTION("no failure: stays at its endpoint") {
        withdraw({});
        CHECK(r.dialled == Places{"a", "a"});
    }
    SECTION("a stable connection: the first endpoint is next") {
        withdraw(silent);
        connect();
        r.rig.run(r.now() + 1h);
        withdraw(silent);
        CHECK(r.dialled == Places{"a", "b", "a"});
        withdraw(silent);
        CHECK(r.dialled == Places{"a", "b", "a", "b"});
    }
    SECTION("a start: the first endpoint is next") {
        r.transport.link.withdraw(silent);
        r.rig.run(r.now());
        r.rig.link.stop();
        r.rig.start(r.now() + 1s);
        CHECK(r.dialled == Places{"a", "a"});
    }
}

TEST_CASE("Endpoints starts with the first endpoint although a withdrawn failure has ended the run",
          "[link][endpoints][regression]") {
    TransportState transport;
    std::vector<std::string> dialled;
    Supervisor link{Endpoints{Dialler{&transport, &dialled}, abc},
                    Policy{Backoff{NoJitter{}, Cap{8s}, 1s}, MaxElapsed{10s}}};
    const auto run = [&link](Duration now) {
        while (link.deadline() <= at(now)) link.advance(at(now));
    };
    link.start();
    run(0s);
    transport.link.closed();
    run(0s);
    run(1s);
    REQUIRE(dialled == Places{"a", "b"});
    transport.link.withdraw(failure_of(LinkErrc::attempt_timed_out));
    run(11s);
    REQUIRE(link.status().state == LinkState::failed);
    CHECK(link.reconnect_now().granted);
    run(20s);
    CHECK(dialled == Places{"a", "b", "a"});
}

TEST_CASE("Endpoints starts with the first endpoint after a start", "[link][endpoints][unit]") {
    EndpointsRig r;
    r.rig.start();
    r.fail(0s);
    r.rig.link.stop();
    r.rig.start(2s);
    CHECK(r.dialled == Places{"a", "b", "a"});
}

TEST_CASE("Endpoints and WithToken nest either way", "[link][endpoints][unit]") {
    TransportState transport;
    std::vector<std::string> dialled;
    SECTION("the token inside") {
        LinkRig rig{Endpoints{WithToken{Dialler{&transport, &dialled}, Sevens{}}, abc}};
        rig.start();
        transport.link.closed();
        rig.run(0s);
        rig.run(1s);
        transport.link.opened();
        rig.run(1s);
        receive(transport.link, "m");
        rig.run(1s);
        CHECK(rig.notes.observed.back() == "message m on 0");
    }
    SECTION("the endpoint inside") {
        LinkRig rig{WithToken{Endpoints{Dialler{&transport, &dialled}, abc}, Sevens{}}};
        rig.start();
        transport.link.closed();
        rig.run(0s);
        rig.run(1s);
        transport.link.opened();
        rig.run(1s);
        CHECK(rig.link.send("m") == SendResult::sent);
    }
    CHECK(dialled == Places{"a/7", "b/7"});
}

TEST_CASE("Endpoints starts at the first endpoint although a rejected token used the first attempt",
          "[link][endpoints][regression]") {
    TransportState transport;
    std::vector<std::string> dialled;
    bool has_token = true;
    LinkRig rig{
        WithToken{Endpoints{Dialler{&transport, &dialled}, abc}, IntermittentSource{&has_token}}};
    const auto now = [&] { return elapsed(Instant{}, rig.link.now()); };
    const auto next = [&] {
        rig.run(now());
        REQUIRE(rig.state() == LinkState::cooldown);
        rig.run(elapsed(Instant{}, rig.link.status().retry_at));
    };
    rig.start();
    // The number of failures selects the endpoint of the stable connection: the first, second or
    // third.
    const int failures = GENERATE(0, 1, 2);
    CAPTURE(failures);
    for (int i = 0; i < failures; ++i) {
        transport.link.closed();
        next();
    }
    transport.link.opened();
    transport.link.pong();
    SECTION("stable") {
        rig.run(now());
        rig.run(now() + 1h);
        transport.link.closed();
    }
    SECTION("stable by timestamps, where the driver is late") {
        rig.run(now());
        transport.link.closed();
        rig.run(now() + 1h);
    }
    SECTION("stopped, and started again") {
        rig.run(now());
        rig.link.stop();
        has_token = false;
        rig.start(now() + 1s);
    }
    SECTION("stopped by a rule, and started again by a command") {
        rig.link.report_unhealthy({.cause = Cause::permanent});
        rig.run(now());
        REQUIRE(rig.state() == LinkState::failed);
        has_token = false;
        CHECK(rig.link.reconnect_now().granted);
    }
    has_token = false;
    rig.run(now());
    if (rig.link.status().attempt == 0) next();
    REQUIRE(rig.link.status().failure.error() == LinkErrc::no_token);
    has_token = true;
    next();
    REQUIRE(rig.link.status().attempt == 2);
    CHECK(dialled.back() == "a/7");
    // The next failure leads to the second endpoint.
    transport.link.closed();
    next();
    CHECK(dialled.back() == "b/7");
}

TEST_CASE("Endpoints in shuffled order differ by the machine's seed, and keep their order",
          "[link][endpoints][unit]") {
    std::set<std::vector<std::string>> orders;
    for_each_seed(
        [&](Seed seed) {
            TransportState transport;
            std::vector<std::string> dialled;
            LinkRig rig{Endpoints{
                Dialler{&transport, &dialled}, abc, {.order = EndpointsOptions::shuffled}}};
            rig.link.attach(Waker{driver::WakeHandle{}, seed});
            rig.start();
            for (int i = 0; i < 5; ++i) {
                transport.link.closed();
                const Duration now = elapsed(Instant{}, rig.link.now());
                rig.run(now);
                rig.run(elapsed(Instant{}, rig.link.status().retry_at));
            }
            const Places first{dialled.begin(), dialled.begin() + 3};
            CHECK(Places{dialled.begin() + 3, dialled.end()} == first);
            CHECK(std::is_permutation(first.begin(), first.end(), abc.begin()));
            CHECK(rig.link.transport().endpoints() == first);
            orders.insert(first);
        },
        200);
    CHECK(orders.size() == 6);
}

TEST_CASE("Endpoints in a bundle move independently, and all pairs are tried",
          "[link][endpoints][unit]") {
    // In each of two lists of two endpoints, one endpoint is down: it fails at once, or hangs. If
    // both lists moved together, only (a1, b1) and (a2, b2) would ever be tried.
    const bool hangs = GENERATE(false, true);
    CAPTURE(hangs);
    for_each_seed(
        [&](Seed seed) {
            TransportState transports[2];
            std::vector<std::string> dialled[2];
            LinkRig rig{
                Bundle{Endpoints{Dialler{&transports[0], &dialled[0]}, Places{"down", "up"}},
                       Endpoints{Dialler{&transports[1], &dialled[1]}, Places{"up", "down"}}}};
            rig.link.attach(Waker{driver::WakeHandle{}, seed});
            rig.start();
            int attempts = 1;
            while (rig.state() != LinkState::connected && attempts < 60) {
                for (int i = 0; i < 2; ++i) {
                    if (dialled[i].back() == "up") {
                        transports[i].link.opened();
                    } else if (!hangs) {
                        transports[i].link.closed();
                    }
                }
                Duration now = elapsed(Instant{}, rig.link.now());
                rig.run(now);
                if (rig.state() == LinkState::connected) break;
                if (hangs) rig.run(now += 30s);
                rig.run(elapsed(Instant{}, rig.link.status().retry_at));
                ++attempts;
            }
            CHECK(rig.state() == LinkState::connected);
            // A list whose own dial failed moves at once.
            if (!hangs) CHECK(attempts <= 20);
        },
        200);
}

TEST_CASE("Endpoints in a bundle: the end of a graceful close is no failure of an endpoint",
          "[link][endpoints][unit]") {
    // A check rejects every peer, so all pairs of endpoints must be tried.
    TransportState transports[2];
    std::vector<std::string> dialled[2];
    LinkRig rig{Validated{Bundle{Endpoints{Dialler{&transports[0], &dialled[0]}, Places{"a", "b"}},
                                 Endpoints{Dialler{&transports[1], &dialled[1]}, Places{"c", "d"}}},
                          Greeted{}}};
    rig.link.attach(Waker{driver::WakeHandle{}, Seed{1}});
    rig.start();
    std::set<std::string> pairs;
    for (int attempt = 0; attempt < 60; ++attempt) {
        pairs.insert(dialled[0].back() + dialled[1].back());
        for (TransportState& transport : transports) transport.link.opened();
        receive(transports[0].link, "go away");
        const Duration now = elapsed(Instant{}, rig.link.now());
        rig.run(now);
        // Both close gracefully, and have done so before the next attempt.
        for (TransportState& transport : transports)
            transport.link.closed({.cause = Cause::planned});
        rig.run(now);
        rig.run(elapsed(Instant{}, rig.link.status().retry_at));
    }
    CHECK(pairs == std::set<std::string>{"ac", "ad", "bc", "bd"});
}

TEST_CASE("Endpoints adds no optional member, and removes none", "[link][endpoints][unit]") {
    using OverFull = part::ConnectionOf<Endpoints<Dialler, std::string>>;
    static_assert(detail::HasClose<OverFull> && detail::HasPing<OverFull> &&
                  detail::HasResumeReading<OverFull> && detail::HasLimitMessages<OverFull>);
    struct Bare {
        using message_type = std::string;
        FakeConnection<false> open(const Link<std::string>&, const int&);
    };
    using OfBare = part::ConnectionOf<Endpoints<Bare, int>>;
    static_assert(!detail::HasClose<OfBare> && !detail::HasPing<OfBare> &&
                  !detail::HasResumeReading<OfBare> && !detail::HasLimitMessages<OfBare>);
    static_assert(TransportLike<Endpoints<Bare, int>>);
}

TEST_CASE("Endpoints passes the endpoint to a decorator that opens a tunnel to it",
          "[link][endpoints][unit]") {
    struct Proxy {
        using message_type = std::string;
        FakeConnection<true> open(const Link<std::string>&);
    };
    struct Tunnel : part::Around<Proxy> {
        FakeConnection<true> open(const Link<std::string>&, const int&);
    };
    static_assert(TransportLike<Endpoints<Tunnel, int>>);
}

TEST_CASE("Endpoints::make rejects an empty list, and the constructor aborts on one",
          "[link][endpoints][unit]") {
    TransportState transport;
    std::vector<std::string> dialled;
    using Made = Endpoints<Dialler, std::string>;
    CHECK(Made::make(Dialler{&transport, &dialled}, {}).error() == std::errc::invalid_argument);
    CHECK(Made::make(Dialler{&transport, &dialled}, {"a"})->endpoints() == Places{"a"});
    const std::string text = belay_test::aborts_with([&] {
        const Made empty{Dialler{&transport, &dialled}, std::vector<std::string>{}};
    });
    CHECK(text.find("Endpoints: the list must not be empty") != std::string::npos);
}

TEST_CASE("Endpoints is deduced from a list in braces", "[link][endpoints][unit]") {
    TransportState transport;
    std::vector<std::string> dialled;
    const std::string a = "a";
    const std::string b = "b";
    const Endpoints listed{
        Dialler{&transport, &dialled}, {a, b}, {.order = EndpointsOptions::listed}};
    static_assert(std::is_same_v<decltype(listed), const Endpoints<Dialler, std::string>>);
    CHECK(listed.endpoints() == Places{"a", "b"});
}

TEST_CASE("Endpoints::replace begins with the new list at the next attempt",
          "[link][endpoints][unit]") {
    EndpointsRig r;
    auto& endpoints = r.rig.link.transport();
    r.rig.start();
    r.fail(0s);
    REQUIRE(r.dialled == Places{"a", "b"});
    SECTION("while an attempt is under way") {
        REQUIRE_FALSE(endpoints.replace({"x", "y"}));
        CHECK(r.dialled.size() == 2);
        r.fail(1s);
        r.fail(r.now());
        r.fail(r.now());
        CHECK(r.dialled == Places{"a", "b", "x", "y", "x"});
    }
    SECTION("while a connection is open, which stays") {
        r.transport.link.opened();
        r.transport.link.pong();
        r.rig.run(1s);
        REQUIRE_FALSE(endpoints.replace({"x"}));
        r.rig.run(1h);
        CHECK(r.rig.state() == LinkState::connected);
        CHECK(r.dialled.size() == 2);
        r.fail(1h);
        r.fail(r.now());
        CHECK(r.dialled == Places{"a", "b", "x", "x"});
    }
    SECTION("an empty list is an error, and the old one stays") {
        CHECK(endpoints.replace({}) == std::errc::invalid_argument);
        CHECK(endpoints.endpoints() == abc);
        r.fail(1s);
        CHECK(r.dialled == Places{"a", "b", "c"});
    }
}

TEST_CASE("Endpoints::replace shuffles a new list, if the old one was shuffled",
          "[link][endpoints][unit]") {
    std::set<Places> orders;
    for (std::uint64_t seed = 1; seed <= 40; ++seed) {
        TransportState transport;
        Places dialled;
        LinkRig rig{
            Endpoints{Dialler{&transport, &dialled}, abc, {.order = EndpointsOptions::shuffled}}};
        rig.link.attach(Waker{driver::WakeHandle{}, Seed{seed}});
        rig.start();
        REQUIRE_FALSE(rig.link.transport().replace({"x", "y", "z"}));
        transport.link.closed();
        rig.run(0s);
        rig.run(1s);
        orders.insert(rig.link.transport().endpoints());
        CHECK(dialled.back() == rig.link.transport().endpoints().front());
    }
    CHECK(orders.size() == 6);
}

TEST_CASE("Endpoints: the ping interval of one endpoint does not change that of the others",
          "[link][endpoints][regression]") {
    using Dialled = Endpoints<Dialler, std::string>;
    TransportState transport;
    std::vector<std::string> dialled;
    LinkRig<Heartbeat<Dialled>> rig{
        {Dialled{Dialler{&transport, &dialled}, {"a", "b"}}, {.every = 10s, .dead_after = 25s}}};
    Duration now{};
    // Opens the next connection, and returns the time to its second ping. Then it ends.
    const auto pinged_after = [&](const Failure& why) {
        transport.link.opened();
        rig.run(now);
        transport.pings = 0;
        const Duration opened = now;
        while (transport.pings == 0) rig.run(now += 1s);
        const Duration interval = now - opened;
        transport.link.closed(why);
        rig.run(now);
        const int dials = transport.dials;
        while (transport.dials == dials) rig.run(now += 1s);
        return interval;
    };
    const Failure too_many = failure_of(LinkErrc::too_many_pings);
    rig.start();
    CHECK(pinged_after(too_many) == 10s);
    CHECK(pinged_after(lost) == 10s);
    CHECK(pinged_after(too_many) == 20s);
    CHECK(pinged_after(too_many) == 10s);
    CHECK(pinged_after(lost) == 40s);
    CHECK(pinged_after(lost) == 20s);
    CHECK(std::set<std::string>{dialled.begin(), dialled.end()}.size() == 2);
    // An endpoint that is in the new list, too, keeps its longer interval between pings.
    Dialled& endpoints = rig.link.transport().inner();
    REQUIRE_FALSE(endpoints.replace({"c", "b"}));
    CHECK(pinged_after(lost) == 40s);  // the endpoint of the connection that was open before
    CHECK(dialled.back() == "c");
    CHECK(pinged_after(lost) == 10s);
    CHECK(dialled.back() == "b");
    REQUIRE_FALSE(endpoints.replace({"d", "b"}));
    CHECK(pinged_after(too_many) == 20s);
    CHECK(pinged_after(lost) == 10s);
    CHECK(dialled.back() == "b");
    CHECK(pinged_after(lost) == 40s);
    // The longer interval of an endpoint that is no longer listed does not apply to another
    // endpoint.
    CHECK(dialled.back() == "d");
    REQUIRE_FALSE(endpoints.replace({"e"}));
    CHECK(pinged_after(too_many) == 10s);
    CHECK(pinged_after(lost) == 10s);
}

TEST_CASE("Endpoints::replace keeps the largest number of penalties if endpoints have no ==",
          "[link][endpoints][unit]") {
    struct Place {
        int number;
    };
    struct ToPlace : Dialler {
        auto open(const Link<std::string>& link, const Place& place) {
            return Dialler::open(link, std::to_string(place.number));
        }
    };
    Endpoints<ToPlace, Place> endpoints{ToPlace{}, {{1}, {2}}};
    *endpoints.ping_penalties() = 3;
    REQUIRE_FALSE(endpoints.replace({{5}, {6}, {7}}));
    CHECK(*endpoints.ping_penalties() == 3);
}

TEST_CASE("Endpoints tries the other endpoints after a final failure of one",
          "[link][endpoints][unit]") {
    const Cause final_cause = GENERATE(Cause::permanent, Cause::forbidden, Cause::unauthorized);
    CAPTURE(final_cause);
    const Failure rejected{.cause = final_cause};
    EndpointsRig r;
    r.rig.start();
    SECTION("an attempt") {
        r.fail(0s, rejected);
        CHECK(r.rig.link.status().failure.cause == final_cause);
    }
    SECTION("a connection that was not stable, as of a server that rejects after the opening") {
        r.transport.link.opened();
        r.transport.link.pong();
        r.rig.run(1s);
        r.fail(9s, rejected);
    }
    CHECK(r.rig.state() == LinkState::connecting);
    CHECK(r.dialled == Places{"a", "b"});
    r.transport.link.opened();
    r.transport.link.pong();
    r.rig.run(10s);
    CHECK(r.rig.state() == LinkState::connected);
}

TEST_CASE("Endpoints: the link fails when the last failure of each endpoint was final",
          "[link][endpoints][unit]") {
    const Failure permanent{.cause = Cause::permanent};
    const Failure forbidden{.cause = Cause::forbidden};
    EndpointsRig r;
    r.rig.start();
    SECTION("in one round") {
        r.fail(0s, permanent);
        r.fail(r.now(), forbidden);
        r.end(permanent);
        CHECK(r.dialled == Places{"a", "b", "c"});
    }
    SECTION("not while one is only down, and not if one has recovered") {
        for (const Failure& why : {permanent, permanent, lost, lost, permanent, permanent}) {
            r.fail(r.now(), why);
        }
        r.end(permanent);
        CHECK(r.dialled == Places{"a", "b", "c", "a", "b", "c", "a"});
    }
    REQUIRE(r.rig.state() == LinkState::failed);
    CHECK(r.rig.link.status().failure.cause == Cause::permanent);
    // A new start forgets them.
    r.dialled.clear();
    CHECK(r.rig.link.reconnect_now().granted);
    r.rig.run(r.now());
    r.fail(r.now(), permanent);
    CHECK(r.dialled == Places{"a", "b"});
}

TEST_CASE("Endpoints: a final failure of a stable connection ends the link",
          "[link][endpoints][unit]") {
    const auto [cause, state] = GENERATE(std::pair{Cause::permanent, LinkState::failed},
                                         std::pair{Cause::forbidden, LinkState::failed},
                                         std::pair{Cause::unauthorized, LinkState::blocked_auth});
    CAPTURE(cause);
    EndpointsRig r;
    r.rig.start();
    r.transport.link.opened();
    r.transport.link.pong();
    r.rig.run(1s);
    const bool is_driver_late = GENERATE(false, true);
    if (!is_driver_late) r.rig.run(11s);
    r.transport.link.closed({.cause = cause});
    r.rig.run(12s);
    CHECK(r.rig.state() == state);
}

TEST_CASE("Endpoints: the rejection of the credentials by a second endpoint blocks the link",
          "[link][endpoints][unit]") {
    const Failure rejected{.cause = Cause::unauthorized};
    EndpointsRig r;
    r.rig.start();
    r.fail(0s, rejected);
    SECTION("the next one") {
        r.end(rejected);
        CHECK(r.dialled == Places{"a", "b"});
    }
    SECTION("after one that is down") {
        r.fail(r.now());
        r.end(rejected);
        CHECK(r.dialled == Places{"a", "b", "c"});
    }
    SECTION("the third rejection by one endpoint, while the others are down") {
        for (const Failure& why : {lost, lost, rejected, lost, lost}) r.fail(r.now(), why);
        r.end(rejected);
        CHECK(r.dialled == Places{"a", "b", "c", "a", "b", "c", "a"});
    }
    REQUIRE(r.rig.state() == LinkState::blocked_auth);
    // New credentials are tried at two endpoints again.
    const std::size_t dials = r.dialled.size();
    r.rig.link.credentials();
    r.rig.run(r.now());
    CHECK(r.dialled.size() == dials + 1);
    r.fail(r.now(), rejected);
    CHECK(r.dialled.size() == dials + 2);
    r.end(rejected);
    CHECK(r.rig.state() == LinkState::blocked_auth);
}

TEST_CASE("Endpoints forgets a rejection of the credentials after a stable connection",
          "[link][endpoints][unit]") {
    EndpointsRig r;
    r.rig.start();
    for (int i = 0; i < 5; ++i) {
        r.fail(r.now(), {.cause = Cause::unauthorized});
        r.transport.link.opened();
        r.transport.link.pong();
        r.rig.run(r.now());
        r.rig.run(r.now() + 10s);
        r.fail(r.now());
    }
    CHECK(r.dialled.back() == "a");
    CHECK(r.dialled.size() == 11);
}

TEST_CASE("Endpoints forgets final failures when its list is replaced", "[link][endpoints][unit]") {
    const Failure permanent{.cause = Cause::permanent};
    EndpointsRig r;
    r.rig.start();
    r.fail(0s, permanent);
    r.fail(r.now(), permanent);
    SECTION("while the last one is tried") {
        REQUIRE_FALSE(r.rig.link.transport().replace({"x", "y"}));
        r.fail(r.now(), permanent);
        CHECK(r.dialled.back() == "x");
        r.fail(r.now(), permanent);
        CHECK(r.dialled.back() == "y");
        r.end(permanent);
        CHECK(r.rig.state() == LinkState::failed);
    }
    SECTION("with one that has fewer endpoints") {
        REQUIRE_FALSE(r.rig.link.transport().replace({"x"}));
        r.fail(r.now(), permanent);
        r.end(permanent);
        CHECK(r.rig.state() == LinkState::failed);
    }
}

TEST_CASE("Endpoints counts rejections of the credentials also while its list is replaced",
          "[link][endpoints][unit]") {
    const Failure rejected{.cause = Cause::unauthorized};
    EndpointsRig r;
    const auto replace = [&] {
        // For example after a new lookup, whose answer is the same.
        REQUIRE_FALSE(r.rig.link.transport().replace(abc));
    };
    r.rig.start();
    SECTION("between two attempts") {
        for (int i = 0; i < 2; ++i) {
            r.transport.link.closed(rejected);
            r.rig.run(r.now());
            replace();
            r.wait();
        }
        r.end(rejected);
        CHECK(r.dialled == Places{"a", "a", "a"});
    }
    SECTION("while an endpoint is tried") {
        for (int i = 0; i < 2; ++i) {
            replace();
            r.fail(r.now(), rejected);
        }
        replace();
        r.end(rejected);
        CHECK(r.dialled == Places{"a", "a", "a"});
    }
    SECTION("once: a second endpoint of the new list ends the link") {
        r.fail(0s, rejected);
        replace();
        r.fail(r.now());
        CHECK(r.rig.state() == LinkState::connecting);
        r.fail(r.now(), rejected);
        r.end(rejected);
        CHECK(r.dialled == Places{"a", "b", "a", "b"});
    }
    CHECK(r.rig.state() == LinkState::blocked_auth);
}

TEST_CASE("Endpoints: a final cause from outside its connections ends the link",
          "[link][endpoints][unit]") {
    const Failure permanent{.cause = Cause::permanent};
    SECTION("the program, without and with a decorator around") {
        EndpointsRig r;
        r.rig.start();
        r.transport.link.opened();
        r.rig.run(0s);
        r.rig.link.report_unhealthy(permanent);
        r.rig.run(0s);
        CHECK(r.rig.state() == LinkState::failed);
    }
    SECTION("a check") {
        TransportState transport;
        std::vector<std::string> dialled;
        LinkRig rig{Validated{Endpoints{Dialler{&transport, &dialled}, abc}, Greeted{permanent}}};
        rig.start();
        transport.link.opened();
        receive(transport.link, "go away");
        rig.run(0s);
        CHECK(rig.state() == LinkState::failed);
    }
}

TEST_CASE("Endpoints tries the other endpoints after a final failure that follows another one",
          "[link][endpoints][unit]") {
    const Cause final_cause = GENERATE(Cause::permanent, Cause::forbidden, Cause::unauthorized);
    CAPTURE(final_cause);
    TransportState transport;
    std::vector<std::string> dialled;
    const auto check = [&](auto& rig) {
        transport.link.closed({.cause = final_cause});
        rig.run(elapsed(Instant{}, rig.link.now()));
        CHECK(rig.state() == LinkState::cooldown);
        CHECK(rig.link.status().failure.cause == final_cause);
        rig.run(elapsed(Instant{}, rig.link.status().retry_at));
        CHECK(dialled == Places{"a", "b"});
    };
    SECTION("the program gives the connection up, and then the server closes it") {
        LinkRig rig{Endpoints{Dialler{&transport, &dialled}, abc}};
        rig.start();
        transport.link.opened();
        rig.run(0s);
        rig.link.report_unhealthy();
        check(rig);
    }
    SECTION("a check rejects the server's last message") {
        LinkRig rig{Validated{Endpoints{Dialler{&transport, &dialled}, abc},
                              Greeted{{.cause = Cause::refused}}}};
        rig.start();
        transport.link.opened();
        rig.run(0s);
        receive(transport.link, "go away");
        check(rig);
    }
    SECTION("another connection of a bundle is lost") {
        TransportState other;
        std::vector<std::string> others;
        LinkRig rig{Bundle{Endpoints{Dialler{&other, &others}, Places{"up", "up"}},
                           Endpoints{Dialler{&transport, &dialled}, abc}}};
        rig.start();
        other.link.closed(lost);
        // The second list moves by a random bit if its end is not noted.
        check(rig);
    }
}

TEST_CASE("Endpoints: StopOn ends the link at the first final failure", "[link][endpoints][unit]") {
    const auto [cause, state] = GENERATE(std::pair{Cause::permanent, LinkState::failed},
                                         std::pair{Cause::unauthorized, LinkState::blocked_auth});
    CAPTURE(cause);
    TransportState transport;
    std::vector<std::string> dialled;
    Supervisor link{Endpoints{Dialler{&transport, &dialled}, abc},
                    Policy{Backoff{NoJitter{}, Cap{8s}, 1s},
                           StopOn{Cause::permanent, Cause::forbidden, Cause::unauthorized}}};
    link.start();
    link.advance(at(0s));
    transport.link.closed({.cause = cause});
    link.advance(at(0s));
    CHECK(link.status().state == state);
}

TEST_CASE("Endpoints and WithToken: a 403 at two endpoints blocks the link",
          "[link][endpoints][unit]") {
    const Failure forbidden = http_failure(403);
    TransportState transport;
    std::vector<std::string> dialled;
    const auto attempts = [&](auto rig) {
        rig->start();
        while (rig->state() == LinkState::connecting && dialled.size() < 20) {
            transport.link.closed(forbidden);
            rig->run(elapsed(Instant{}, rig->link.now()));
            if (rig->state() != LinkState::cooldown) break;
            rig->run(elapsed(Instant{}, rig->link.status().retry_at));
        }
        CHECK(rig->state() == LinkState::blocked_auth);
        return dialled.size();
    };
    SECTION("the token outside") {
        using Outside = WithToken<Endpoints<Dialler, std::string>, Sevens>;
        const Outside transports{Endpoints{Dialler{&transport, &dialled}, abc}, Sevens{}};
        CHECK(attempts(std::make_unique<LinkRig<Outside>>(transports)) == 2);
    }
    SECTION("the token inside") {
        using Inside = Endpoints<WithToken<Dialler, Sevens>, std::string>;
        const Inside transports{WithToken{Dialler{&transport, &dialled}, Sevens{}}, abc};
        CHECK(attempts(std::make_unique<LinkRig<Inside>>(transports)) == 4);
    }
}

TEST_CASE("Endpoints in a bundle: two lists leave a server that rejects both connections",
          "[link][endpoints][unit]") {
    for_each_seed(
        [&](Seed seed) {
            TransportState transports[2];
            std::vector<std::string> dialled[2];
            LinkRig rig{
                Bundle{Endpoints{Dialler{&transports[0], &dialled[0]}, Places{"bad", "up"}},
                       Endpoints{Dialler{&transports[1], &dialled[1]}, Places{"bad", "up"}}}};
            rig.link.attach(Waker{driver::WakeHandle{}, seed});
            rig.start();
            int attempts = 1;
            for (; rig.state() == LinkState::connecting && attempts < 60; ++attempts) {
                for (int i = 0; i < 2; ++i) {
                    if (dialled[i].back() == "up") {
                        transports[i].link.opened();
                    } else {
                        transports[i].link.closed({.cause = Cause::permanent});
                    }
                }
                const Duration now = elapsed(Instant{}, rig.link.now());
                rig.run(now);
                if (rig.state() != LinkState::cooldown) break;
                rig.run(elapsed(Instant{}, rig.link.status().retry_at));
            }
            CHECK(rig.state() == LinkState::connected);
            CHECK(attempts <= 20);
        },
        200);
}
