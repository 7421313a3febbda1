// SPDX-License-Identifier: MIT
// Goal: a name connects if one of its addresses does, while the others listen, refuse, or drop
// packets. Method: real sockets on several hosts of the loopback, in both families, with listeners
// whose queue is full as black holes; a look-up that returns a list; manual time.
#include <belay/posix/detail/socket_connection.hpp>

#include <deque>
#include <memory>

#include <belay/link/heartbeat.hpp>

#include "support/posix/black_hole.hpp"
#include "support/posix/tcp_rig.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

/// A supervised Tcp to a name with these addresses.
struct NameRig {
    NameRig(std::vector<std::string> hosts, std::uint16_t port, posix::TcpOptions options = {})
        : link{Tcp{loop, resolver, {"name", port}, LengthPrefixed{}, options}, tcp_policy(),
               SupervisorOptions{}, std::ref(app)} {
        resolver.hosts = std::move(hosts);
        loop.attach(link);
        link.start();
    }
    template <class F>
    void until(F&& holds) {
        REQUIRE(loop.run_until(std::forward<F>(holds)));
    }
    void until_state(LinkState state) {
        until([&] { return app.state() == state; });
    }
    /// Runs until this many sockets are open.
    void until_open(std::size_t sockets) {
        until([&] { return loop.watched() == sockets; });
    }
    void rounds() {
        for (int i = 0; i < 5; ++i) until([] { return true; });
    }
    void pass(Duration time) {
        clock.advance(time);
        rounds();
    }
    void connects_to(const RawSocket& server) {
        until_state(LinkState::connected);
        const RawSocket peer = server.accept();
        CHECK(loop.watched() == 1);
        CHECK(link.send(to_bytes("x")) == SendResult::sent);
        rounds();
        CHECK(peer.read(6) == frame("x"));
    }
    /// Ends the connection, and waits for the next dial.
    void reconnect() {
        link.report_unhealthy();
        until_state(LinkState::cooldown);
        clock.advance(1s);
    }
    using Tcp = posix::Tcp<>;

    ManualClock clock{Instant{1h}};
    ClockedLoop loop{clock.view()};
    ListResolver resolver{};
    TcpApp app;
    TcpSupervisor<Tcp> link;
};

/// A port at which these hosts listen, and no other.
struct Hosts {
    explicit Hosts(const std::string& host) : server{listen_at(host)} {
        port =
            posix::detail::SocketAddress::local(posix::detail::Socket{::dup(server.fd())}).port();
    }
    void swallow(const std::string& host) { holes.emplace_back(host, port); }

    RawSocket server;
    std::uint16_t port = 0;
    std::deque<BlackHole> holes;
};

const std::string refused_text =
    " refused: " + std::make_error_code(std::errc::connection_refused).message();

}  // namespace

TEST_CASE("Tcp connects to a name whose first address drops packets, after 250 ms",
          "[posix][posix_dial][regression]") {
    Hosts hosts{"127.0.0.1"};
    hosts.swallow("127.0.0.2");
    NameRig rig{{"127.0.0.2", "127.0.0.1"}, hosts.port};
    rig.until_open(1);
    rig.pass(250ms - 1ns);
    CHECK(rig.loop.watched() == 1);
    rig.pass(1ns);
    rig.connects_to(hosts.server);
    CHECK(rig.app.states == std::vector{LinkState::connecting, LinkState::connected});
    CHECK(rig.link.transport().dial_report().empty());
    // The next dial begins with the address that answers.
    rig.reconnect();
    rig.connects_to(hosts.server);
}

TEST_CASE("Tcp with silent_for 0 tries an address that did not answer first again",
          "[posix][posix_dial][unit]") {
    Hosts hosts{"127.0.0.1"};
    hosts.swallow("127.0.0.2");
    NameRig rig{{"127.0.0.2", "127.0.0.1"}, hosts.port, {.silent_for = 0ns}};
    rig.until_open(1);
    rig.pass(250ms);
    rig.connects_to(hosts.server);
    rig.reconnect();
    rig.until_open(1);
    rig.rounds();
    CHECK(rig.app.state() == LinkState::connecting);
    rig.pass(250ms);
    rig.connects_to(hosts.server);
}

