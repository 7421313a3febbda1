// SPDX-License-Identifier: MIT
// Goal: a simulated connection carries whole messages, in order and once, or breaks. This holds
// under every fault, at both ends.
#include <belay/sim/tcp.hpp>

#include <algorithm>
#include <cstdio>

#include <belay/link/endpoints.hpp>
#include <belay/link/transport_check.hpp>
#include <belay/policy/detail/causes.hpp>

#include "support/catch.hpp"
#include "support/seeds.hpp"
#include "support/sim/sim_peers.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

struct ConnectionRig {
    explicit ConnectionRig(PeerOptions o = {}, Seed seed = Seed{5})
        : world{seed},
          server{world.host(
              "server",
              [this, o](sim::Host& h) { return std::make_unique<Server>(h, connection_log, o); })},
          client{world.host("client", [this, o](sim::Host& h) {
              return std::make_unique<Client>(h, notes, o);
          })} {}

    auto& link() { return client.process<Client>()->link; }
    auto& peer() { return server.process<Server>()->peers.back()->link; }
    [[nodiscard]] bool connected() {
        return client.process<Client>() != nullptr && link().status().state == LinkState::connected;
    }
    void connect() {
        REQUIRE(world.run_until([&] { return connected() && !connection_log.empty(); }, 10s));
        world.run_for(100ms);
    }
    Notes& there() { return *connection_log.back(); }

    Server::ConnectionLog connection_log;
    Notes notes;
    sim::World world;
    sim::Host& server;
    sim::Host& client;
};

std::vector<std::string> numbers(int first, int last) {
    std::vector<std::string> all;
    for (int i = first; i <= last; ++i) all.push_back(std::to_string(i));
    return all;
}

}  // namespace

TEST_CASE("Tcp carries messages both ways, whole and in order", "[sim][tcp][unit]") {
    ConnectionRig rig;
    rig.connect();
    for (int i = 1; i <= 100; ++i) {
        REQUIRE(rig.link().send(to_bytes(std::to_string(i))) == SendResult::sent);
        REQUIRE(rig.peer().send(to_bytes(std::to_string(-i))) == SendResult::sent);
    }
    REQUIRE(rig.link().send(Bytes{}) == SendResult::sent);
    rig.world.run_for(1s);
    auto expected = numbers(1, 100);
    expected.emplace_back();
    CHECK(rig.there().messages() == expected);
    CHECK(rig.notes.messages().size() == 100);
    CHECK(rig.notes.messages().back() == "-100");
}

TEST_CASE("Tcp without an endpoint dials the endpoints of an Endpoints", "[sim][tcp][unit]") {
    using Places = Endpoints<sim::Tcp, sim::Endpoint>;
    struct TwoPlaces {
        explicit TwoPlaces(sim::Host& h)
            : link{Places{sim::Tcp{h}, {{"none", 9000}, {"server", 1}, {"server", 9000}}},
                   retry_for_ever({}), std::ref(*this)} {
            h.attach(link);
            link.start();
        }
        void on_state(const Transition& t) {
            if (t.to.state == LinkState::cooldown) places.push_back(link.transport().place());
        }
        std::vector<std::size_t> places{};
        Supervisor<Places, decltype(retry_for_ever({})), std::reference_wrapper<TwoPlaces>> link;
    };
    ConnectionRig rig;
    sim::Host& client =
        rig.world.host("dialler", [](sim::Host& h) { return std::make_unique<TwoPlaces>(h); });
    auto& process = *client.process<TwoPlaces>();
    REQUIRE(rig.world.run_until([&] { return process.link.status().state == LinkState::connected; },
                                10s));
    CHECK(process.places == std::vector<std::size_t>{0, 1});  // an unknown name, and a closed port
    CHECK(process.link.transport().place() == 2);
}

namespace {

/// The peer for check::transport: an echo in a simulated world.
struct CheckedRig {
    Server::ConnectionLog connection_log{};
    sim::World world{Seed{7}};
    sim::Host& server{world.host("server", [this](sim::Host& h) {
        return std::make_unique<Server>(h, connection_log, PeerOptions{});
    })};
    sim::Host& client{world.host("client", [](sim::Host&) { return std::make_unique<int>(0); })};
    sim::Tcp transport{client, "server", 9000};

