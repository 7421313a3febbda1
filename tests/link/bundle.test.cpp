// SPDX-License-Identifier: MIT
// Goal: the transports of a bundle open and close together, and each keeps its own lane in any
// nesting. Method: scripted transports, and a simulated world.
#include <belay/link/bundle.hpp>

#include <memory>

#include <belay/link/heartbeat.hpp>
#include <belay/link/validated.hpp>
#include <belay/policy/rules.hpp>
#include <belay/sim/accepted.hpp>
#include <belay/sim/tcp.hpp>
#include <belay/sim/world.hpp>

#include "support/link/link_rig.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;
using belay_test::FakeTransport;
using belay_test::TransportState;

namespace {

struct GreetingCheck {
    Verdict begin(const auto&) { return Verdict::pending(); }
    Verdict judge(const std::string& m, const auto&) {
        return m == "hi" ? Verdict::passed() : Verdict::pending();
    }
};

struct DefersAll {
    Verdict begin(const auto&) { return Verdict::pending(); }
    Verdict judge(const std::string&, const auto&) { return Verdict::deferred(); }
};

/// The peer of a lane, which sends numbers until the link is full.
struct EagerPeer {
    TransportState& transport;
    int sent = 0;
    bool reads = true;

    explicit EagerPeer(TransportState& w) : transport{w} {
        transport.on_resume = [this] { reads = true; };
    }
    void send_until(int last) {
        while (reads && sent < last) {
            const driver::Post post = receive(transport.link, std::to_string(sent));
            reads = post == driver::Post::taken;
            sent += reads ? 1 : 0;
        }
    }
};

/// Sends its numbers to the one client that it accepts.
class SendingServer {
    struct Feed {
        int last;
        int sent = 0;
        void on_state(auto& link, const Transition&) { send(link); }
        void on_writable(auto& link, Lane) { send(link); }
        void send(auto& link) {
            while (sent < last && link.send(std::to_string(sent)) == SendResult::sent) ++sent;
        }
    };

public:
    SendingServer(sim::Host& host, int last) {
        host.listen(1, [this, &host, last](sim::Accepted connection) {
            served_ = std::make_unique<Supervisor<sim::Accepted, MaxAttempts, Feed>>(
                std::move(connection), MaxAttempts{1}, Feed{last});
            host.attach(*served_);
            served_->start();
        });
    }

private:
    std::unique_ptr<Supervisor<sim::Accepted, MaxAttempts, Feed>> served_{};
};

auto one_attempt() {
    return Policy{Backoff{NoJitter{}, Cap{2s}, 1s}, AttemptTimeout{5s}, MaxAttempts{1}};
}

/// Counts the messages of a Bundle of two servers, of which only the first sends.
class TwoLaneClient {
    struct Count {
        int* next;
        void on_message(const Bytes& m, Lane lane) {
            if (lane == 0 && as_text(m) == std::to_string(*next)) ++*next;
        }
    };

public:
    explicit TwoLaneClient(sim::Host& host)
        : link_{Bundle{sim::Tcp{host, "fast", 1}, sim::Tcp{host, "slow", 1}}, one_attempt(),
                Count{&next_}} {
        host.attach(link_);
        link_.start();
    }
    [[nodiscard]] int received() const { return next_; }
    [[nodiscard]] bool is_up() const { return link_.status().state == LinkState::connected; }

private:
    int next_ = 0;
    Supervisor<Bundle<sim::Tcp, sim::Tcp>, decltype(one_attempt()), Count> link_;
};

}  // namespace

TEST_CASE("Bundle of a server that sends at once and a slow one opens in its first attempt",
          "[link][bundle][sim]") {
    sim::World world{Seed{1}};
    sim::Host& fast = world.host(
        "fast", [](sim::Host& host) { return std::make_unique<SendingServer>(host, 5000); });
    sim::Host& slow = world.host(
        "slow", [](sim::Host& host) { return std::make_unique<SendingServer>(host, 0); });
    sim::Host& client =
        world.host("client", [](sim::Host& host) { return std::make_unique<TwoLaneClient>(host); });
    static_cast<void>(fast);
    world.network().latency(client, slow, 1s, 1s);
    world.network().latency(slow, client, 1s, 1s);
    world.run_for(1s);
    CHECK_FALSE(client.process<TwoLaneClient>()->is_up());
    world.run_for(4s);
    CHECK(client.process<TwoLaneClient>()->is_up());
    CHECK(client.process<TwoLaneClient>()->received() == 5000);
}

