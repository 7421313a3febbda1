// SPDX-License-Identifier: MIT
// Goal: all connections of a Pool over Endpoints are up soon, although the first endpoint is gone,
// and come back after each outage. Method: simulated worlds with two servers, each of which goes
// away in one of three ways.
#include <belay/fleet/pool.hpp>

#include <memory>
#include <string>
#include <vector>

#include <belay/backoff/backoff.hpp>
#include <belay/backoff/cap.hpp>
#include <belay/backoff/full_jitter.hpp>
#include <belay/link/endpoints.hpp>
#include <belay/link/heartbeat.hpp>
#include <belay/policy/attempt_timeout.hpp>
#include <belay/policy/max_attempts.hpp>
#include <belay/policy/reset_when_stable.hpp>
#include <belay/sim/accepted.hpp>
#include <belay/sim/world.hpp>

#include "support/catch.hpp"
#include "support/worlds/watched_tcp.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

/// Accepts every connection, and sends nothing.
class SilentServer {
    using Served = Supervisor<sim::Accepted, MaxAttempts>;

public:
    explicit SilentServer(sim::Host& host) {
        host.listen(1, [this, &host](sim::Accepted connection) {
            served_.push_back(std::make_unique<Served>(std::move(connection), MaxAttempts{1}));
            host.attach(*served_.back());
            served_.back()->start();
        });
    }

private:
    std::vector<std::unique_ptr<Served>> served_{};
};

auto two_places_policy() {
    return Policy{Backoff{FullJitter{}, Cap{2s}, 250ms}, ResetWhenStable{2s}, AttemptTimeout{2s}};
}

/// Dials port 1, or another one, which refuses at once.
struct PortedTcp {
    using message_type = Bytes;
    sim::Host* host;
    Wiretap* tap;
    const std::uint16_t* port;
    [[nodiscard]] auto open(const Link<Bytes>& link, const std::string& peer) const {
        return WatchedTcp{*host, *tap, peer, *port}.open(link);
    }
};

/// A pool over two endpoints, of which `east` is preferred.
class TwoPlacesClient {
    using Places = Endpoints<PortedTcp, std::string>;
    using Connections = Pool<Heartbeat<Places>, decltype(two_places_policy())>;

public:
    TwoPlacesClient(sim::Host& host, sim::History& history, std::size_t size)
        : tap_{.history = &history, .name = "client"},
          pool_{
              {Places{PortedTcp{&host, &tap_, &port_}, {std::string{"east"}, std::string{"west"}}},
               {.every = 1s, .dead_after = 2500ms}},
              two_places_policy(),
              {.size = size}} {
        host.attach(pool_);
        pool_.start();
    }
    [[nodiscard]] bool is_whole() const {
        return pool_.status().connected == pool_.status().size && pool_.status().suspect == 0;
    }
    void resize(std::size_t size) { pool_.resize(size); }
    /// From now on, both endpoints refuse each new connection.
    void refuse() { port_ = 2; }

private:
    Wiretap tap_;
    std::uint16_t port_ = 1;
    Connections pool_;
};

}  // namespace

TEST_CASE("Pool is whole within seconds although its first endpoint refuses at once",
          "[worlds][pool][sim]") {
    const std::size_t size = GENERATE(std::size_t{4}, std::size_t{32}, std::size_t{100});
    INFO(size << " connections");
    sim::World world{Seed{size}};
    sim::History history{world.clock()};
    const auto serve = [](sim::Host& host) { return std::make_unique<SilentServer>(host); };
    sim::Host& east = world.host("east", serve);
    sim::Host& west = world.host("west", serve);
    sim::Host& client = world.host("client", [&](sim::Host& host) {
        return std::make_unique<TwoPlacesClient>(host, history, size);
    });
    // One endpoint after the other: the wait of the scout, one to settle, and one before the second
    // endpoint. One connection after the other would take a quarter of a second for each.
    const auto becomes_whole = [&] {
        return world.run_until([&] { return client.process<TwoPlacesClient>()->is_whole(); }, 3s);
    };
    world.kill(east);
    CHECK(becomes_whole());
    world.restart(east);
    world.kill(west);
    world.run_for(20s);
    CHECK(becomes_whole());
    world.kill(east);
    world.restart(west);
    CHECK(becomes_whole());
}

TEST_CASE("Pool has one scout while no endpoint accepts more connections", "[worlds][pool][sim]") {
    sim::World world{Seed{7}};
    sim::History history{world.clock()};
    const auto serve = [](sim::Host& host) { return std::make_unique<SilentServer>(host); };
    static_cast<void>(world.host("east", serve));
    static_cast<void>(world.host("west", serve));
    sim::Host& client = world.host("client", [&](sim::Host& host) {
        return std::make_unique<TwoPlacesClient>(host, history, 1);
    });
    world.run_for(5s);
    REQUIRE(client.process<TwoPlacesClient>()->is_whole());
    client.process<TwoPlacesClient>()->refuse();
    client.process<TwoPlacesClient>()->resize(33);
    const auto dials = [&] { return history.dials().at("client").size(); };
    // Each of the 32 connections tries both endpoints at most.
    world.run_for(5s);
    const std::size_t tries = dials() - 1;
    CHECK(tries >= 32);
    CHECK(tries <= 2 * 32 + 20);
    // Then one of them dials, at most once a second on average.
    world.run_for(20s);
    const std::size_t later = dials() - 1 - tries;
    CHECK(later >= 10);
    CHECK(later <= 30);
}

TEST_CASE("Pool over Endpoints is whole soon although its first endpoint is gone",
          "[worlds][pool][sim]") {
    const std::size_t size = GENERATE(std::size_t{1}, std::size_t{4}, std::size_t{32});
    const int fault = GENERATE(0, 1, 2);
    INFO(size << " connections, fault " << fault);
    sim::World world{Seed{size}};
    sim::History history{world.clock()};
    const auto serve = [](sim::Host& host) { return std::make_unique<SilentServer>(host); };
    sim::Host& east = world.host("east", serve);
    sim::Host& west = world.host("west", serve);
    sim::Host& client = world.host("client", [&](sim::Host& host) {
        return std::make_unique<TwoPlacesClient>(host, history, size);
    });
    const auto fail = [&](sim::Host& server) {
        if (fault == 0) world.kill(server);
        if (fault == 1) world.network().partition(server, client);
        if (fault == 2) world.pause(server);
    };
    const auto heal = [&](sim::Host& server) {
        if (fault == 0) world.restart(server);
        if (fault == 1) world.network().heal(server, client);
        if (fault == 2) world.resume(server);
    };
    const auto becomes_whole = [&] {
        return world.run_until([&] { return client.process<TwoPlacesClient>()->is_whole(); }, 15s);
    };
    fail(east);
    CHECK(becomes_whole());
    // A frozen peer shows only when its heartbeat is lost.
    world.run_for(20s);
    CHECK(becomes_whole());
    heal(east);
    fail(west);
    world.run_for(20s);
    CHECK(becomes_whole());
    // Without any server, and then with the other one again.
    fail(east);
    world.run_for(20s);
    heal(west);
    CHECK(becomes_whole());
}