    void run_once() {
        for (const auto& notes : connection_log) notes->echo = true;
        world.run_for(1ms);
    }
    void hang_up() { world.restart(server); }
};

}  // namespace

TEST_CASE("check::transport finds no fault in the simulated Tcp", "[sim][tcp][unit]") {
    const auto broken =
        check::transport([] { return std::make_unique<CheckedRig>(); },
                         [](std::uint64_t i) { return to_bytes(std::to_string(i) + " message"); });
    INFO((broken ? to_string(*broken) : ""));
    CHECK_FALSE(broken.has_value());
}

TEST_CASE("Tcp is down until it is connected, and after its end", "[sim][tcp][unit]") {
    ConnectionRig rig;
    CHECK(rig.link().send(to_bytes("early")) == SendResult::down);
    rig.connect();
    rig.world.kill(rig.server);
    rig.world.run_for(10ms);
    CHECK(rig.link().send(to_bytes("late")) == SendResult::down);
}

TEST_CASE("Tcp loses the messages that are sent in the instant in which its process is killed",
          "[sim][tcp][regression]") {
    std::size_t arrived = 0;
    for (std::uint64_t seed = 1; seed <= 50; ++seed) {
        for (const bool at_once : {true, false}) {
            ConnectionRig rig{{}, Seed{seed}};
            rig.connect();
            REQUIRE(rig.link().send(to_bytes("last words")) == SendResult::sent);
            // The round has ended, and the message is under way.
            if (!at_once) rig.world.run_for(500us);
            rig.world.kill(rig.client);
            rig.world.run_for(1s);
            if (at_once) CHECK(rig.there().messages().empty());
            arrived += rig.there().messages().size();
        }
    }
    CHECK(arrived > 0);
    CHECK(arrived < 50);
}

TEST_CASE("Tcp is refused without a listener or without a host", "[sim][tcp][unit]") {
    sim::World world{Seed{1}};
    Notes notes;
    sim::Host& client = world.host("client");
    const auto dial = [&](std::string_view peer, std::uint16_t port) {
        Supervisor link{
            sim::Tcp{client, peer, port}, Policy{MaxAttempts{1}}, {}, NotesObserver{&notes}};
        client.attach(link);
        link.start();
        world.run_for(1s);
        REQUIRE(notes.observed.size() == 2);
        CHECK(notes.observed.back() == "failed refused");
        return notes.when[1] - notes.when[0];
    };
    SECTION("no such port") {
        world.host("server").listen(9000, [](sim::Accepted) {});
        const Duration took = dial("server", 9001);
        CHECK(took >= 2ms);
        CHECK(took <= 10ms);
    }
    SECTION("a dead host") {
        sim::Host& server = world.host("server");
        server.listen(9000, [](sim::Accepted) {});
        world.kill(server);
        CHECK(dial("server", 9000) >= 2ms);
    }
    SECTION("no such host") { CHECK(dial("nobody", 9000) == 0ns); }
}

TEST_CASE("Tcp of a process without descriptors fails at once, as the fault of no peer",
          "[sim][tcp][fault]") {
    ConnectionRig rig;
    rig.client.exhaust_descriptors();
    std::vector<Failure> failures;
    struct Noting {
        std::vector<Failure>& failures;
        void on_state(const Transition& t) {
            if (t.to.state == LinkState::failed) failures.push_back(t.to.failure);
        }
    };
    Supervisor link{
        sim::Tcp{rig.client, "server", 9000}, Policy{MaxAttempts{1}}, {}, Noting{failures}};
    rig.client.attach(link);
    const std::size_t before = rig.world.network().sockets(rig.client);
    link.start();
    rig.world.run_for(Duration{1});
    REQUIRE(failures.size() == 1);
    CHECK(failures[0].error() == std::errc::too_many_files_open);
    CHECK(failures[0].cause == Cause::overloaded);
    CHECK(belay::detail::peer_evidence(failures[0]) == belay::detail::PeerEvidence::nothing);
    CHECK(rig.world.network().sockets(rig.client) == before);
}

