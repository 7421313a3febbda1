// SPDX-License-Identifier: MIT
// Goal: services of a Fleet that share a budget of retries are all connected soon after an outage
// that has used the budget up. Method: a simulated world, whose server is down for minutes.
#include <belay/fleet/fleet.hpp>

#include <memory>
#include <string>
#include <vector>

#include <belay/backoff/backoff.hpp>
#include <belay/backoff/caps.hpp>
#include <belay/backoff/jitters.hpp>
#include <belay/budget/budgets.hpp>
#include <belay/link/heartbeat.hpp>
#include <belay/policy/rules.hpp>
#include <belay/policy/shared.hpp>
#include <belay/sim/accepted.hpp>
#include <belay/sim/tcp.hpp>
#include <belay/sim/world.hpp>

#include "support/catch.hpp"

using namespace belay;
using namespace std::chrono_literals;

namespace {

enum class Peer : unsigned char { greets, never_sends };

/// Accepts every connection, and sends a greeting or nothing.
class GreetingServer {
    struct Greets {
        Peer peer;
        void on_state(auto& link, const Transition& change) {
            if (peer == Peer::never_sends) return;
            if (change.to.state == LinkState::connected) static_cast<void>(link.send("welcome"));
        }
    };
    using Served = Supervisor<sim::Accepted, MaxAttempts, Greets>;

public:
    GreetingServer(sim::Host& host, Peer peer) {
        host.listen(1, [this, &host, peer](sim::Accepted connection) {
            served_.push_back(
                std::make_unique<Served>(std::move(connection), MaxAttempts{1}, Greets{peer}));
            host.attach(*served_.back());
            served_.back()->start();
        });
    }

private:
    std::vector<std::unique_ptr<Served>> served_{};
};

/// Eight services of one server, which share one budget of retries.
template <class Budget>
class PayingFleet {
public:
    PayingFleet(sim::Host& host, Budget& budget, bool beats) {
        const Policy policy{Backoff{EqualJitter{}, Cap{2s}, 250ms}, Shared{budget, AskAgain{1s}},
                            AttemptTimeout{2s}};
        const sim::Tcp tcp{host, "server", 1};
        for (std::size_t i = 0; i < 8; ++i) {
            const std::string name = "service " + std::to_string(i);
            if (beats) {
                fleet_.add(name, Heartbeat{tcp, {.every = 1s, .dead_after = 3s}}, policy);
            } else {
                fleet_.add(name, tcp, policy);
            }
        }
        host.attach(fleet_);
        fleet_.start();
    }
    [[nodiscard]] bool is_whole() {
        return fleet_.counters().count(LinkState::connected) == fleet_.status().services.size();
    }

private:
    Fleet<> fleet_;
};

/// Returns whether all services are connected within this time after an outage of five minutes.
/// Without a Heartbeat, they would not notice a silent server. The fleet treats that as a failure
/// of the network, whose attempts need no tokens.
template <class Budget>
bool returns_after_an_outage(Budget& budget, bool is_silent, Duration within,
                             Peer peer = Peer::greets) {
    sim::World world{Seed{1}};
    sim::Host& server = world.host(
        "server", [peer](sim::Host& host) { return std::make_unique<GreetingServer>(host, peer); });
    sim::Host& client = world.host("client", [&](sim::Host& host) {
        return std::make_unique<PayingFleet<Budget>>(host, budget, is_silent);
    });
    const auto is_whole = [&] { return client.process<PayingFleet<Budget>>()->is_whole(); };
    REQUIRE(world.run_until(is_whole, 5s));
    world.run_for(1min);
    if (is_silent) {
        world.pause(server);
        world.network().partition(server, client);
    } else {
        world.kill(server);
    }
    world.run_for(5min);
    REQUIRE_FALSE(is_whole());
    if (is_silent) {
        world.network().heal(server, client);
        world.resume(server);
    } else {
        world.restart(server);
    }
    return world.run_until(is_whole, within);
}

}  // namespace

TEST_CASE("Fleet whose services share a RatioBudget is connected again after an outage",
          "[worlds][fleet][sim]") {
    const bool is_silent = GENERATE(false, true);
    INFO("silent: " << is_silent);
    RatioBudget of_window{{.window = 10s, .retries_per_thousand = 200, .at_least = 10}};
    CHECK(returns_after_an_outage(of_window, is_silent, 20s));
    // Three services have a permit until their connections are stable. The others attempt without
    // one.
    RatioBudget at_once{RatioBudgetOptions::envoy()};
    CHECK(returns_after_an_outage(at_once, is_silent, 2s + 2s));
}

TEST_CASE("Fleet whose services share a RatioBudget connects again to a server that never sends",
          "[worlds][fleet][regression]") {
    // If the server never sends, each restored connection holds its permit for ever.
    RatioBudget of_window{{.window = 10s, .retries_per_thousand = 200, .at_least = 3}};
    CHECK(returns_after_an_outage(of_window, false, 20s, Peer::never_sends));
    RatioBudget at_once{RatioBudgetOptions::envoy()};
    CHECK(returns_after_an_outage(at_once, false, 2s + 2s, Peer::never_sends));
}

TEST_CASE(
    "Fleet whose services share a TokenBudget is connected again after an outage that emptied it",
    "[worlds][fleet][regression]") {
    const bool is_silent = GENERATE(false, true);
    INFO("silent: " << is_silent);
    // The sum of the longest wait of the policy, and the time limit of an attempt that began
    // before.
    TokenBudget of_calls{TokenBudgetOptions::aws()};
    CHECK(returns_after_an_outage(of_calls, is_silent, 2s + 2s));
    TokenBudget of_channels{TokenBudgetOptions::grpc(10, 100)};
    CHECK(returns_after_an_outage(of_channels, is_silent, 2s + 2s));
}
