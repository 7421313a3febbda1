// SPDX-License-Identifier: MIT
// Goal: many connections that share a CircuitBreaker, and maybe a budget, and are all lost at one
// instant, reconnect at different times, and soon. Method: exploration of outages that open the
// breaker. The server is killed, rejects, or is silent; afterwards the test counts the dials of each
// tenth of a second.
#include <belay/breaker/circuit_breaker.hpp>

#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <belay/backoff/backoff.hpp>
#include <belay/backoff/caps.hpp>
#include <belay/backoff/jitters.hpp>
#include <belay/budget/budgets.hpp>
#include <belay/call/limiters.hpp>
#include <belay/link/heartbeat.hpp>
#include <belay/link/supervisor.hpp>
#include <belay/policy/any_policy.hpp>
#include <belay/policy/rules.hpp>
#include <belay/policy/shared.hpp>
#include <belay/sim/accepted.hpp>
#include <belay/sim/tcp.hpp>

#include "support/worlds/explored.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

constexpr std::size_t herd_size = 100;
constexpr Duration herd_open = 5s;
// Spread over the open wait, 2 of them dial in a tenth of a second on average. Without a
// spread, nearly all do.
constexpr std::size_t herd_dials_max = 20;

using HerdBreaker = CircuitBreaker<sim::Clock>;

/// The observations of the test, which outlive the processes.
struct HerdWorld {
    explicit HerdWorld(sim::World& w) : world{w} {
        stable = w.chance("short window", 50) ? 500ms : 3s;
        half_open.successes = w.chance("two successes", 50) ? 2 : 1;
        half_open.probes = half_open.successes;
        pays = w.chance("a budget", 50);
    }

    sim::World& world;
    Duration stable{};
    HalfOpenOptions half_open{};
    bool pays = false;
    std::map<Duration::rep, std::size_t> dials{};  ///< since the outage, by tenths of a second
    bool breaker_opened = false;
};

auto herd_policy(HerdBreaker& breaker, TokenBudget& budget, const HerdWorld& run) {
    using Pays = Shared<TokenBudget>;
    return Policy{Backoff{EqualJitter{}, Cap{4s}, 500ms}, Shared{breaker},
                  run.pays ? std::optional{Pays{budget, AskAgain{2s}}} : std::optional<Pays>{},
                  ResetWhenStable{run.stable}, AttemptTimeout{2s}};
}
using HerdPolicy = decltype(herd_policy(std::declval<HerdBreaker&>(), std::declval<TokenBudget&>(),
                                        std::declval<HerdWorld&>()));

/// Accepts connections, and answers their pings.
class HerdServer {
    using Served = Supervisor<sim::Accepted, MaxAttempts>;

public:
    explicit HerdServer(sim::Host& host) {
        host.listen(1, [this, &host](sim::Accepted connection) {
            served_.push_back(std::make_unique<Served>(std::move(connection), MaxAttempts{1}));
            host.attach(*served_.back());
            served_.back()->start();
        });
    }

private:
    std::vector<std::unique_ptr<Served>> served_{};
};

