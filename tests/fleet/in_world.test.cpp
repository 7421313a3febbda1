// SPDX-License-Identifier: MIT
// Goal: services stay connected while one of them is down, and an outage of the network counts
// as no service's failure. Method: a simulated world with three servers, one of which is killed;
// then a cut cable.
#include <array>
#include <memory>
#include <string>
#include <vector>

#include <belay/backoff/backoff.hpp>
#include <belay/backoff/caps.hpp>
#include <belay/backoff/jitters.hpp>
#include <belay/fleet/fleet.hpp>
#include <belay/link/heartbeat.hpp>
#include <belay/policy/rules.hpp>
#include <belay/sim.hpp>

#include "support/catch.hpp"
#include "support/seeds.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

/// The records of the test, which outlive the processes.
struct Log {
    std::array<int, 3> messages{};
    std::array<int, 3> connects{};
    std::array<int, 3> gave_up{};
    int outages = 0;
};

/// Sends a message to each client every second.
class Broadcaster {
public:
    explicit Broadcaster(sim::Host& host) : host_{host} {
        host.listen(9000, [this](sim::Accepted connection) {
            served_connections_.push_back(
                std::make_unique<ServedConnection>(std::move(connection), MaxAttempts{1}));
            host_.attach(*served_connections_.back());
            served_connections_.back()->start();
        });
        exchange();
    }

private:
    using ServedConnection = Supervisor<sim::Accepted, MaxAttempts>;
    void exchange() {
        for (auto& served : served_connections_) static_cast<void>(served->send(Bytes(3)));
        host_.after(1s, [this] { exchange(); });
    }
    sim::Host& host_;
    std::vector<std::unique_ptr<ServedConnection>> served_connections_{};
};

struct Counts {
    Log* log;
    std::size_t which;
    void on_state(const Transition& t) {
        log->connects[which] += t.to.state == LinkState::connected ? 1 : 0;
        log->gave_up[which] += t.to.state == LinkState::failed ? 1 : 0;
    }
    void on_message(const Bytes&) { ++log->messages[which]; }
};
struct CountsOutages {
    Log* log;
    void on_network_suspect(const NetworkSuspect&) { ++log->outages; }
};

struct Client {
    Client(sim::Host& host, Log& log) : fleet{FleetOptions{}, CountsOutages{&log}} {
        host.attach(fleet);
        for (std::size_t i = 0; i < 3; ++i) {
            const std::string server{"ABC"[i]};
            // Few attempts: an outage that counted would use them up.
            fleet.add(
                server, Heartbeat{sim::Tcp{host, server, 9000}, {.every = 2s, .dead_after = 5s}},
                Policy{Backoff{FullJitter{}, Cap{5s}, 1s}, ResetWhenStable{10s}, MaxAttempts{8}},
                Counts{&log, i});
        }
        fleet.start();
    }
    Fleet<CountsOutages> fleet;
};

std::array<sim::Host*, 3> talkers(sim::World& world) {
    const auto one = [&](const char* name) {
        return &world.host(name, [](sim::Host& h) { return std::make_unique<Broadcaster>(h); });
    };
    return {one("A"), one("B"), one("C")};
}

}  // namespace

TEST_CASE("Fleet: services A and C stay connected while B is down, in the simulated world",
          "[fleet][in_world][sim]") {
    for_each_seed(
        [](Seed seed) {
            Log log;
            sim::World world{seed};
            const auto hosts = talkers(world);
            world.host("client", [&](sim::Host& h) { return std::make_unique<Client>(h, log); });
            world.run_for(30s);
            REQUIRE(log.connects == std::array{1, 1, 1});
            world.kill(*hosts[1]);
            world.run_for(20s);
            const Log before = log;
            world.run_for(60s);
            REQUIRE(log.messages[0] - before.messages[0] >= 58);
            REQUIRE(log.messages[1] == before.messages[1]);
            REQUIRE(log.messages[2] - before.messages[2] >= 58);
            REQUIRE(log.connects[0] + log.connects[2] == 2);
            REQUIRE(log.outages == 0);
        },
        20);
}

TEST_CASE("Fleet: an hour without a network uses no attempt, in the simulated world",
          "[fleet][in_world][sim]") {
    for_each_seed(
        [](Seed seed) {
            Log log;
            sim::World world{seed};
            const auto hosts = talkers(world);
            sim::Host& client = world.host(
                "client", [&](sim::Host& h) { return std::make_unique<Client>(h, log); });
            world.run_for(30s);
            REQUIRE(log.connects == std::array{1, 1, 1});
            // The interface goes down: every connection breaks, and no packet is sent any more.
            for (sim::Host* const host : hosts) {
                world.network().drop_connections(client, *host);
                world.network().partition(client, *host);
            }
            world.run_for(1h);
            REQUIRE(log.outages > 10);
            REQUIRE(log.gave_up == std::array{0, 0, 0});
            world.network().heal_all();
            world.run_for(2min);
            REQUIRE(log.connects == std::array{2, 2, 2});
        },
        20);
}