TEST_CASE("Bundle opens although a lane sends much before the others are open",
          "[link][bundle][fault]") {
    TransportState a, b;
    LinkRig rig{Bundle{FakeTransport<>{a}, Validated{FakeTransport<>{b}, GreetingCheck{}}}};
    rig.start();
    EagerPeer eager{a};
    Duration now = 0s;
    for (const bool opens : {false, true}) {
        INFO("the second attempt: " << opens);
        eager.sent = 0;
        eager.reads = true;
        rig.notes.observed.clear();
        const int dials = a.dials;
        a.link.opened();
        for (int i = 0; i < 10; ++i) {
            eager.send_until(10'000);
            rig.run(now);
        }
        // The program has not processed the message, so the peer waits.
        CHECK(rig.state() == LinkState::connecting);
        CHECK(eager.sent >= 1024);
        CHECK(eager.sent <= 2 * 1024);
        b.link.opened();
        rig.run(now);
        if (!opens) {
            b.link.closed({.cause = Cause::lost});
            rig.run(now);
            rig.run(now += 1s);
            REQUIRE(a.dials == dials + 1);
            continue;
        }
        CHECK(receive(b.link, "hi") == driver::Post::taken);
        rig.run(now);
        CHECK(rig.state() == LinkState::connected);
        while (eager.reads && eager.sent < 10'000) {
            eager.send_until(10'000);
            rig.run(now);
        }
    }
    REQUIRE(rig.notes.observed.size() == 10'001);
    CHECK(rig.notes.observed[0] == "connected");
    CHECK(rig.notes.observed[1] == "message 0 on 0");
    CHECK(rig.notes.observed[10'000] == "message 9999 on 0");
}

TEST_CASE("Validated ends an attempt whose only lane sends too much before it passes",
          "[link][bundle][fault]") {
    TransportState a;
    LinkRig rig{Validated{FakeTransport<>{a}, DefersAll{}}};
    rig.start();
    EagerPeer eager{a};
    a.link.opened();
    for (int i = 0; i < 10; ++i) {
        eager.send_until(10'000);
        rig.run(0s);
    }
    CHECK(rig.state() == LinkState::cooldown);
    CHECK(rig.link.status().failure.cause == Cause::overloaded);
}

TEST_CASE("Bundle is open when all transports are", "[link][bundle][unit]") {
    TransportState a, b, c;
    LinkRig rig{Bundle{FakeTransport<>{a}, FakeTransport<>{b}, FakeTransport<>{c}}};
    rig.start();
    CHECK(a.dials + b.dials + c.dials == 3);
    b.link.opened();
    b.link.opened();
    a.link.opened();
    rig.run(0s);
    CHECK(rig.state() == LinkState::connecting);
    c.link.opened();
    rig.run(0s);
    CHECK(rig.state() == LinkState::connected);
}

TEST_CASE("Bundle is closed when one transport is, and counts once", "[link][bundle][unit]") {
    TransportState a, b;
    LinkRig rig{Bundle{FakeTransport<>{a}, FakeTransport<>{b}}};
    rig.start();
    SECTION("before all were open: the user never saw connected") { a.link.opened(); }
    SECTION("after all were open") {
        a.link.opened();
        b.link.opened();
    }
    rig.run(0s);
    b.link.closed({.cause = Cause::lost});
    a.link.closed({.cause = Cause::overloaded});
    rig.run(0s);
    CHECK(rig.state() == LinkState::cooldown);
    CHECK(rig.link.status().attempt == 1);
    CHECK(rig.link.status().failure.cause == Cause::overloaded);
    CHECK(a.live + b.live == 0);
}

TEST_CASE("Bundle assigns each transport its lane, up and down", "[link][bundle][unit]") {
    TransportState a, b, c, d, e;
    LinkRig rig{Bundle{FakeTransport<>{a}, Bundle{FakeTransport<>{b}, FakeTransport<>{c}},
                       Validated{Heartbeat{FakeTransport<>{d}, {}}, GreetingCheck{}},
                       FakeTransport<>{e}}};
    rig.start();
    for (TransportState* w : {&a, &b, &c, &d, &e}) w->link.opened();
    receive(d.link, "hi");
    rig.run(0s);
    REQUIRE(rig.state() == LinkState::connected);
    // The outermost index is the lowest bits.
    const std::pair<TransportState*, Lane> lanes[]{
        {&a, Lane{0}}, {&b, Lane{1}}, {&c, Lane{1 | 1 << 2}}, {&d, Lane{2}}, {&e, Lane{3}}};
    rig.notes.observed.clear();
    Observed expected;
    for (const auto& [transport, lane] : lanes) {
        receive(transport->link, "m");
        transport->link.writable();
        expected.push_back("message m on " + std::to_string(lane));
        expected.push_back("writable " + std::to_string(lane));
        CHECK(rig.link.send("to " + std::to_string(lane), lane) == SendResult::sent);
        CHECK(transport->sent.back() == "to " + std::to_string(lane));
        CHECK(transport->sent.size() == 1);
    }
    rig.run(0s);
    CHECK(rig.notes.observed == expected);
}

TEST_CASE("Bundle rejects a send on a lane that it does not have", "[link][bundle][unit]") {
    TransportState a, b, c;
    LinkRig rig{Bundle{FakeTransport<>{a}, FakeTransport<>{b}, FakeTransport<>{c}}};
    rig.start();
    for (TransportState* w : {&a, &b, &c}) w->link.opened();
    rig.run(0s);
    CHECK(rig.link.send("x", 3) == SendResult::down);
    CHECK(a.sent.size() + b.sent.size() + c.sent.size() == 0);
}

TEST_CASE("Bundle closes all transports, and waits for the last", "[link][bundle][unit]") {
    TransportState a, b, c;
    LinkRig rig{Bundle{FakeTransport<>{a}, Bundle{FakeTransport<>{b}, FakeTransport<false>{c}}}};
    rig.start();
    for (TransportState* w : {&a, &b, &c}) w->link.opened();
    rig.run(0s);
    rig.link.stop();
    CHECK(a.log.back() == "close");
    CHECK(b.log.back() == "close");
    a.link.closed();
    rig.run(1s);
    CHECK(a.live + b.live + c.live == 3);
    SECTION("until the last one is closed") {
        b.link.closed();  // c has no graceful close
        rig.run(1s);
    }
    SECTION("until the linger is over") { rig.run(2s); }
    CHECK(a.live + b.live + c.live == 0);
    CHECK(rig.notes.observed == Observed{"connecting", "connected", "stopped"});
}

TEST_CASE("Bundle opens in order and destroys in reverse", "[link][bundle][unit]") {
    TransportState shared;
    std::vector<int> order;
    struct Numbered {
        using message_type = std::string;
        std::vector<int>* order;
        int n;
        struct Connection {
            Connection(std::vector<int>* o, int i) : order{o}, n{i} { order->push_back(n); }
            Connection(const Connection&) = delete;
            Connection& operator=(const Connection&) = delete;
            ~Connection() { order->push_back(-n); }
            SendResult send(const std::string&) noexcept { return SendResult::sent; }
            std::vector<int>* order;
            int n;
        };
        Connection open(const Link<std::string>&) { return {order, n}; }
    };
    {
        LinkRig rig{Bundle{Numbered{&order, 1}, Numbered{&order, 2}, Numbered{&order, 3}}};
        rig.start();
    }
    CHECK(order == std::vector<int>{1, 2, 3, -3, -2, -1});
}

TEST_CASE("Bundle reports a failure inside open once all are built", "[link][bundle][unit]") {
    TransportState a, b;
    a.on_open = [](Link<std::string> link) { link.closed({.cause = Cause::refused}); };
    LinkRig rig{Bundle{FakeTransport<>{a}, FakeTransport<>{b}}};
    rig.start();
    CHECK(rig.notes.observed == Observed{"connecting", "cooldown"});
    CHECK(rig.link.status().failure.cause == Cause::refused);
    CHECK(b.dials == 1);
    CHECK(b.live == 0);
}

TEST_CASE("Bundle keeps the greeting of a lane that was open first", "[link][bundle][unit]") {
    TransportState a, b;
    LinkRig rig{Bundle{FakeTransport<>{a}, FakeTransport<>{b}}};
    rig.start();
    a.link.opened();
    receive(a.link, "welcome");
    rig.run(0s);
    CHECK(rig.notes.observed == Observed{"connecting"});
    b.link.opened();
    receive(a.link, "more");
    rig.run(0s);
    CHECK(rig.notes.observed ==
          Observed{"connecting", "connected", "message welcome on 0", "message more on 0"});
}

TEST_CASE("Bundle::part reaches the transport inside", "[link][bundle][unit]") {
    TransportState a, b;
    Bundle both{FakeTransport<>{a}, FakeTransport<false>{b}};
    CHECK(both.part<0>().state == &a);
    CHECK(both.part<1>().state == &b);
}
