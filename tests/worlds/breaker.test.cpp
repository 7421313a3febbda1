// SPDX-License-Identifier: MIT
// Goal: connections with a Heartbeat and a stable window, which share a CircuitBreaker, probe a
// peer one at a time, and are all connected soon after its faults end. Method: exploration. The
// peer hangs, ends and cannot be reached; the heartbeat may be longer than the stable window.
#include <belay/breaker/circuit_breaker.hpp>

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <belay/backoff/backoff.hpp>
#include <belay/backoff/caps.hpp>
#include <belay/backoff/jitters.hpp>
#include <belay/link/heartbeat.hpp>
#include <belay/link/supervisor.hpp>
#include <belay/policy/rules.hpp>
#include <belay/policy/shared.hpp>
#include <belay/sim/accepted.hpp>
#include <belay/sim/tcp.hpp>

#include "support/worlds/explored.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

/// The times of one world.
struct ProbeTimes {
    HeartbeatOptions beats{};
    Duration stable{};
    HalfOpenOptions half_open{};
};

using ProbeBreaker = CircuitBreaker<sim::Clock>;

auto probe_policy(ProbeBreaker& breaker, const ProbeTimes& times) {
    return Policy{Backoff{EqualJitter{}, Cap{1s}, 100ms}, Shared{breaker},
                  ResetWhenStable{times.stable}, AttemptTimeout{2s}};
}
using ProbePolicy = decltype(probe_policy(std::declval<ProbeBreaker&>(), ProbeTimes{}));

/// The observations of the test, which outlive the processes.
struct ProbeWorld {
    explicit ProbeWorld(sim::World& w) : world{w} {
        times.beats = w.chance("short beats", 50)
                          ? HeartbeatOptions{.every = 500ms, .dead_after = 1250ms}
                          : HeartbeatOptions{.every = 2s, .dead_after = 5s};
        times.stable = w.chance("short window", 50) ? 500ms : 3s;
        times.half_open.successes = w.chance("two successes", 50) ? 2 : 1;
    }

    sim::World& world;
    ProbeTimes times{};
    std::string wrong{};
};

/// Accepts connections, and answers their pings.
class QuietServer {
    using Served = Supervisor<sim::Accepted, MaxAttempts>;

public:
    explicit QuietServer(sim::Host& host) {
        host.listen(1, [this, &host](sim::Accepted connection) {
            std::erase_if(served_,
                          [](const auto& s) { return s->status().state == LinkState::failed; });
            served_.push_back(std::make_unique<Served>(std::move(connection), MaxAttempts{1}));
            host.attach(*served_.back());
            served_.back()->start();
        });
    }

private:
    std::vector<std::unique_ptr<Served>> served_{};
};

/// Three connections to the server, whose attempts one breaker permits.
class ProbingClient {
    struct Watch {
        ProbingClient* client;
        std::size_t index;
        void on_state(const Transition& change) { client->on_state(index, change); }
    };
    using Probing = Supervisor<Heartbeat<sim::Tcp>, ProbePolicy, Watch>;

public:
    ProbingClient(sim::Host& host, ProbeWorld& run)
        : host_{host},
          run_{run},
          breaker_{ConsecutiveFailures{3}, OpenFor{2s}, run.world.clock(), run.times.half_open} {
        for (std::size_t i = 0; i < links_.size(); ++i) {
            links_[i].emplace(Heartbeat{sim::Tcp{host, "server", 1}, run.times.beats},
                              probe_policy(breaker_, run.times), SupervisorOptions{},
                              Watch{this, i});
            host.attach(*links_[i]);
            links_[i]->start();
        }
        operate();
    }
    [[nodiscard]] bool is_well() const {
        const BreakerState state = breaker_.state();
        // If all are connected, no connection is left to make a second probe.
        const bool is_decided =
            state == BreakerState::closed ||
            (state == BreakerState::half_open && run_.times.half_open.successes > 1);
        return is_decided && std::all_of(links_.begin(), links_.end(), [](const auto& link) {
                   return link->status().state == LinkState::connected &&
                          link->status().attempt == 0;
               });
    }

private:
    /// The commands of an operator. Each permit must be returned after them.
    void operate() {
        if (run_.world.healed_at()) return;
        host_.after(400ms, [this] { operate(); });
        auto& link = *links_[host_.choose("which", links_.size())];
        switch (host_.choose("what", 20)) {
            case 0:
                static_cast<void>(link.reconnect_now(host_.chance("force", 50)));
                return;
            case 1:
                link.shut(Gate::hidden, host_.chance("grace", 50) ? 300ms : 0ms);
                host_.after(600ms, [&link] { link.open(Gate::hidden); });
                return;
            case 2:
                link.stop();
                link.start();
                return;
            case 3:
                link.drain(200ms);
                return;
            case 4:
                link.report_unhealthy();
                return;
            default:
                return;
        }
    }
    void on_state(std::size_t i, const Transition& change) {
        const LinkState to = change.to.state;
        if (to == LinkState::suspended) run_.world.reach("breaker open");
        if (change.to.failure.error() == LinkErrc::heartbeat_lost) {
            run_.world.reach(probes_[i] ? "probe hangs" : "heartbeat lost");
        }
        if (to == LinkState::failed) run_.wrong = "a connection has given up";
        // Starts later, because start() does nothing during a drain, which a freeze makes longer.
        if (to == LinkState::stopped) host_.after(300ms, [this, i] { links_[i]->start(); });
        if (to != LinkState::connected) probes_[i] = false;
        if (to != LinkState::connecting) return;
        const BreakerState state = breaker_.state();
        if (state == BreakerState::open) run_.wrong = "a dial while the breaker is open";
        if (state != BreakerState::half_open) return;
        run_.world.reach("probe");
        probes_[i] = true;
        std::size_t under_way = 0;
        for (std::size_t k = 0; k < links_.size(); ++k) {
            if (probes_[k] && links_[k]->status().attempt != 0) ++under_way;
        }
        if (under_way > 1) run_.wrong = "two probes at a time";
    }

    sim::Host& host_;
    ProbeWorld& run_;
    ProbeBreaker breaker_;
    std::array<bool, 3> probes_{};
    std::array<std::optional<Probing>, 3> links_{};
};

bool connections_with_one_breaker(sim::World& world) {
    ProbeWorld& run = world.make<ProbeWorld>(world);
    world.host("server", [](sim::Host& h) { return std::make_unique<QuietServer>(h); });
    sim::Host& client = world.host(
        "client", [&run](sim::Host& h) { return std::make_unique<ProbingClient>(h, run); });
    for (const char* const mark : {"breaker open", "probe", "probe hangs", "heartbeat lost"}) {
        world.reachable(mark);
    }
    world.always("the rules of the parts", [&run] { return run.wrong; });
    world.run_for(20s);
    world.heal();
    return world.eventually("every connection is stable, and the breaker is closed", 25s, [&] {
        const auto* const process = client.process<ProbingClient>();
        return process != nullptr && process->is_well();
    });
}

}  // namespace

TEST_CASE(
    "Supervisors with a Heartbeat and a shared CircuitBreaker are connected again after each fault",
    "[worlds][breaker][sim][property]") {
    const auto options = world_options({.pauses = 4,
                                        .partitions = 3,
                                        .one_way_partitions = 2,
                                        .black_holes = 2,
                                        .early_closes = 3,
                                        .within = 18s,
                                        .lasts_max = 8s});
    CHECK(explored_as_wanted("breaker", options, connections_with_one_breaker));
}