/// The connections of one process.
class Herd {
    struct Watch {
        HerdWorld* run;
        void on_state(const Transition& change) {
            const LinkState to = change.to.state;
            if (to == LinkState::suspended) run->breaker_opened = true;
            if (to == LinkState::connecting)
                ++run->dials[run->world.now().time_since_epoch() / 100ms];
        }
    };
    using Member = Supervisor<Heartbeat<sim::Tcp>, HerdPolicy, Watch>;

public:
    Herd(sim::Host& host, HerdWorld& run)
        : breaker_{ConsecutiveFailures{3}, OpenFor{herd_open}, run.world.clock(), run.half_open} {
        const HeartbeatOptions beats{.every = 1s, .dead_after = 2500ms};
        for (std::size_t i = 0; i < herd_size; ++i) {
            members_.push_back(std::make_unique<Member>(
                Heartbeat{sim::Tcp{host, "server", 1}, beats}, herd_policy(breaker_, budget_, run),
                SupervisorOptions{}, Watch{&run}));
            host.attach(*members_.back());
            members_.back()->start();
        }
    }
    [[nodiscard]] bool is_whole() const {
        return std::ranges::all_of(members_, [](const auto& member) {
            return member->status().state == LinkState::connected;
        });
    }

private:
    HerdBreaker breaker_;
    TokenBudget budget_{{.capacity_milli = 50'000}};
    std::vector<std::unique_ptr<Member>> members_{};  // they end before what they share
};

/// A rule that holds the first attempt until an instant.
struct NotBefore {
    static constexpr std::string_view name = "NotBefore";
    Instant at;
    [[nodiscard]] Advice admit(Instant now) const noexcept {
        return now < at ? Advice::wait_at_least(at) : Advice::go();
    }
};

auto late_herd_policy(HerdBreaker& breaker, RateLimiter& limiter, Instant at, bool limits) {
    using Limited = Shared<RateLimiter>;
    return Policy{Backoff{EqualJitter{}, Cap{4s}, 500ms},
                  NotBefore{at},
                  Shared{breaker},
                  limits ? std::optional{Limited{limiter}} : std::optional<Limited>{},
                  ResetWhenStable{500ms},
                  AttemptTimeout{2s}};
}
using LatePolicy = decltype(late_herd_policy(std::declval<HerdBreaker&>(),
                                             std::declval<RateLimiter&>(), Instant{}, false));

/// Connections that start while the server is down, and of which another rule holds most until the
/// breaker is open.
class LateHerd {
    struct Watch {
        std::map<Duration::rep, std::size_t>* dials;
        const sim::World* world;
        void on_state(const Transition& change) {
            if (change.to.state != LinkState::connecting) return;
            ++(*dials)[world->now().time_since_epoch() / 100ms];
        }
    };
    using Member = Supervisor<Heartbeat<sim::Tcp>, LatePolicy, Watch>;

public:
    LateHerd(sim::Host& host, const sim::World& world, bool limits, Duration starts_within,
             std::map<Duration::rep, std::size_t>& dials)
        : breaker_{ConsecutiveFailures{3}, OpenFor{herd_open}, world.clock()} {
        for (std::size_t i = 0; i < late_herd_size; ++i) {
            const Duration late = starts_within * static_cast<Duration::rep>(i) /
                                  static_cast<Duration::rep>(late_herd_size);
            members_.push_back(std::make_unique<Member>(
                Heartbeat{sim::Tcp{host, "server", 1}, {.every = 1s, .dead_after = 2500ms}},
                late_herd_policy(breaker_, limiter_, after(host.now(), late), limits),
                SupervisorOptions{}, Watch{&dials, &world}));
            host.attach(*members_.back());
            members_.back()->start();
        }
    }
    [[nodiscard]] bool is_whole() const {
        return std::ranges::all_of(members_, [](const auto& member) {
            return member->status().state == LinkState::connected;
        });
    }
    [[nodiscard]] bool is_open() const { return breaker_.state() == BreakerState::open; }

    static constexpr std::size_t late_herd_size = 200;

private:
    HerdBreaker breaker_;
    RateLimiter limiter_{Rate{20, 1s}, Burst{200}};
    std::vector<std::unique_ptr<Member>> members_{};  // they end before what they share
};

bool herd_after_an_outage(sim::World& world) {
    HerdWorld& run = world.make<HerdWorld>(world);
    sim::Host& server =
        world.host("server", [](sim::Host& h) { return std::make_unique<HerdServer>(h); });
    sim::Host& client =
        world.host("client", [&run](sim::Host& h) { return std::make_unique<Herd>(h, run); });
    const auto is_whole = [&] { return client.process<Herd>()->is_whole(); };
    if (!world.run_until(is_whole, 5s)) return false;
    world.run_for(run.stable + 3s);
    const bool is_silent = world.chance("silent", 50);
    const bool resets = !is_silent && world.chance("resets only", 30);
    if (is_silent) {
        world.pause(server);
        world.network().partition(server, client);
    } else if (resets) {
        world.network().drop_connections(server, client);
        world.network().refuse(server);
    } else {
        world.kill(server);
    }
    world.run_for(5s + std::chrono::milliseconds{world.choose("lasts", 40'000)});
    run.dials.clear();
    if (is_silent) {
        world.network().heal(server, client);
        world.resume(server);
    } else if (resets) {
        world.network().accept(server);
    } else {
        world.restart(server);
    }
    world.heal();
    // Two open waits with their spread, the probes in a row, and the wait of the policy.
    const Duration within = 2 * 2 * herd_open + 2 * run.stable + 10s;
    if (!world.eventually("all are connected again", within, is_whole)) return false;
    if (run.breaker_opened) world.reach("the breaker opened");
    std::size_t most = 0;
    for (const auto& [tenth, count] : run.dials) most = std::max(most, count);
    return world.require("they do not dial at once",
                         most <= herd_dials_max
                             ? std::string{}
                             : std::to_string(most) + " dial in a tenth of a second");
}

}  // namespace

TEST_CASE("Connections that share a CircuitBreaker reconnect at different times",
          "[worlds][breaker_herd][sim][property]") {
    sim::ExploreOptions options = world_options({.kills = 0,
                                                 .pauses = 0,
                                                 .partitions = 0,
                                                 .refusals = 0,
                                                 .half_opens = 0,
                                                 .cuts = 0,
                                                 .within = 30s});
    options.seeds = 60;
    CHECK(explored_as_wanted("breaker_herd", options, [](sim::World& world) {
        world.reachable("the breaker opened");
        return herd_after_an_outage(world);
    }));
}

TEST_CASE("Connections that another rule holds until a CircuitBreaker opens dial at other times",
          "[worlds][breaker_herd][sim][regression]") {
    const bool limits = GENERATE(false, true);
    // Those that are held while the breaker opens, and those that are not.
    const Duration starts_within = GENERATE(0s, 2s);
    CAPTURE(limits, starts_within.count());
    sim::World world{Seed{7}};
    std::map<Duration::rep, std::size_t> dials;
    sim::Host& server =
        world.host("server", [](sim::Host& h) { return std::make_unique<HerdServer>(h); });
    world.kill(server);
    sim::Host& client = world.host("client", [&](sim::Host& h) {
        return std::make_unique<LateHerd>(h, world, limits, starts_within, dials);
    });
    world.run_for(4s);
    REQUIRE(client.process<LateHerd>()->is_open());
    dials.clear();
    world.restart(server);
    CHECK(world.run_until([&] { return client.process<LateHerd>()->is_whole(); }, 30s));
    std::size_t most = 0;
    for (const auto& [tenth, count] : dials) most = std::max(most, count);
    // Spread over the open wait, 4 of them dial in a tenth of a second on average.
    CHECK(most <= 2 * herd_dials_max);
}