TEST_CASE("A listener without descriptors leaves connections in its kernel until it has some",
          "[sim][tcp][fault]") {
    ConnectionRig rig;
    rig.connect();
    const bool freezes = GENERATE(false, true);
    rig.server.exhaust_descriptors();
    Notes others;
    Client second{rig.client, others};
    rig.world.run_for(1s);
    // The kernel completes the connection, and the process does not accept it.
    REQUIRE(second.link.status().state == LinkState::connected);
    CHECK(rig.connection_log.size() == 1);
    CHECK(second.link.send(to_bytes("waits")) == SendResult::sent);
    // Open files and connections still work.
    CHECK(rig.link().send(to_bytes("arrives")) == SendResult::sent);
    rig.world.run_for(1s);
    CHECK(rig.there().messages() == std::vector<std::string>{"arrives"});
    if (freezes) rig.world.pause(rig.server);
    rig.server.exhaust_descriptors(false);
    if (freezes) {
        rig.world.run_for(1s);
        CHECK(rig.connection_log.size() == 1);
        rig.world.resume(rig.server);
    }
    rig.world.run_for(1s);
    REQUIRE(rig.connection_log.size() == 2);
    CHECK(rig.there().messages() == std::vector<std::string>{"waits"});
}

TEST_CASE("Tcp reaches its own host", "[sim][tcp][unit]") {
    Server::ConnectionLog connection_log;
    Notes notes;
    sim::World world{Seed{1}};
    struct Both {
        Both(sim::Host& h, Server::ConnectionLog& b, Notes& n) : server{h, b}, client{h, n} {}
        Server server;
        Client client;
    };
    sim::Host& host = world.host(
        "server", [&](sim::Host& h) { return std::make_unique<Both>(h, connection_log, notes); });
    world.run_for(1s);
    CHECK(notes.observed.back() == "connected");
    CHECK(world.network().sockets(host) == 2);
    world.restart(host);
    world.run_for(1s);
    CHECK(notes.observed.back() == "connected");
    CHECK(world.network().sockets(host) == 2);
}

TEST_CASE("Tcp is busy above its window, and reports once when there is space",
          "[sim][tcp][unit]") {
    ConnectionRig rig;
    rig.world.network().window_bytes(1000);
    rig.connect();
    const Bytes message(84, std::byte{1});  // 100 with the overhead of each
    for (int i = 0; i < 10; ++i) REQUIRE(rig.link().send(message) == SendResult::sent);
    CHECK(rig.link().send(message) == SendResult::busy);
    CHECK(rig.link().send(message) == SendResult::busy);
    rig.world.run_for(1s);
    CHECK(rig.there().messages().size() == 10);
    CHECK(rig.notes.count("writable") == 1);
    // A sender that was not busy gets no event.
    for (int i = 0; i < 10; ++i) REQUIRE(rig.link().send(message) == SendResult::sent);
    rig.world.run_for(1s);
    CHECK(rig.notes.count("writable") == 1);
    SECTION("one message may be larger than the window") {
        REQUIRE(rig.link().send(Bytes(5000)) == SendResult::sent);
        CHECK(rig.link().send(Bytes{}) == SendResult::busy);
        rig.world.run_for(1s);
        CHECK(rig.notes.count("writable") == 2);
        CHECK(rig.there().messages().size() == 21);
    }
    SECTION("a partition keeps it busy") {
        rig.world.network().partition(rig.client, rig.server);
        for (int i = 0; i < 10; ++i) REQUIRE(rig.link().send(message) == SendResult::sent);
        CHECK(rig.link().send(message) == SendResult::busy);
        rig.world.run_for(10s);
        CHECK(rig.notes.count("writable") == 1);
        rig.world.network().heal_all();
        rig.world.run_for(1s);
        CHECK(rig.notes.count("writable") == 2);
        CHECK(rig.there().messages().size() == 30);
    }
    SECTION("a frozen reader keeps it busy") {
        rig.world.pause(rig.server);
        for (int i = 0; i < 10; ++i) REQUIRE(rig.link().send(message) == SendResult::sent);
        rig.world.run_for(10s);
        CHECK(rig.link().send(message) == SendResult::busy);
        rig.world.resume(rig.server);
        rig.world.run_for(1s);
        CHECK(rig.notes.count("writable") == 2);
    }
}

