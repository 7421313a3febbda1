// SPDX-License-Identifier: MIT
// Goal: a Fleet connects all services whose hosts are well, blames no service for the network, and
// keeps its limits. Method: exploration with 1, 2, 3 and 50 services. Hosts crash, freeze, refuse
// and are unreachable; so is the whole network. At the end, some hosts stay broken.
#include <algorithm>
#include <deque>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include <belay/backoff/backoff.hpp>
#include <belay/backoff/caps.hpp>
#include <belay/backoff/jitters.hpp>
#include <belay/fleet/fleet.hpp>
#include <belay/link/heartbeat.hpp>
#include <belay/policy/rules.hpp>
#include <belay/sim/accepted.hpp>

#include "support/worlds/broken_hosts.hpp"
#include "support/worlds/explored.hpp"
#include "support/worlds/watched_tcp.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

constexpr FleetOptions small_fleet{.dials_max = 4, .slow_after = 1s, .slow_dials_max = 8};

auto service_policy() {
    return Policy{Backoff{EqualJitter{}, Cap{5s}, 1s}, ResetWhenStable{5s}, AttemptTimeout{4s},
                  MaxAttempts{10}};
}

/// The observations of the test, which outlive the processes.
struct FleetWorld {
    FleetWorld(sim::World& w, std::size_t n) : world{w}, history{w.clock()}, count{n} {}

    sim::World& world;
    sim::History history;
    std::size_t count;
    std::size_t opening = 0;  ///< dials under way
    std::string wrong{};
    std::vector<sim::Host*> hosts{};
    std::set<std::size_t> reported{};  ///< services that have given up since heal()
};

class FleetServer {
public:
    explicit FleetServer(sim::Host& host) : host_{host} {
        host.listen(1, [this](sim::Accepted connection) {
            std::erase_if(served_,
                          [](const auto& s) { return s->status().state == LinkState::failed; });
            served_.push_back(std::make_unique<Served>(std::move(connection), MaxAttempts{1}));
            host_.attach(*served_.back());
            served_.back()->start();
        });
    }

private:
    using Served = Supervisor<sim::Accepted, MaxAttempts>;
    sim::Host& host_;
    std::vector<std::unique_ptr<Served>> served_{};
};

class FleetClient {
    struct Watch {
        FleetClient* client;
        std::size_t which;
        void on_state(const Transition& change) { client->on_state(which, change); }
    };
    struct FleetWatch {
        FleetClient* client;
        void on_network_suspect(const NetworkSuspect& what) { client->on_suspect(what); }
    };
    using Transport = Heartbeat<WatchedTcp>;
    using Services = Fleet<FleetWatch>;

public:
    FleetClient(sim::Host& host, FleetWorld& run)
        : host_{host}, run_{run}, fleet_{small_fleet, FleetWatch{this}} {
        run.opening = 0;
        host.attach(fleet_);
        for (std::size_t i = 0; i < run.count; ++i) {
            const std::string name = "service " + std::to_string(i);
            ConnectionRecord& record =
                records_.emplace_back(ConnectionRecord{.history = &run.history, .name = "client"});
            record.opening = &run.opening;
            fleet_.add(
                name,
                Transport{WatchedTcp{host, record, name}, {.every = 1s, .dead_after = 2500ms}},
                service_policy(), Watch{this, i});
        }
        fleet_.start();
        look();
    }