TEST_CASE("Tcp connects after 500 ms to the third address of a name if two are silent",
          "[posix][posix_dial][unit]") {
    Hosts hosts{"127.0.0.1"};
    hosts.swallow("127.0.0.2");
    hosts.swallow("127.0.0.3");
    NameRig rig{{"127.0.0.2", "127.0.0.3", "127.0.0.1"}, hosts.port};
    rig.until_open(1);
    rig.pass(250ms);
    rig.until_open(2);
    rig.pass(249ms);
    CHECK(rig.loop.watched() == 2);
    CHECK(rig.app.state() == LinkState::connecting);
    rig.pass(1ms);
    rig.connects_to(hosts.server);
}

TEST_CASE("Tcp reaches the fifth address of a name with four silent ones",
          "[posix][posix_dial][unit]") {
    Hosts hosts{"127.0.0.1"};
    std::vector<std::string> names;
    for (int i = 2; i <= 5; ++i) {
        names.push_back("127.0.0." + std::to_string(i));
        hosts.swallow(names.back());
    }
    names.emplace_back("127.0.0.1");
    NameRig rig{names, hosts.port};
    for (std::size_t open = 1; open <= 4; ++open) {
        rig.until_open(open);
        rig.pass(250ms);
    }
    rig.connects_to(hosts.server);
}

TEST_CASE("Tcp dials both families of a name", "[posix][posix_dial][unit]") {
    if (!has_ipv6()) {
        WARN("skipped: this machine has no IPv6 loopback");
        return;
    }
    SECTION("only IPv4 listens: the next attempt follows at once") {
        const Hosts hosts{"127.0.0.1"};
        NameRig rig{{"::1", "127.0.0.1"}, hosts.port};
        rig.connects_to(hosts.server);
    }
    SECTION("only IPv6 listens") {
        const Hosts hosts{"::1"};
        NameRig rig{{"127.0.0.1", "127.0.0.2", "::1"}, hosts.port};
        rig.connects_to(hosts.server);
    }
    SECTION("IPv6 is silent") {
        Hosts hosts{"127.0.0.1"};
        hosts.swallow("::1");
        NameRig rig{{"::1", "127.0.0.1"}, hosts.port};
        rig.until_open(1);
        rig.pass(250ms);
        rig.connects_to(hosts.server);
    }
    SECTION("IPv4 is silent, and the families alternate") {
        Hosts hosts{"::1"};
        hosts.swallow("127.0.0.2");
        hosts.swallow("127.0.0.3");
        NameRig rig{{"127.0.0.2", "127.0.0.3", "::1"}, hosts.port};
        rig.until_open(1);
        rig.pass(250ms);
        rig.connects_to(hosts.server);
    }
}

TEST_CASE("Tcp reports each address of a name that refuses, with its own cause",
          "[posix][posix_dial][fault]") {
    const Hosts hosts{"127.0.0.1"};
    const std::string at = ":" + std::to_string(hosts.port);
    NameRig rig{{"127.0.0.2", "127.0.0.3"}, hosts.port};
    rig.until_state(LinkState::cooldown);
    CHECK(rig.app.failure.cause == Cause::refused);
    CHECK(rig.app.failure.error() == std::errc::connection_refused);
    CHECK(rig.link.transport().dial_report() ==
          "127.0.0.2" + at + refused_text + "; 127.0.0.3" + at + refused_text);
    CHECK(rig.loop.watched() == 0);
}

TEST_CASE("Tcp dials a name again although one of its addresses has no way",
          "[posix][posix_dial][regression]") {
    Hosts hosts{"127.0.0.1"};
    hosts.server.close();
    NameRig rig{{"fe80::1", "127.0.0.1"}, hosts.port};
    rig.until_state(LinkState::cooldown);
    CHECK(rig.app.failure.cause == Cause::refused);
}