TEST_CASE("Tcp resumes reading after its machine was full", "[sim][tcp][unit]") {
    ConnectionRig rig{{.messages_max = 2}};
    rig.connect();
    rig.world.network().latency(1ms, 1ms);
    for (int i = 1; i <= 500; ++i) {
        REQUIRE(rig.link().send(to_bytes(std::to_string(i))) == SendResult::sent);
    }
    rig.world.run_for(1s);
    CHECK(rig.there().messages() == numbers(1, 500));
    SECTION("its end waits for earlier messages") {
        for (int i = 501; i <= 900; ++i) {
            REQUIRE(rig.link().send(to_bytes(std::to_string(i))) == SendResult::sent);
        }
        rig.link().stop();
        rig.world.run_for(1s);
        CHECK(rig.there().messages() == numbers(1, 900));
        CHECK(rig.there().observed.back().ends_with(" lost"));
    }
}

TEST_CASE("Tcp's graceful close follows the sent messages, and ends both sides",
          "[sim][tcp][unit]") {
    ConnectionRig rig;
    rig.connect();
    for (int i = 1; i <= 50; ++i) {
        REQUIRE(rig.link().send(to_bytes(std::to_string(i))) == SendResult::sent);
    }
    rig.link().stop();
    CHECK(rig.link().send(to_bytes("more")) == SendResult::down);
    SECTION("the peer answers it") {
        rig.world.run_for(20ms);
        CHECK(rig.there().messages() == numbers(1, 50));
        CHECK(rig.there().live == 0);
        CHECK(rig.notes.live == 0);
        CHECK(rig.world.network().sockets(rig.client) == 0);
    }
    SECTION("a frozen peer does not, and the linger ends it") {
        rig.world.pause(rig.server);
        rig.world.run_for(1900ms);
        CHECK(rig.notes.live == 1);
        rig.world.run_for(200ms);
        CHECK(rig.notes.live == 0);
        CHECK(rig.world.network().sockets(rig.client) == 0);
        CHECK(rig.world.network().sockets(rig.server) == 1);
        rig.world.resume(rig.server);
        rig.world.run_for(1s);
        CHECK(rig.world.network().sockets(rig.server) == 0);
        CHECK(rig.there().live == 0);
    }
    SECTION("both at once") {
        rig.peer().stop();
        rig.world.run_for(20ms);
        CHECK(rig.notes.live == 0);
        CHECK(rig.there().live == 0);
        CHECK(rig.world.network().sockets(rig.server) == 0);
    }
}

TEST_CASE("Tcp that is destroyed or killed delivers a prefix of the messages in flight",
          "[sim][tcp][property]") {
    const bool killed = GENERATE(true, false);
    int all = 0, some = 0, none = 0;
    for_each_seed(
        [&](Seed seed) {
            ConnectionRig rig{{}, seed};
            rig.connect();
            for (int i = 1; i <= 20; ++i) {
                REQUIRE(rig.link().send(to_bytes(std::to_string(i))) == SendResult::sent);
            }
            rig.world.run_for(100us);  // the round has ended: the messages are under way
            const std::size_t old = rig.connection_log.size();
            if (killed) {
                rig.world.restart(rig.client);
            } else {
                rig.link().reconnect_now();
            }
            rig.world.run_for(1s);
            REQUIRE(rig.connection_log.size() == old + 1);
            REQUIRE(rig.connection_log[old]->messages().empty());
            const Notes& n = *rig.connection_log[old - 1];
            const auto got = n.messages();
            REQUIRE(got == numbers(1, static_cast<int>(got.size())));
            REQUIRE(n.observed.back().ends_with(" lost"));
            (got.empty() ? none : got.size() == 20 ? all : some) += 1;
        },
        200);
    if (all + some + none < 200) return;  // one in 50 delivers none
    CHECK(all > 0);
    CHECK(some > 0);
    CHECK(none > 0);
}

