// SPDX-License-Identifier: MIT
// Goal: each fault has the same effects at each end as on a real network, and no others, for a
// real supervisor. Method: a client and a server in a simulated world.
#include <belay/sim/network.hpp>

#include "support/catch.hpp"
#include "support/sim/sim_peers.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

/// One client, one server; a heartbeat of 10 s, dead after 25 s.
struct NetworkRig {
    explicit NetworkRig(PeerOptions o = {}) : NetworkRig{o, o} {}
    NetworkRig(PeerOptions o, PeerOptions p)
        : server{world.host(
              "server",
              [this, o](sim::Host& h) { return std::make_unique<Server>(h, connection_log, o); })},
          client{world.host(
              "client", [this, p](sim::Host& h) { return std::make_unique<Client>(h, notes, p); })},
          net{world.network()} {
        net.latency(2ms, 2ms);
    }

    auto& link() { return client.process<Client>()->link; }
    [[nodiscard]] bool connected() {
        return client.process<Client>() != nullptr && link().status().state == LinkState::connected;
    }
    void connect() {
        REQUIRE(world.run_until([&] { return connected(); }, 10s));
    }
    /// The server's notes of the newest connection.
    Notes& there() { return *connection_log.back(); }
    [[nodiscard]] Duration now() const { return world.now().time_since_epoch(); }

    Server::ConnectionLog connection_log;
    Notes notes;
    sim::World world{Seed{11}};
    sim::Host& server;
    sim::Host& client;
    sim::Network& net;
};

}  // namespace

TEST_CASE("Network carries messages within its latency", "[sim][network][unit]") {
    NetworkRig rig;
    rig.connect();
    rig.net.latency(5ms, 9ms);
    Duration least = 1h, most = 0ns;
    for (int i = 0; i < 200; ++i) {
        const Duration begin = rig.now();
        REQUIRE(rig.link().send(to_bytes(std::to_string(i))) == SendResult::sent);
        rig.world.run_for(20ms);
        const Duration took = rig.there().when.back() - begin;
        least = std::min(least, took);
        most = std::max(most, took);
    }
    CHECK(rig.there().messages().size() == 200);
    CHECK(least >= 5ms);
    CHECK(least < 5200us);
    CHECK(most <= 9ms);
    CHECK(most > 8800us);
}