TEST_CASE("Tcp reports the addresses of a dial that its policy has ended",
          "[posix][posix_dial][fault]") {
    Hosts hosts{"127.0.0.1"};
    hosts.swallow("127.0.0.2");
    const std::string at = ":" + std::to_string(hosts.port);
    NameRig rig{{"127.0.0.2", "127.0.0.3"}, hosts.port};
    rig.until_open(1);
    rig.pass(250ms);
    rig.pass(250ms);
    CHECK(rig.app.state() == LinkState::connecting);
    rig.pass(30s);
    CHECK(rig.app.state() == LinkState::cooldown);
    CHECK(rig.app.failure.cause == Cause::timed_out);
    CHECK(rig.link.transport().dial_report() ==
          "127.0.0.2" + at + " no answer; 127.0.0.3" + at + refused_text);
    CHECK(rig.loop.watched() == 0);
}

TEST_CASE("Tcp tries 16 addresses of a name with 200, and the others at the next dials",
          "[posix][posix_dial][unit]") {
    const Hosts hosts{"127.0.0.170"};
    std::vector<std::string> names;
    for (int i = 1; i <= 200; ++i) names.push_back("127.0.0." + std::to_string(i));
    NameRig rig{names, hosts.port};
    int dials = 0;
    for (; rig.app.state() != LinkState::connected; ++dials) {
        rig.until([&] {
            return rig.app.state() == LinkState::cooldown ||
                   rig.app.state() == LinkState::connected;
        });
        if (rig.app.state() == LinkState::connected) continue;
        const auto report = rig.link.transport().dial_report();
        CHECK(std::count(report.begin(), report.end(), ';') == 15);
        rig.clock.advance(1s);
        rig.until([&] { return rig.app.state() != LinkState::cooldown; });
    }
    CHECK(dials == 11);
    rig.connects_to(hosts.server);
}

TEST_CASE("Tcp reports a name without addresses as refused", "[posix][posix_dial][fault]") {
    NameRig rig{{}, 1};
    rig.until_state(LinkState::cooldown);
    CHECK(rig.app.failure.cause == Cause::refused);
    CHECK(rig.link.transport().dial_report().empty());
}

TEST_CASE("Tcp may end at any time of a dial, and leaves no socket", "[posix][posix_dial][fault]") {
    Hosts hosts{"127.0.0.1"};
    hosts.swallow("127.0.0.2");
    hosts.swallow("127.0.0.3");
    for (int steps = 0; steps < 6; ++steps) {
        auto rig = std::make_unique<NameRig>(
            std::vector<std::string>{"127.0.0.2", "127.0.0.3", "127.0.0.1"}, hosts.port);
        if (steps > 0) rig->until_open(1);
        for (int i = 1; i < steps; ++i) rig->pass(125ms);
        rig->link.stop();
        rig->rounds();
        rig->pass(3s);
        CHECK(rig->loop.watched() == 0);
    }
}

TEST_CASE("Tcp may end after its loop in a dial of several addresses",
          "[posix][posix_dial][fault]") {
    Hosts hosts{"127.0.0.1"};
    hosts.swallow("127.0.0.2");
    ListResolver resolver{{"127.0.0.2", "127.0.0.1"}};
    TcpApp app;
    auto loop = std::make_unique<posix::Loop<>>();
    TcpSupervisor<posix::Tcp<>> link{posix::Tcp{*loop, resolver, {"name", hosts.port}},
                                     tcp_policy(), SupervisorOptions{}, std::ref(app)};
    loop->attach(link);
    link.start();
    REQUIRE(loop->run_until([&] { return loop->watched() == 1; }));
    loop.reset();
    link.stop();
    CHECK(app.state() == LinkState::stopped);
}

TEST_CASE("Tcp reaches a name in a decorator, whose dial has its own timers",
          "[posix][posix_dial][unit]") {
    Hosts hosts{"127.0.0.1"};
    hosts.swallow("127.0.0.2");
    posix::Loop loop;
    ListResolver resolver{{"127.0.0.2", "127.0.0.1"}};
    TcpApp app;
    Supervisor link{Heartbeat{posix::Tcp{loop, resolver, {"name", hosts.port}},
                              {.every = 10s, .dead_after = 25s}},
                    tcp_policy(), SupervisorOptions{}, std::ref(app)};
    loop.attach(link);
    link.start();
    CHECK(loop.run_until([&] { return app.state() == LinkState::connected; }, 5min));
}
