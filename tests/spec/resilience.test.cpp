// SPDX-License-Identifier: MIT
// Goal: the plan for a room's connections, line by line: one test for each state, transition and
// acceptance criterion. Method: documents and intents as one bundle, by the ready-made policy, in
// time by hand; the test plays both servers.
#include <string>
#include <vector>

#include <belay/call/policies.hpp>
#include <belay/link/bundle.hpp>
#include <belay/link/link_errc.hpp>
#include <belay/link/link_log.hpp>
#include <belay/link/supervisor.hpp>
#include <belay/link/with_token.hpp>

#include "support/catch.hpp"
#include "support/link/fake_transport.hpp"
#include "support/seeds.hpp"

using namespace belay;
using namespace std::chrono_literals;
using belay_test::FakeConnection;
using belay_test::FakeTransport;
using belay_test::for_each_seed;
using belay_test::TransportState;

namespace {

constexpr Lane sync_lane = 0;
constexpr Lane intent_lane = 1;

/// Dials with a token, and records it.
struct IntentTransport {
    using message_type = std::string;
    TransportState* transport;
    FakeConnection<true> open(const Link<std::string>& link, const int& token) {
        transport->log.push_back("token " + std::to_string(token));
        return {*transport, link};
    }
};
/// Each token differs.
struct RoomTokens {
    using token_type = int;
    int* last;
    void operator()(Completion<int> done) const { done(++*last); }
};

/// A tab with its two connections.
struct Tab {
    using Transport = Bundle<FakeTransport<>, WithToken<IntentTransport, RoomTokens>>;
    struct Observer {
        std::vector<std::string>* states;
        void on_state(const Transition& t) { states->emplace_back(to_string(t.to.state)); }
    };
    using States = std::vector<std::string>;

    explicit Tab(Seed seed = Seed{1})
        : link{Transport{FakeTransport<>{sync},
                         WithToken{IntentTransport{&intent}, RoomTokens{&token}}},
               policies::connection(),
               {},
               Observer{&states}} {
        link.attach(Waker{driver::WakeHandle{}, seed});
    }

    /// Runs the turns that are due now.
    void turn() {
        for (int i = 0; i < 100 && link.deadline() <= now; ++i) link.advance(now);
    }
    /// Lets time pass, like a driver: from deadline to deadline.
    void pass(Duration d) {
        const Instant end = after(now, d);
        for (turn(); link.deadline() <= end; turn()) now = std::max(now, link.deadline());
        now = end;
        turn();
    }
    void start() {
        link.start();
        turn();
    }
    void open() {
        sync.link.opened();
        intent.link.opened();
        sync.link.pong();
        turn();
    }
    void connect() {
        start();
        open();
        REQUIRE(state() == LinkState::connected);
        states.clear();
    }
    void close(const Failure& why = {}) {
        sync.link.closed(why);
        turn();
    }
    /// Runs until the next attempt.
    Duration wait() {
        const Duration d = elapsed(now, link.status().retry_at);
        pass(d);
        return d;
    }
    [[nodiscard]] LinkState state() const { return link.status().state; }

    TransportState sync;
    TransportState intent;
    int token = 0;
    States states;
    Instant now{};
    Supervisor<Transport, decltype(policies::connection()), Observer> link;
};

/// The mean of many draws shows their distribution.
struct Draws {
    Duration least = forever;
    Duration most{};
    void add(Duration d) {
        least = std::min(least, d);
        most = std::max(most, d);
    }
};

}  // namespace

// ---- states ------------------------------------------------------------------------------------

TEST_CASE("stopped: no connection is dialled after any event", "[spec][resilience][unit]") {
    Tab tab;
    tab.link.shut(Gate::hidden);
    tab.link.open(Gate::hidden);
    tab.link.credentials();
    tab.pass(24h);
    CHECK(tab.state() == LinkState::stopped);
    CHECK(tab.sync.dials == 0);
}

TEST_CASE("blocked-auth: no attempts until there are new credentials", "[spec][resilience][unit]") {
    Tab tab;
    tab.connect();
    tab.close(websocket_failure(4001));
    CHECK(tab.state() == LinkState::blocked_auth);
    tab.pass(24h);
    CHECK(tab.sync.dials == 1);
    tab.link.credentials();
    tab.turn();
    CHECK(tab.state() == LinkState::connecting);
    CHECK(tab.intent.log.at(tab.intent.log.size() - 2) == "token 2");
}

TEST_CASE("offline: no attempts while the tab is hidden or the browser offline",
          "[spec][resilience][unit]") {
    const Gate gate = GENERATE(Gate::hidden, Gate::network);
    Tab tab;
    tab.connect();
    tab.link.shut(gate);
    tab.pass(24h);
    CHECK(tab.state() == LinkState::offline);
    CHECK(tab.sync.dials == 1);
    CHECK(tab.sync.live == 0);
    CHECK(tab.intent.live == 0);
}