TEST_CASE("Network::bandwidth limits one direction of a link", "[sim][network][unit]") {
    NetworkRig rig;
    rig.connect();
    rig.net.bandwidth(rig.client, rig.server, 10'000);
    const Duration begin = rig.now();
    // With 40 bytes of headers each: half a second.
    REQUIRE(rig.link().send(Bytes(4'960)) == SendResult::sent);
    REQUIRE(rig.link().send(Bytes(4'960)) == SendResult::sent);
    rig.world.run_for(495ms);
    CHECK(rig.there().messages().empty());
    rig.world.run_for(30ms);
    CHECK(rig.there().messages().size() == 1);
    rig.world.run_for(465ms);
    CHECK(rig.there().messages().size() == 1);
    rig.world.run_for(30ms);
    CHECK(rig.there().messages().size() == 2);
    CHECK(rig.there().when.back() - begin >= 1s);

    rig.there().echo = true;  // the answer is not limited
    REQUIRE(rig.link().send(Bytes(60)) == SendResult::sent);
    rig.world.run_for(15ms);
    CHECK(rig.notes.messages().size() == 1);
}

TEST_CASE("Network::bandwidth is shared by the connections of a link", "[sim][network][unit]") {
    struct TwoClients {
        TwoClients(sim::Host& h, Notes& a, Notes& b) : first{h, a, {}}, second{h, b, {}} {}
        Client first;
        Client second;
    };
    Server::ConnectionLog connections;
    Notes a, b;
    sim::World world{Seed{11}};
    sim::Host& server = world.host("server", [&](sim::Host& h) {
        return std::make_unique<Server>(h, connections, PeerOptions{});
    });
    sim::Host& client =
        world.host("client", [&](sim::Host& h) { return std::make_unique<TwoClients>(h, a, b); });
    world.run_for(1s);
    world.network().bandwidth(client, server, 10'000);
    auto& both = *client.process<TwoClients>();
    REQUIRE(both.first.link.send(Bytes(9'960)) == SendResult::sent);
    REQUIRE(both.second.link.send(Bytes(9'960)) == SendResult::sent);
    const auto arrived = [&] {
        std::size_t count = 0;
        for (const auto& notes : connections) count += notes->messages().size();
        return count;
    };
    world.run_for(1100ms);
    CHECK(arrived() == 1);
    world.run_for(1s);
    CHECK(arrived() == 2);
}

TEST_CASE("Network::bandwidth ends for what is under way, too", "[sim][network][unit]") {
    NetworkRig rig;
    rig.connect();
    rig.net.bandwidth(rig.client, rig.server, 1);
    REQUIRE(rig.link().send(Bytes(10'000)) == SendResult::sent);
    REQUIRE(rig.link().send(to_bytes("second")) == SendResult::sent);
    rig.world.run_for(5s);
    CHECK(rig.there().messages().empty());
    rig.net.bandwidth(rig.client, rig.server, 0);
    rig.world.run_for(105ms);
    CHECK(rig.there().messages().size() == 2);
}

TEST_CASE("A heartbeat ends a connection whose link is too slow for its messages",
          "[sim][network][unit]") {
    NetworkRig rig;
    rig.connect();
    rig.net.bandwidth(rig.client, rig.server, 1'000);
    REQUIRE(rig.link().send(Bytes(60'000)) == SendResult::sent);  // a ping waits behind it
    rig.world.run_for(40s);
    CHECK(rig.notes.count("cooldown lost") >= 1);
    rig.net.bandwidth(rig.client, rig.server, 0);
    rig.world.run_for(10s);
    CHECK(rig.connected());
}

TEST_CASE("Network::accept_then_close ends each new connection at once", "[sim][network][unit]") {
    NetworkRig rig;
    rig.connect();
    const std::size_t connections = rig.connection_log.size();
    rig.net.accept_then_close(rig.server);
    rig.world.run_for(1s);
    CHECK(rig.connected());  // a connection that is there stays
    rig.net.drop_connections(rig.client, rig.server);
    rig.world.run_for(10s);
    CHECK(rig.notes.count("connected") > 3);
    CHECK(rig.notes.count("cooldown lost") > 3);
    CHECK(rig.connection_log.size() == connections);  // no process sees them
    CHECK(rig.link().status().attempt > 3);           // and they are no success
    CHECK(rig.net.sockets(rig.server) == 0);
    rig.net.accept_then_close(rig.server, false);
    rig.world.run_for(5s);
    CHECK(rig.connected());
    CHECK(rig.connection_log.size() == connections + 1);
}

TEST_CASE("Network::partition holds messages, and notifies neither end", "[sim][network][unit]") {
    NetworkRig rig;
    rig.connect();
    rig.world.run_for(1s);
    REQUIRE(rig.link().send(to_bytes("before")) == SendResult::sent);
    rig.world.run_for(1ms);
    rig.net.partition(rig.server, rig.client);
    CHECK(rig.net.partitioned(rig.client, rig.server));
    REQUIRE(rig.link().send(to_bytes("during")) == SendResult::sent);
    rig.world.run_for(20s);
    CHECK(rig.there().messages().empty());
    CHECK(rig.connected());
    SECTION("it arrives when the partition heals in time, after the latency") {
        const Duration healed = rig.now();
        rig.net.heal(rig.client, rig.server);
        rig.world.run_for(1s);
        CHECK(rig.there().messages() == std::vector<std::string>{"before", "during"});
        CHECK(rig.there().last("message before") == healed + 2ms);
        CHECK(rig.connected());
        CHECK(rig.connection_log.size() == 1);
    }
    SECTION("heal_all heals too") {
        rig.net.heal_all();
        CHECK_FALSE(rig.net.partitioned(rig.client, rig.server));
        rig.world.run_for(1s);
        CHECK(rig.there().messages().size() == 2);
    }
    SECTION("the heartbeats of both sides notice it") {
        rig.world.run_for(6s);
        CHECK_FALSE(rig.connected());
        CHECK(rig.notes.last("cooldown timed_out") >= 25s);
        CHECK(rig.notes.last("cooldown timed_out") <= 1s + 26s);
        CHECK(rig.there().count("failed timed_out") + rig.there().count("cooldown timed_out") == 1);
        // Both have let go while nothing passed: what they had sent is lost, and nothing lingers.
        CHECK(rig.net.sockets(rig.server) == 0);
        rig.net.heal(rig.client, rig.server);
        rig.world.run_for(40s);
        CHECK(rig.connected());
        CHECK(rig.connection_log.size() == 2);
        CHECK(rig.connection_log[0]->messages().empty());
        CHECK(rig.net.sockets(rig.server) == 1);
        CHECK(rig.net.sockets(rig.client) == 1);
    }
}

TEST_CASE("Network::partition loses held messages when their sender closes",
          "[sim][network][unit]") {
    NetworkRig rig{{.heartbeat = {.every = 1h, .dead_after = 3h}}, {}};
    rig.connect();
    rig.world.run_for(1s);
    rig.net.partition(rig.client, rig.server);
    REQUIRE(rig.link().send(to_bytes("held")) == SendResult::sent);
    rig.world.run_for(30s);
    CHECK(rig.notes.count("cooldown timed_out") == 1);
    rig.net.heal(rig.client, rig.server);
    rig.world.run_for(1min);
    CHECK(rig.connected());
    REQUIRE(rig.connection_log.size() == 2);
    // Nobody sends it again, and nobody tells the server that the old connection is dead.
    CHECK(rig.connection_log[0]->messages().empty());
    CHECK(rig.connection_log[0]->observed.back() == "connected");
    CHECK(rig.net.sockets(rig.server) == 2);
}

TEST_CASE("Network::partition_one_way stops one direction", "[sim][network][unit]") {
    NetworkRig rig{{.heartbeat = {.every = 1h, .dead_after = 3h}},
                   {.heartbeat = {.every = 1h, .dead_after = 3h}}};
    rig.connect();
    rig.world.run_for(1s);
    rig.there().echo = true;
    SECTION("from the client to the server") {
        rig.net.partition_one_way(rig.client, rig.server);
        CHECK(rig.net.partitioned(rig.client, rig.server));
        CHECK_FALSE(rig.net.partitioned(rig.server, rig.client));
        REQUIRE(rig.link().send(to_bytes("late")) == SendResult::sent);
        rig.world.run_for(10s);
        CHECK(rig.there().messages().empty());
        rig.net.heal_one_way(rig.client, rig.server);
        rig.world.run_for(2ms);
        CHECK(rig.there().messages() == std::vector<std::string>{"late"});
    }
    SECTION("from the server to the client") {
        rig.net.partition_one_way(rig.server, rig.client);
        REQUIRE(rig.link().send(to_bytes("in time")) == SendResult::sent);
        rig.world.run_for(10s);
        CHECK(rig.there().messages() == std::vector<std::string>{"in time"});
        CHECK(rig.notes.messages().empty());  // the echo
        rig.net.heal(rig.client, rig.server);
        rig.world.run_for(2ms);
        CHECK(rig.notes.messages() == std::vector<std::string>{"in time"});
    }
    CHECK(rig.connected());
}

TEST_CASE("Network::partition_one_way lets a server accept a dial whose answer does not arrive",
          "[sim][network][unit]") {
    NetworkRig rig;
    rig.net.partition_one_way(rig.server, rig.client);
    rig.world.run_for(50ms);
    CHECK(rig.connection_log.size() == 1);
    CHECK_FALSE(rig.connected());
    rig.net.heal_all();
    rig.world.run_for(5ms);
    CHECK(rig.connected());
}

TEST_CASE("A sender's window stays full while no acknowledgement arrives", "[sim][network][unit]") {
    NetworkRig rig{{.heartbeat = {.every = 1h, .dead_after = 3h}},
                   {.heartbeat = {.every = 1h, .dead_after = 3h}}};
    rig.connect();
    rig.net.window_bytes(1000);
    rig.world.run_for(1s);
    rig.net.partition_one_way(rig.server, rig.client);
    const Bytes message(84);  // 100 bytes of the window
    for (int i = 0; i < 10; ++i) {
        REQUIRE(rig.link().send(message) == SendResult::sent);
        rig.world.run_for(10ms);
    }
    CHECK(rig.there().messages().size() == 10);  // all have arrived and were read
    CHECK(rig.link().send(message) == SendResult::busy);
    rig.world.run_for(10s);
    CHECK(rig.link().send(message) == SendResult::busy);
    rig.net.heal_one_way(rig.server, rig.client);
    rig.world.run_for(5ms);
    CHECK(rig.notes.observed.back() == "writable");
    CHECK(rig.link().send(message) == SendResult::sent);
}

TEST_CASE("Network::partition holds dials until it heals", "[sim][network][unit]") {
    NetworkRig rig;
    rig.net.partition(rig.client, rig.server);
    rig.world.run_for(29s);
    CHECK(rig.notes.observed == std::vector<std::string>{"connecting"});
    SECTION("the attempt's limit ends it") {
        rig.world.run_for(2s);
        CHECK(rig.notes.last("cooldown timed_out") == 30s);
        CHECK(rig.connection_log.empty());
    }
    SECTION("or the dialling goes through") {
        rig.net.heal(rig.client, rig.server);
        rig.world.run_for(10ms);
        CHECK(rig.connected());
        CHECK(rig.notes.last("connected") == 29s + 4ms);
    }
}

TEST_CASE("Network::drop_connections resets both ends", "[sim][network][unit]") {
    NetworkRig rig;
    rig.connect();
    rig.world.run_for(1s);
    const Duration begin = rig.now();
    rig.net.drop_connections(rig.server, rig.client);
    CHECK(rig.connected());
    rig.world.run_for(3ms);
    CHECK(rig.notes.last("cooldown lost") == begin + 2ms);
    CHECK(rig.there().when.back() == begin + 2ms);
    CHECK(rig.there().observed.back().ends_with(" lost"));
    CHECK(rig.net.sockets(rig.server) == 0);
    rig.world.run_for(5s);
    CHECK(rig.connected());
}

TEST_CASE("Network::half_open closes one end at once, and the other when it sends",
          "[sim][network][unit]") {
    NetworkRig rig;
    rig.connect();
    rig.world.run_for(1s);
    const Duration begin = rig.now();
    rig.net.half_open(rig.server, rig.client);
    rig.world.run_for(0s);
    CHECK(rig.there().when.back() == begin);
    CHECK(rig.there().observed.back().ends_with(" lost"));
    rig.world.run_for(5s);
    CHECK(rig.connected());
    CHECK(rig.net.sockets(rig.server) == 0);
    CHECK(rig.net.sockets(rig.client) == 1);
    SECTION("by sending") {
        const Duration sent = rig.now();
        REQUIRE(rig.link().send(to_bytes("lost")) == SendResult::sent);
        rig.world.run_for(5ms);
        CHECK(rig.notes.last("cooldown lost") == sent + 4ms);
        CHECK(rig.there().messages().empty());
    }
    SECTION("or by its next ping") {
        rig.world.run_for(6s);
        CHECK(rig.notes.last("cooldown lost") <= begin + 10s + 4ms);
        CHECK(rig.notes.last("cooldown lost") > begin + 5s);
    }
}

TEST_CASE("Network::refuse refuses until accept", "[sim][network][unit]") {
    NetworkRig rig;
    rig.net.refuse(rig.server);
    rig.world.run_for(5ms);
    CHECK(rig.notes.observed == std::vector<std::string>{"connecting", "cooldown refused"});
    CHECK(rig.notes.when.back() == 4ms);
    rig.world.run_for(10s);
    CHECK(rig.notes.count("cooldown refused") >= 4);
    CHECK(rig.notes.count("connected") == 0);
    rig.net.accept(rig.server);
    rig.world.run_for(3s);
    CHECK(rig.connected());
    SECTION("but existing connections stay open") {
        rig.net.refuse(rig.server);
        rig.world.run_for(1min);
        CHECK(rig.connected());
        CHECK(rig.connection_log.size() == 1);
    }
}

TEST_CASE("Network::cut_one_in cuts that often", "[sim][network][property]") {
    NetworkRig rig;
    rig.net.cut_one_in(10);
    int sent = 0;
    for (int i = 0; i < 20'000; ++i) {
        if (rig.connected() && rig.link().send(to_bytes("x")) == SendResult::sent) ++sent;
        rig.world.run_for(10ms);
    }
    // Heartbeats and messages behind a cut do not count; connections last ten messages on average.
    const auto cuts = static_cast<int>(rig.notes.count("cooldown lost"));
    CHECK(cuts > sent / 13);
    CHECK(cuts < sent / 8);
    rig.net.cut_one_in(0);
    rig.world.run_for(10s);
    const std::size_t before = rig.connection_log.size();
    for (int i = 0; i < 1000; ++i) {
        REQUIRE(rig.link().send(to_bytes("x")) == SendResult::sent);
        rig.world.run_for(10ms);
    }
    CHECK(rig.connection_log.size() == before);
}

TEST_CASE("World::kill resets the peers", "[sim][network][unit]") {
    NetworkRig rig;
    rig.connect();
    rig.world.run_for(1s);
    const Duration begin = rig.now();
    rig.world.kill(rig.server);
    rig.world.run_for(3ms);
    CHECK(rig.notes.last("cooldown lost") == begin + 2ms);
    rig.world.run_for(20s);
    CHECK(rig.notes.count("cooldown refused") > 5);
    rig.world.restart(rig.server);
    rig.world.run_for(4s);
    CHECK(rig.connected());
    CHECK(rig.net.sockets(rig.server) == 1);
}

TEST_CASE("World::kill in a partition leaves the peers half-open", "[sim][network][unit]") {
    NetworkRig rig{{.heartbeat = {.every = 1h, .dead_after = 3h}}};
    rig.connect();
    rig.world.run_for(1s);
    rig.net.partition(rig.client, rig.server);
    SECTION("killed after the partition began") { rig.world.kill(rig.server); }
    SECTION("killed after, with something held on the way") {
        REQUIRE(rig.link().send(to_bytes("held")) == SendResult::sent);
        rig.world.kill(rig.server);
        rig.world.run_for(1s);
        rig.net.heal(rig.client, rig.server);
        rig.world.run_for(5ms);
        CHECK(rig.notes.observed.back() == "cooldown lost");
        return;
    }
    SECTION("the reset still on the way when it began") {
        rig.net.heal(rig.client, rig.server);
        rig.world.run_for(1s);
        rig.world.kill(rig.server);
        rig.world.run_for(1ms);
        rig.net.partition(rig.client, rig.server);
    }
    rig.world.run_for(1min);
    CHECK(rig.connected());
    rig.net.heal(rig.client, rig.server);
    rig.world.run_for(1min);
    CHECK(rig.connected());
    // Until it sends.
    REQUIRE(rig.link().send(to_bytes("anyone?")) == SendResult::sent);
    rig.world.run_for(5ms);
    CHECK(rig.notes.observed.back() == "cooldown lost");
}

TEST_CASE("A reset sent for a dead process survives a partition", "[sim][network][regression]") {
    NetworkRig rig{{.heartbeat = {.every = 1h, .dead_after = 3h}}};
    rig.connect();
    rig.world.run_for(1s);
    rig.net.half_open(rig.server, rig.client);
    REQUIRE(rig.link().send(to_bytes("anyone?")) == SendResult::sent);
    rig.world.run_for(3ms);
    // The answer is on the way, and lost; but what was not acknowledged is sent again.
    rig.net.partition(rig.client, rig.server);
    rig.world.run_for(1min);
    CHECK(rig.connected());
    rig.net.heal(rig.client, rig.server);
    rig.world.run_for(5ms);
    CHECK(rig.notes.observed.back() == "cooldown lost");
}

TEST_CASE("Network::half_open keeps the reset of a connection that was dropped before",
          "[sim][network][regression]") {
    // Found by an exploration (examples/bugs/stale_pong.cpp, mended, seed 1466): the client sent for
    // ever into a connection that was over.
    NetworkRig rig{{.heartbeat = {.every = 1h, .dead_after = 3h}}};
    rig.connect();
    rig.world.run_for(1s);
    rig.net.partition(rig.client, rig.server);
    rig.net.drop_connections(rig.client, rig.server);
    rig.net.half_open(rig.server, rig.client);
    rig.world.run_for(1min);
    CHECK(rig.connected());
    rig.net.heal(rig.client, rig.server);
    rig.world.run_for(5ms);
    CHECK(rig.notes.observed.back() == "cooldown lost");
}

TEST_CASE("World::pause freezes the process, not the kernel", "[sim][network][unit]") {
    NetworkRig rig;
    SECTION("which completes connects, without an answer of the process") {
        rig.world.pause(rig.server);
        rig.world.run_for(5ms);
        CHECK(rig.connected());
        CHECK(rig.connection_log.empty());
        REQUIRE(rig.link().send(to_bytes("a")) == SendResult::sent);
        REQUIRE(rig.link().send(to_bytes("b")) == SendResult::sent);
        rig.world.run_for(26s);
        // Only the heartbeat notices.
        CHECK(rig.notes.count("cooldown timed_out") == 1);
        CHECK(rig.connected());
        const Duration thawed = rig.now();
        rig.world.resume(rig.server);
        rig.world.run_for(1s);
        // Both connections are accepted now; of the dead one what arrived, in order, and then its
        // end.
        REQUIRE(rig.connection_log.size() == 2);
        const auto old = rig.connection_log[0]->messages();
        CHECK(old.size() <= 2);
        for (std::size_t i = 0; i < old.size(); ++i) CHECK(old[i] == (i == 0 ? "a" : "b"));
        CHECK(rig.connection_log[0]->observed.back().ends_with(" lost"));
        CHECK(rig.connection_log[0]->when.back() == thawed);
        CHECK(rig.connection_log[1]->observed.back() == "connected");
        CHECK(rig.net.sockets(rig.server) == 1);
    }
}

TEST_CASE("World::resume lets a process read before its timers run", "[sim][network][unit]") {
    NetworkRig rig{{}, {.heartbeat = {.every = 1h, .dead_after = 3h}}};
    rig.connect();
    rig.world.run_for(1s);
    rig.world.pause(rig.server);
    rig.world.run_for(20s);
    REQUIRE(rig.link().send(to_bytes("alive")) == SendResult::sent);
    rig.world.run_for(20s);
    CHECK(rig.there().messages().empty());
    // Its heartbeat has been overdue for 15 s, but the client has spoken.
    rig.world.resume(rig.server);
    rig.world.run_for(1min);
    CHECK(rig.there().messages() == std::vector<std::string>{"alive"});
    CHECK(rig.connection_log.size() == 1);
    CHECK(rig.connected());
}

TEST_CASE("A frozen client keeps arriving messages", "[sim][network][unit]") {
    NetworkRig rig;
    rig.connect();
    rig.world.run_for(1s);
    auto& peer = rig.server.process<Server>()->peers.back()->link;
    rig.world.pause(rig.client);
    REQUIRE(peer.send(to_bytes("a")) == SendResult::sent);
    REQUIRE(peer.send(to_bytes("b")) == SendResult::sent);
    rig.world.run_for(5s);
    CHECK(rig.notes.messages().empty());
    const Duration thawed = rig.now();
    rig.world.resume(rig.client);
    rig.world.run_for(0s);
    CHECK(rig.notes.messages() == std::vector<std::string>{"a", "b"});
    CHECK(rig.notes.when.back() == thawed);
}

TEST_CASE("Network's faults touch only the hosts they name", "[sim][network][unit]") {
    Notes others;
    NetworkRig rig;
    sim::Host& other =
        rig.world.host("other", [&](sim::Host& h) { return std::make_unique<Client>(h, others); });
    rig.world.run_for(1s);
    REQUIRE(rig.connection_log.size() == 2);
    const auto observed = others.observed;
    rig.net.partition(rig.client, rig.server);
    rig.world.run_for(1min);
    rig.net.heal(rig.client, rig.server);
    rig.world.run_for(1min);
    rig.net.drop_connections(rig.client, rig.server);
    rig.net.half_open(rig.client, rig.server);
    rig.world.kill(rig.client);
    rig.world.run_for(1min);
    CHECK(others.observed == observed);
    CHECK(rig.net.sockets(other) == 1);
    CHECK(rig.net.sockets(rig.server) == 1);
}