TEST_CASE("Tcp of a dead connection may deliver while the next one is open",
          "[sim][tcp][property]") {
    // Therefore, a receiver must fence the older of two connections.
    int overlaps = 0;
    for_each_seed(
        [&](Seed seed) {
            ConnectionRig rig{{}, seed};
            rig.connect();
            rig.world.network().latency(1ms, 50ms);
            bool open = false;
            const std::size_t old = rig.connection_log.size() - 1;
            rig.connection_log[old]->hook = [&](const std::string&) {
                if (open) ++overlaps;
            };
            for (int i = 1; i <= 20; ++i) {
                REQUIRE(rig.link().send(to_bytes(std::to_string(i))) == SendResult::sent);
            }
            rig.world.restart(rig.client);
            static_cast<void>(
                rig.world.run_until([&] { return rig.connection_log.size() > old + 1; }, 1s));
            open = true;
            rig.world.run_for(1s);
        },
        200);
    if (from_environment("BELAY_SEED", 0) == 0) CHECK(overlaps > 0);
}

namespace {

/// Both sides send numbered messages on every connection, and the script causes every fault.
struct FaultyTransfer {
    explicit FaultyTransfer(Seed seed)
        : world{seed},
          server{world.host("server",
                            [this](sim::Host& h) {
                                auto s = std::make_unique<Server>(h, connection_log, options);
                                reply_to_messages(h, *s);
                                return s;
                            })},
          client{world.host("client", [this](sim::Host& h) {
              auto c = std::make_unique<Client>(h, notes, options);
              exchange(h, *c);
              return c;
          })} {
        notes.hook = [this](const std::string& what) {
            if (what == "connected") {
                ++epoch;
                next = 0;
                received = 0;
            }
            if (what.starts_with("message ")) check_message(what.substr(8));
        };
        if ((world.bits()() & 1) != 0) world.network().cut_one_in(40);
        if ((world.bits()() & 1) != 0) world.network().window_bytes(300);
        for (int i = 0; i < 12; ++i) {
            const Duration begin = draw(20s);
            const std::uint64_t kind = uniform_upto(world.bits(), 11);
            world.at(begin, [this, kind] { strike(kind); });
            world.at(begin + draw(8s), [this, kind] { relieve(kind); });
        }
    }
    Duration draw(Duration most) {
        return Duration{static_cast<std::int64_t>(
            uniform_upto(world.bits(), static_cast<std::uint64_t>(most.count())))};
    }
    void exchange(sim::Host& h, Client& c) {
        const std::string text = std::to_string(epoch) + " " + std::to_string(next);
        if (c.link.send(to_bytes(text)) == SendResult::sent) ++next;
        h.after(draw(60ms), [this, &h, &c] { exchange(h, c); });
    }
    void reply_to_messages(sim::Host& h, Server& s) {
        for (auto& p : s.peers) {
            const std::string text = std::to_string(p->notes.sent);
            if (p->link.send(to_bytes(text)) == SendResult::sent) ++p->notes.sent;
        }
        h.after(draw(60ms), [this, &h, &s] { reply_to_messages(h, s); });
    }
    /// The server sends 0, 1, 2, ... on one connection.
    void check_message(const std::string& text) {
        REQUIRE(text == std::to_string(received));
        ++received;
    }
    void strike(std::uint64_t kind) {
        sim::Network& net = world.network();
        if (kind <= 1) net.partition(client, server);
        if (kind == 2) net.drop_connections(client, server);
        if (kind == 3) net.half_open(client, server);
        if (kind == 4) net.half_open(server, client);
        if (kind == 5) net.refuse(server);
        if (kind == 6) world.kill(server);
        if (kind == 7) world.kill(client);
        if (kind == 8) world.pause(server);
        if (kind == 9) world.pause(client);
        if (kind == 10) server.exhaust_descriptors();
        if (kind == 11) client.exhaust_descriptors();
    }
    void relieve(std::uint64_t kind) {
        if (kind <= 1) world.network().heal(client, server);
        if (kind == 5) world.network().accept(server);
        if (kind == 6) world.restart(server);
        if (kind == 7) world.restart(client);
        if (kind == 8) world.resume(server);
        if (kind == 9) world.resume(client);
        if (kind == 10) server.exhaust_descriptors(false);
        if (kind == 11) client.exhaust_descriptors(false);
    }
    /// Checks that on each connection the server received n messages of one epoch: 0, 1, ... n-1.
    void check() const {
        for (const auto& n : connection_log) {
            const auto got = n->messages();
            const std::string prefix = got.empty() ? "" : got[0].substr(0, got[0].find(' ') + 1);
            for (std::size_t i = 0; i < got.size(); ++i) {
                REQUIRE(got[i] == prefix + std::to_string(i));
            }
            REQUIRE(n->most_live <= 1);
        }
        REQUIRE(notes.most_live <= 1);
    }