    [[nodiscard]] bool is_connected(std::size_t i) {
        return fleet_.status().services[order_of(i)].link.state == LinkState::connected;
    }

private:
    /// The services of a status are in the order of their names.
    [[nodiscard]] std::size_t order_of(std::size_t i) {
        const FleetStatus status = fleet_.status();
        const std::string name = "service " + std::to_string(i);
        std::size_t at = 0;
        while (status.services[at].name != name) ++at;
        return at;
    }
    void look() {
        host_.after(250ms, [this] { look(); });
        const FleetCounters now = fleet_.counters();
        if (now.dialling > small_fleet.dials_max ||
            now.dialling_slowly > small_fleet.slow_dials_max) {
            run_.wrong = "a group has more dials than its limit";
        }
        if (now.dialling_slowly != 0) run_.world.reach("slow group");
        if (now.waiting_to_dial != 0) run_.world.reach("in line");
        if (suspected_ && !now.network_suspect) run_.world.reach("suspicion ended");
        suspected_ = now.network_suspect;
    }
    void on_state(std::size_t which, const Transition& change) {
        const LinkStatus& now = change.to;
        if (now.failure.error() == LinkErrc::heartbeat_lost) run_.world.reach("heartbeat lost");
        opened_ = opened_ || now.state == LinkState::connected;
        if (now.state != LinkState::failed) return;
        run_.reported.insert(which);
        if (run_.count >= small_fleet.suspects_min && !run_.world.healed_at()) {
            run_.wrong = "a service gave up: " + now.failure.message();
        }
        run_.world.reach("attempt limit reached");
        // An operator reconnects after a while.
        host_.after(4s, [this, which] {
            static_cast<void>(fleet_.reconnect_now("service " + std::to_string(which)));
        });
    }
    void on_suspect(const NetworkSuspect& what) {
        if (run_.count < small_fleet.suspects_min) {
            run_.wrong = "fewer services than suspects_min made the network suspect";
        }
        run_.world.reach("network suspect");
        const std::size_t dials =
            run_.history.dials().empty() ? 0 : run_.history.dials().at("client").size();
        if (what.times > 1) {
            run_.world.reach("a later scout");
            // A connection that opens lets all services dial.
            if (!opened_ && dials - dials_ > 1) run_.wrong = "two scouts dialled in one wait";
        }
        opened_ = false;
        dials_ = dials;
    }

    sim::Host& host_;
    FleetWorld& run_;
    std::deque<ConnectionRecord> records_{};
    bool suspected_ = false;
    bool opened_ = false;    // whether a connection has opened since the last scout
    std::size_t dials_ = 0;  // the number before the last scout
    Services fleet_;
};

bool fleet_of_services(sim::World& world) {
    // Worlds with three services are small, and reach the most states.
    constexpr std::size_t counts[] = {1, 2, 3, 3, 3, 3, 3, 3, 3, 50};
    const std::size_t count = counts[world.choose("services", 10)];
    FleetWorld& run = world.make<FleetWorld>(world, count);
    for (std::size_t i = 0; i < count; ++i) {
        run.hosts.push_back(&world.host("service " + std::to_string(i), [](sim::Host& h) {
            return std::make_unique<FleetServer>(h);
        }));
    }
    sim::Host& client = world.host(
        "client", [&run](sim::Host& h) { return std::make_unique<FleetClient>(h, run); });
    for (const char* const mark : {"slow group", "in line", "network suspect", "a later scout",
                                   "suspicion ended", "heartbeat lost", "attempt limit reached"}) {
        world.reachable(mark);
    }
    world.always("the rules of a fleet", [&run] { return run.wrong; });
    world.always("the limit of dials", [&run] {
        return run.opening <= small_fleet.dials_max + small_fleet.slow_dials_max;
    });
    cut_off(world, client, run.hosts, 30s);
    world.run_for(30s);
    world.heal();
    run.reported.clear();
    std::set<std::size_t> broken;
    for (std::size_t i = 0; i < count; ++i) {
        if (!world.chance("stays broken", 20)) continue;
        broken.insert(i);
        break_for_good(world, *run.hosts[i], client);
    }
    const bool connected =
        world.eventually("every service whose host is well is connected", 60s, [&] {
            FleetClient* const process = client.process<FleetClient>();
            if (process == nullptr) return false;
            for (std::size_t i = 0; i < count; ++i) {
                if (!broken.contains(i) && !process->is_connected(i)) return false;
            }
            return true;
        });
    // If no host is well, the network is suspect.
    if (!connected || (broken.size() == count && count >= small_fleet.suspects_min)) {
        return connected;
    }
    return world.eventually("every service that fails for ever is reported", 5min, [&] {
        return std::includes(run.reported.begin(), run.reported.end(), broken.begin(),
                             broken.end());
    });
}

}  // namespace

TEST_CASE("Fleet of 1, 2, 3 and 50 services connects all whose hosts work",
          "[worlds][fleet][sim][property]") {
    const auto options = world_options({.partitions = 8,
                                        .bandwidths = 2,
                                        .refusals = 8,
                                        .early_closes = 4,
                                        .cuts = 0,
                                        .within = 20s,
                                        .lasts_max = 10s});
    CHECK(explored_as_wanted("fleet", options, fleet_of_services));
}