TEST_CASE("cooldown: waits until retry_at, no more and no less", "[spec][resilience][unit]") {
    Tab tab;
    tab.connect();
    tab.close();
    REQUIRE(tab.state() == LinkState::cooldown);
    const Instant retry_at = tab.link.status().retry_at;
    if (retry_at > tab.now) {
        tab.pass(elapsed(tab.now, before(retry_at, 1ns)));
        CHECK(tab.state() == LinkState::cooldown);
    }
    tab.wait();
    CHECK(tab.state() == LinkState::connecting);
}

TEST_CASE("connecting: lasts until both are open, or the attempt's limit",
          "[spec][resilience][unit]") {
    Tab tab;
    tab.start();
    tab.sync.link.opened();
    tab.pass(29s);
    CHECK(tab.state() == LinkState::connecting);
    SECTION("both") {
        tab.intent.link.opened();
        tab.turn();
        CHECK(tab.state() == LinkState::connected);
    }
    SECTION("one hangs") {
        tab.pass(1s);
        CHECK(tab.states.at(1) == "cooldown");
        CHECK(tab.link.status().failure.cause == Cause::timed_out);
    }
}

TEST_CASE("connected: messages flow on both", "[spec][resilience][unit]") {
    Tab tab;
    tab.connect();
    CHECK(tab.link.send("update", sync_lane) == SendResult::sent);
    CHECK(tab.link.send("cursor", intent_lane) == SendResult::sent);
    CHECK(tab.sync.sent == std::vector<std::string>{"update"});
    CHECK(tab.intent.sent == std::vector<std::string>{"cursor"});
}

// ---- transitions -------------------------------------------------------------------------------

TEST_CASE("start leads to connecting, unless offline", "[spec][resilience][unit]") {
    Tab tab;
    SECTION("online") {
        tab.start();
        CHECK(tab.states == Tab::States{"connecting"});
    }
    SECTION("offline") {
        tab.link.shut(Gate::network);
        tab.start();
        CHECK(tab.states == Tab::States{"offline"});
        CHECK(tab.sync.dials == 0);
    }
}

TEST_CASE("a close leads to cooldown, and tears both down", "[spec][resilience][unit]") {
    Tab tab;
    tab.connect();
    SECTION("of documents") { tab.sync.link.closed(); }
    SECTION("of intents") { tab.intent.link.closed(); }
    tab.turn();
    CHECK(tab.states == Tab::States{"cooldown"});
    CHECK(tab.sync.live == 0);
    CHECK(tab.intent.live == 0);
}

TEST_CASE("a reset of the room (1013) waits 5 to 15 s, and counts the attempt",
          "[spec][resilience][property]") {
    Draws draws;
    for_each_seed(
        [&](Seed seed) {
            Tab tab{seed};
            tab.connect();
            tab.close(websocket_failure(1013));
            const std::uint32_t before = tab.link.status().attempt;
            const Duration wait = tab.wait();
            CHECK((wait >= 5s && wait <= 15s));
            CHECK(tab.link.status().attempt == before + 1);
            draws.add(wait);
        },
        300);
    // The whole wait, so that the clients of the room do not all return at once.
    CHECK(draws.most > 12s);
    CHECK(draws.least < 8s);
}

TEST_CASE("a failure of authorization leads to blocked-auth, not to cooldown",
          "[spec][resilience][unit]") {
    Tab tab;
    tab.start();
    tab.close(websocket_failure(4001));
    CHECK(tab.states == Tab::States{"connecting", "blocked_auth"});
}

TEST_CASE("hidden or offline leads to offline from every state that tries",
          "[spec][resilience][unit]") {
    Tab tab;
    tab.start();
    SECTION("connecting") {}
    SECTION("connected") { tab.open(); }
    SECTION("cooldown") { tab.close(); }
    tab.link.shut(Gate::hidden);
    tab.turn();
    CHECK(tab.states.back() == "offline");
    CHECK(tab.sync.live + tab.intent.live <= 2);  // at most a graceful close
    tab.pass(3s);
    CHECK(tab.sync.live + tab.intent.live == 0);
}

TEST_CASE("visible or online leads through cooldown to connecting", "[spec][resilience][unit]") {
    for_each_seed(
        [](Seed seed) {
            Tab tab{seed};
            tab.connect();
            tab.link.shut(Gate::hidden);
            tab.link.shut(Gate::network);
            tab.pass(1h);
            tab.link.open(Gate::hidden);
            tab.pass(1h);
            CHECK(tab.states.back() == "offline");  // one gate is still shut
            tab.states.clear();
            tab.link.open(Gate::network);
            tab.pass(2s);
            CHECK(tab.states == Tab::States{"cooldown", "connecting"});
        },
        50);
}

TEST_CASE("10 s of connection reset the backoff; less does not", "[spec][resilience][unit]") {
    const bool stable = GENERATE(false, true);
    Tab tab;
    tab.start();
    for (int i = 0; i < 6; ++i) {
        tab.close();
        tab.wait();
    }
    CHECK(tab.link.status().attempt == 7);
    tab.open();
    tab.pass(stable ? 10s : 9999ms);
    tab.close();
    tab.wait();
    CHECK(tab.link.status().attempt == (stable ? 1U : 8U));
}