    const PeerOptions options{.heartbeat = {.every = 1s, .dead_after = 3s}, .messages_max = 8};
    Server::ConnectionLog connection_log;
    Notes notes;
    int epoch = 0;
    std::uint64_t next = 0;
    std::uint64_t received = 0;
    sim::World world;
    sim::Host& server;
    sim::Host& client;
};

}  // namespace

TEST_CASE("Tcp delivers in order and once, or breaks, through all faults", "[sim][tcp][property]") {
    std::uint64_t connections = 0, messages = 0;
    for_each_seed([&](Seed seed) {
        FaultyTransfer s{seed};
        s.world.run_for(30s);
        s.check();
        // After all faults, one connection is open, and carries all messages.
        s.world.network().heal_all();
        s.world.network().accept(s.server);
        s.world.network().cut_one_in(0);
        for (sim::Host* const h : {&s.server, &s.client}) {
            if (!h->alive()) s.world.restart(*h);
            s.world.resume(*h);
            h->exhaust_descriptors(false);
        }
        s.world.run_for(40s);
        s.check();
        REQUIRE(s.client.process<Client>()->link.status().state == LinkState::connected);
        REQUIRE(s.world.network().sockets(s.client) == 1);
        REQUIRE(s.world.network().sockets(s.server) == 1);
        // No message is sent for a while, so all sent ones have arrived.
        s.world.pause(s.client);
        s.world.run_for(1s);
        // The open connection need not be the last accepted one: an old dial may arrive late.
        const auto live = std::find_if(s.connection_log.begin(), s.connection_log.end(),
                                       [](const auto& n) { return n->live == 1; });
        REQUIRE(live != s.connection_log.end());
        REQUIRE((*live)->messages().size() == s.next);
        connections += s.connection_log.size();
        for (const auto& n : s.connection_log) messages += n->messages().size();
    });
    std::printf("storms: %llu connections, %llu messages\n",
                static_cast<unsigned long long>(connections),
                static_cast<unsigned long long>(messages));
    CHECK(messages > connections);
}

TEST_CASE("Tcp reports the progress of a long message, as a stream of bytes does",
          "[sim][tcp][regression]") {
    ConnectionRig rig;
    rig.connect();
    rig.world.network().bandwidth(rig.client, rig.server, 10'000);
    CHECK(rig.link().send(Bytes(900'000)) == SendResult::sent);  // 90 s, and dead_after is 25 s
    SECTION("the peer reads") {
        rig.world.run_for(2min);
        CHECK(rig.there().messages().size() == 1);
        CHECK(rig.connected());
        CHECK(rig.connection_log.size() == 1);
    }
    SECTION("the peer reads slowly") {
        rig.world.network().bandwidth(rig.client, rig.server, 0);
        rig.world.network().slow_reader(rig.server, 10'000);
        rig.world.run_for(2min);
        CHECK(rig.there().messages().size() == 1);
        CHECK(rig.connection_log.size() == 1);
    }
    SECTION("the peer stops reading") {
        rig.world.run_for(30s);
        rig.world.pause(rig.server);
        rig.world.run_for(26s);
        CHECK(rig.notes.count("cooldown timed_out") == 1);
    }
}

TEST_CASE("Tcp reports output that is written while the process waits for space",
          "[sim][tcp][regression]") {
    ConnectionRig rig;
    rig.connect();
    rig.world.network().bandwidth(rig.client, rig.server, 1'000);
    const auto fill = [&rig] {
        while (rig.link().send(Bytes(1000)) == SendResult::sent) ++rig.notes.sent;
    };
    rig.notes.hook = [&fill](const std::string& what) {
        if (what == "writable") fill();
    };
    fill();
    rig.world.run_for(5min);  // the window alone takes 64 s
    CHECK(rig.connected());
    CHECK(rig.connection_log.size() == 1);
    CHECK(rig.there().messages().size() > 250);
    rig.world.pause(rig.server);
    rig.world.run_for(26s);
    CHECK(rig.notes.count("cooldown timed_out") == 1);
}
