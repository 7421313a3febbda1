// SPDX-License-Identifier: MIT
// Goal: the services of a Fleet move to the next endpoint when the first one fails for all of them,
// although the fleet then suspects the network and counts no failure. Method: simulated worlds with
// two servers, each of which fails in one of three ways.
#include <belay/fleet/fleet.hpp>

#include <memory>
#include <string>
#include <vector>

#include <belay/backoff/backoff.hpp>
#include <belay/backoff/caps.hpp>
#include <belay/backoff/jitters.hpp>
#include <belay/link/endpoints.hpp>
#include <belay/link/heartbeat.hpp>
#include <belay/policy/rules.hpp>
#include <belay/sim/accepted.hpp>
#include <belay/sim/world.hpp>

#include "support/catch.hpp"
#include "support/worlds/silent_server.hpp"
#include "support/worlds/watched_tcp.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

/// A fleet of services that all prefer the same of two sites.
class TwoSitesClient {
public:
    TwoSitesClient(sim::Host& host, sim::History& history, std::size_t services, Duration limit)
        : record_{.history = &history, .name = "client"} {
        const std::vector<std::string> sites{"east", "west"};
        for (std::size_t i = 0; i < services; ++i) {
            fleet_.add("service " + std::to_string(i),
                       Heartbeat{Endpoints{WatchedTcp{host, record_}, sites},
                                 {.every = 1s, .dead_after = 2500ms}},
                       Policy{Backoff{FullJitter{}, Cap{2s}, 250ms}, ResetWhenStable{2s},
                              AttemptTimeout{limit}});
        }
        host.attach(fleet_);
        fleet_.start();
    }
    [[nodiscard]] bool is_whole() {
        return fleet_.counters().count(LinkState::connected) == fleet_.status().services.size();
    }

private:
    ConnectionRecord record_;
    Fleet<> fleet_;
};

}  // namespace

TEST_CASE("Fleet of services with Endpoints connects to the second when all lose the first",
          "[worlds][fleet][sim]") {
    struct Case {
        std::size_t services;
        Duration limit;   // of one attempt
        Duration within;  // the time in which all services are connected
    };
    const Case c =
        GENERATE(Case{2, 3s, 20s}, Case{3, 3s, 20s}, Case{3, 30s, 60s}, Case{20, 3s, 20s});
    const int fault = GENERATE(0, 1, 2);
    INFO(c.services << " services, fault " << fault);
    sim::World world{Seed{c.services}};
    sim::History history{world.clock()};
    const auto serve = [](sim::Host& host) { return std::make_unique<SilentServer>(host); };
    sim::Host& east = world.host("east", serve);
    sim::Host& west = world.host("west", serve);
    sim::Host& client = world.host("client", [&](sim::Host& host) {
        return std::make_unique<TwoSitesClient>(host, history, c.services, c.limit);
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
        return world.run_until([&] { return client.process<TwoSitesClient>()->is_whole(); },
                               c.within);
    };
    fail(east);
    CHECK(becomes_whole());
    world.run_for(5s);  // a frozen peer is noticed only by its lost heartbeat
    CHECK(becomes_whole());
    // The preferred site works again, and then fails.
    heal(east);
    fail(west);
    world.run_for(5s);
    CHECK(becomes_whole());
    world.run_for(10s);
    heal(west);
    fail(east);
    world.run_for(5s);
    CHECK(becomes_whole());
    // No site works, and then the second one does.
    fail(west);
    world.run_for(30s);
    heal(west);
    CHECK(becomes_whole());
}