// ---- the backoff's numbers ---------------------------------------------------------------------

TEST_CASE("waits are random in 0 .. min(30 s, 1 s * 2^attempt)", "[spec][resilience][property]") {
    Draws draws[8];
    for_each_seed(
        [&](Seed seed) {
            Tab tab{seed};
            tab.start();
            for (Draws& d : draws) {
                tab.close();
                d.add(tab.wait());
            }
        },
        400);
    Duration most = 1s;
    for (const Draws& d : draws) {
        CHECK(d.most <= most);
        if (belay_test::from_environment("BELAY_SEEDS", 2000) >= 50) {
            CHECK(d.most >= most / 2);
            CHECK(d.least <= most / 4);
        }
        most = std::min<Duration>(2 * most, 30s);
    }
}

// ---- acceptance criteria -----------------------------------------------------------------------

TEST_CASE("no spam in the log when the server restarts", "[spec][resilience][unit]") {
    std::vector<std::string> lines;
    struct Sink {
        std::vector<std::string>* to;
        void operator()(std::string_view line) const { to->emplace_back(line); }
    };
    TransportState transport;
    Supervisor link{FakeTransport<>{transport},
                    policies::connection(),
                    {},
                    LinkLog{Sink{&lines}, LogLevel::quiet, "room"}};
    Instant now{};
    const auto turn = [&] {
        for (int i = 0; i < 100 && link.deadline() <= now; ++i) link.advance(now);
    };
    link.start();
    turn();
    transport.link.opened();
    turn();
    lines.clear();
    // A restart that takes twenty attempts.
    for (int i = 0; i < 20; ++i) {
        transport.link.closed(websocket_failure(1006));
        turn();
        now = link.status().retry_at;
        turn();
    }
    transport.link.opened();
    turn();
    CHECK(lines.size() == 2);  // the loss, and the reconnection
}

TEST_CASE("attempts are limited in rate, share their gates, and are jittered",
          "[spec][resilience][sim]") {
    for_each_seed(
        [](Seed seed) {
            Tab tab{seed};
            tab.start();
            // A server that accepts, and drops at once, for an hour. The tab is hidden at times.
            const Instant end = after(tab.now, 1h);
            Random bits{seed};
            int dials_while_hidden = 0;
            while (tab.now < end) {
                if (tab.state() == LinkState::connecting) {
                    tab.open();
                    tab.close();
                }
                if (uniform_upto(bits, 9) == 0) {
                    tab.link.shut(Gate::hidden);
                    tab.turn();
                    const int dials = tab.sync.dials;
                    tab.pass(10s);
                    dials_while_hidden += tab.sync.dials - dials;
                    tab.link.open(Gate::hidden);
                    tab.turn();
                }
                tab.wait();
            }
            CHECK(dials_while_hidden == 0);
            CHECK(tab.sync.dials == tab.intent.dials);
            // Full jitter up to 30 s: 15 s on average, after the first few.
            CHECK(tab.sync.dials <= 3600 / 15 * 3 / 2);
        },
        50);
}

TEST_CASE("intents are dropped, not queued, while down", "[spec][resilience][unit]") {
    Tab tab;
    CHECK(tab.link.send("before", intent_lane) == SendResult::down);
    tab.connect();
    tab.close();
    for (int i = 0; i < 1000; ++i) {
        CHECK(tab.link.send("cursor " + std::to_string(i), intent_lane) == SendResult::down);
    }
    tab.wait();
    CHECK(tab.link.send("still dialling", intent_lane) == SendResult::down);
    tab.open();
    tab.pass(1min);
    // There is no burst after the reconnection: only messages that were sent since then.
    CHECK(tab.intent.sent.empty());
    CHECK(tab.link.send("now", intent_lane) == SendResult::sent);
    CHECK(tab.intent.sent == std::vector<std::string>{"now"});
}

TEST_CASE("sync and intent reconnect together", "[spec][resilience][unit]") {
    Tab tab;
    tab.connect();
    // Both are lost in one turn: one outage, one wait, one attempt.
    tab.sync.link.closed();
    tab.intent.link.closed();
    tab.turn();
    CHECK(tab.states == Tab::States{"cooldown"});
    tab.wait();
    CHECK(tab.sync.dials == 2);
    CHECK(tab.intent.dials == 2);
    CHECK(tab.link.status().attempt == 2);
    // One half is not connected, and is closed with the other half.
    tab.sync.link.opened();
    tab.intent.link.closed();
    tab.turn();
    CHECK(tab.states.back() == "cooldown");
    CHECK(tab.sync.live == 0);
}

TEST_CASE("each reconnection uses a fresh token", "[spec][resilience][unit]") {
    Tab tab;
    tab.start();
    for (int i = 1; i <= 3; ++i) {
        CHECK(tab.token == i);
        tab.close();
        tab.wait();
    }
    CHECK(tab.intent.log.at(tab.intent.log.size() - 2) == "token 4");
}
