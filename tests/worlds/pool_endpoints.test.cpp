// SPDX-License-Identifier: MIT
// Goal: all connections of a Pool over Endpoints are open soon, although the first endpoint fails,
// and open again after each outage. Method: simulated worlds with two servers, each of which fails
// in one of three ways.
#include <belay/fleet/pool.hpp>

#include <memory>
#include <string>

#include <belay/backoff/backoff.hpp>
#include <belay/backoff/caps.hpp>
#include <belay/backoff/jitters.hpp>
#include <belay/link/endpoints.hpp>
#include <belay/link/heartbeat.hpp>
#include <belay/policy/rules.hpp>
#include <belay/sim/world.hpp>

#include "support/catch.hpp"
#include "support/worlds/silent_server.hpp"
#include "support/worlds/watched_tcp.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

auto two_places_policy() {
    return Policy{Backoff{FullJitter{}, Cap{2s}, 250ms}, ResetWhenStable{2s}, AttemptTimeout{2s}};
}

/// Dials port 1, or another one, which refuses at once.
struct PortedTcp {
    using message_type = Bytes;
    sim::Host* host;
    ConnectionRecord* record;
    const std::uint16_t* port;
    [[nodiscard]] auto open(const Link<Bytes>& link, const std::string& peer) const {
        return WatchedTcp{*host, *record, peer, *port}.open(link);
    }
};

/// A pool over two endpoints, of which `east` is preferred.
class TwoPlacesClient {
    using Places = Endpoints<PortedTcp, std::string>;
    using Connections = Pool<Heartbeat<Places>, decltype(two_places_policy())>;

public:
    TwoPlacesClient(sim::Host& host, sim::History& history, std::size_t size)
        : record_{.history = &history, .name = "client"},
          pool_{{Places{PortedTcp{&host, &record_, &port_},
                        {std::string{"east"}, std::string{"west"}}},
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
    ConnectionRecord record_;
    std::uint16_t port_ = 1;
    Connections pool_;
};

/// A client with a pool of `size` connections, and the servers of its two endpoints. If
/// `east_closes`, the preferred one closes each new connection.
struct TwoPlaces {
    TwoPlaces(std::uint64_t seed, std::size_t size, bool east_closes = false)
        : world{Seed{seed}},
          east{east_closes ? world.host("east", close) : world.host("east", serve)},
          west{world.host("west", serve)},
          client{world.host("client", [this, size](sim::Host& host) {
              return std::make_unique<TwoPlacesClient>(host, history, size);
          })} {}
    [[nodiscard]] static std::unique_ptr<SilentServer> serve(sim::Host& host) {
        return std::make_unique<SilentServer>(host);
    }
    [[nodiscard]] static std::unique_ptr<ClosingServer> close(sim::Host& host) {
        return std::make_unique<ClosingServer>(host);
    }
    [[nodiscard]] TwoPlacesClient& program() { return *client.process<TwoPlacesClient>(); }
    [[nodiscard]] bool becomes_whole(Duration within) {
        return world.run_until([&] { return program().is_whole(); }, within);
    }

    sim::World world;
    sim::History history{world.clock()};
    sim::Host& east;
    sim::Host& west;
    sim::Host& client;
};

}  // namespace

TEST_CASE("Pool has all its connections within seconds although its first endpoint refuses at once",
          "[worlds][pool][sim]") {
    const std::size_t size = GENERATE(std::size_t{4}, std::size_t{32}, std::size_t{100});
    INFO(size << " connections");
    TwoPlaces places{size, size};
    auto& world = places.world;
    // The endpoints are tried one after the other: the wait of the scout, one wait to settle, and
    // one before the second endpoint. Connections that dialled one after the other would take a
    // quarter of a second each.
    const auto becomes_whole = [&] { return places.becomes_whole(3s); };
    world.kill(places.east);
    CHECK(becomes_whole());
    world.restart(places.east);
    world.kill(places.west);
    world.run_for(20s);
    CHECK(becomes_whole());
    world.kill(places.east);
    world.restart(places.west);
    CHECK(becomes_whole());
}

TEST_CASE("Pool has all its connections within seconds although its first endpoint closes each one",
          "[worlds][pool][sim][regression]") {
    const std::size_t size = GENERATE(std::size_t{4}, std::size_t{32}, std::size_t{100});
    INFO(size << " connections");
    TwoPlaces places{size, size, true};
    CHECK(places.becomes_whole(3s));
    places.world.run_for(5s);
    places.world.kill(places.west);
    places.world.run_for(20s);
    places.world.restart(places.west);
    CHECK(places.becomes_whole(4s));
}

TEST_CASE("Pool has one scout while no endpoint accepts more connections", "[worlds][pool][sim]") {
    TwoPlaces places{7, 1};
    auto& world = places.world;
    world.run_for(5s);
    REQUIRE(places.program().is_whole());
    places.program().refuse();
    places.program().resize(33);
    const auto dials = [&] { return places.history.dials().at("client").size(); };
    // Each of the 32 connections tries both endpoints at most.
    world.run_for(5s);
    const std::size_t tries = dials() - 1;
    CHECK(tries >= 32);
    CHECK(tries <= 2 * 32 + 20);
    // After that, one of them dials, at most once a second on average.
    world.run_for(20s);
    const std::size_t later = dials() - 1 - tries;
    CHECK(later >= 10);
    CHECK(later <= 30);
}

TEST_CASE(
    "Pool over Endpoints has all its connections soon although its first endpoint never answers",
    "[worlds][pool][sim]") {
    const std::size_t size = GENERATE(std::size_t{1}, std::size_t{4}, std::size_t{32});
    const int fault = GENERATE(0, 1, 2);
    INFO(size << " connections, fault " << fault);
    TwoPlaces places{size, size};
    auto& world = places.world;
    const auto fail = [&](sim::Host& server) {
        if (fault == 0) world.kill(server);
        if (fault == 1) world.network().partition(server, places.client);
        if (fault == 2) world.pause(server);
    };
    const auto heal = [&](sim::Host& server) {
        if (fault == 0) world.restart(server);
        if (fault == 1) world.network().heal(server, places.client);
        if (fault == 2) world.resume(server);
    };
    const auto becomes_whole = [&] { return places.becomes_whole(15s); };
    fail(places.east);
    CHECK(becomes_whole());
    // A frozen peer is noticed only by its lost heartbeat.
    world.run_for(20s);
    CHECK(becomes_whole());
    heal(places.east);
    fail(places.west);
    world.run_for(20s);
    CHECK(becomes_whole());
    // No server works, and then the other one does.
    fail(places.east);
    world.run_for(20s);
    heal(places.west);
    CHECK(becomes_whole());
}
