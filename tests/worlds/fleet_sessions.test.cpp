// SPDX-License-Identifier: MIT
// Goal: a Fleet whose services are Sessions delivers each operation once, through outages of the
// network, of hosts and of disks. Method: exploration with 1, 3 and 8 services. After the faults
// some servers stay broken; later they are repaired.
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include <belay/backoff/backoff.hpp>
#include <belay/backoff/caps.hpp>
#include <belay/backoff/jitters.hpp>
#include <belay/fleet/fleet.hpp>
#include <belay/journal/journal.hpp>
#include <belay/policy/rules.hpp>
#include <belay/session/session_service.hpp>

#include "support/worlds/broken_hosts.hpp"
#include "support/worlds/explored.hpp"
#include "support/worlds/ledger_server.hpp"
#include "support/worlds/watched_tcp.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

constexpr std::uint64_t parcels = 20;
constexpr HeartbeatOptions parcel_beats{.every = 1s, .dead_after = 2500ms};

auto parcel_policy() {
    return Policy{Backoff{EqualJitter{}, Cap{4s}, 500ms}, ResetWhenStable{3s}, AttemptTimeout{3s},
                  MaxAttempts{6}};
}

/// The observations of the test, which outlive the processes.
struct ParcelWorld {
    ParcelWorld(sim::World& w, std::size_t n) : world{w}, history{w.clock()}, delivered(n) {}

    sim::World& world;
    sim::History history;
    std::vector<std::uint64_t> delivered;  ///< the acknowledged operations of each service
    std::string wrong{};
    std::vector<sim::Host*> servers{};
};

[[nodiscard]] std::string depot(std::size_t i) { return "depot " + std::to_string(i); }

/// Sends parcels 1 to 20 to each depot. The journals store which parcels were accepted.
class ParcelClient {
    using Outbox = Journal<sim::Disk>;
    struct Watch {
        ParcelClient* client;
        std::size_t which;
        void on_state(const Transition& change) { client->on_state(which, change); }
        void on_acknowledged(std::uint64_t up_to) { client->on_acknowledged(which, up_to); }
        void on_blocked(Blocked why, const BlockedDetails&) { client->on_blocked(why); }
    };
    struct FleetWatch {
        ParcelClient* client;
        void on_network_suspect(const NetworkSuspect&) {
            client->run_.world.reach("network suspect");
        }
    };
    using Sender = Session<WatchedTcp, decltype(parcel_policy()), Queue<Outbox>, Watch>::Service;

public:
    ParcelClient(sim::Host& host, ParcelWorld& run)
        : host_{host}, run_{run}, fleet_{{.hold = 200ms}, FleetWatch{this}} {
        std::vector<Outbox> outboxes;
        for (std::size_t i = 0; i < run.delivered.size(); ++i) {
            auto outbox = Outbox::open(
                host.disk(), "data/" + std::to_string(i),
                {.segment_bytes = 4096, .record_bytes_max = 512, .seed = Seed{run.world.bits()()}});
            if (!outbox) {
                exit_and_restart(run.world, host);
                return;
            }
            outboxes.push_back(std::move(*outbox));
        }
        host.attach(fleet_);
        for (std::size_t i = 0; i < outboxes.size(); ++i) {
            ConnectionRecord& record =
                records_.emplace_back(ConnectionRecord{.history = &run.history, .name = "client"});
            senders_.push_back(&fleet_.add(depot(i), WatchedTcp{host, record, depot(i)},
                                           parcel_policy(), Queue{std::move(outboxes[i])},
                                           SessionOptions{.id = Id{static_cast<std::byte>(i + 1)},
                                                          .greeting_max = 2s,
                                                          .heartbeat = parcel_beats},
                                           Watch{this, i}));
        }
        fleet_.start();
        work();
    }

private:
    void work() {
        host_.after(500ms, [this] { work(); });
        const bool suspected = fleet_.counters().network_suspect;
        if (suspected_ && !suspected) run_.world.reach("suspicion ended");
        suspected_ = suspected;
        for (std::size_t i = 0; i < senders_.size(); ++i) {
            const std::uint64_t next = senders_[i]->status().taken + 1;
            if (next > parcels) continue;
            run_.history.invoke(depot(i), next);
            const auto taken = senders_[i]->send(as_bytes(std::to_string(next)));
            if (taken && *taken != next) run_.wrong = "send returned another number";
        }
    }
    void on_state(std::size_t which, const Transition& change) {
        const LinkStatus& now = change.to;
        if (now.failure.error() == LinkErrc::heartbeat_lost) run_.world.reach("heartbeat lost");
        if (now.state != LinkState::failed) return;
        if (senders_.size() <= which || senders_[which]->status().blocked != Blocked::none) return;
        run_.world.reach("attempt limit reached");
        // An operator reconnects after a while.
        host_.after(4s, [this, which] { static_cast<void>(fleet_.reconnect_now(depot(which))); });
    }
    void on_acknowledged(std::size_t which, std::uint64_t up_to) {
        std::uint64_t& delivered = run_.delivered[which];
        while (delivered < up_to) run_.history.succeed(depot(which), ++delivered);
    }
    void on_blocked(Blocked why) {
        if (why != Blocked::journal_failed) {
            run_.wrong = "a session is blocked: " + std::string{to_string(why)};
            return;
        }
        run_.world.reach("journal failed");
        exit_and_restart(run_.world, host_);
    }

    sim::Host& host_;
    ParcelWorld& run_;
    std::deque<ConnectionRecord> records_{};
    std::vector<Sender*> senders_{};
    bool suspected_ = false;
    Fleet<FleetWatch> fleet_;
};

bool sessions_in_a_fleet(sim::World& world) {
    constexpr std::size_t counts[] = {1, 3, 3, 3, 8};
    const std::size_t count = counts[world.choose("services", 5)];
    ParcelWorld& run = world.make<ParcelWorld>(world, count);
    for (std::size_t i = 0; i < count; ++i) {
        run.servers.push_back(&world.host(depot(i), [&world](sim::Host& h) {
            return std::make_unique<LedgerServer>(h, world, parcel_beats);
        }));
    }
    sim::Host& client = world.host(
        "client", [&run](sim::Host& h) { return std::make_unique<ParcelClient>(h, run); });
    for (const char* const mark : {"network suspect", "suspicion ended", "heartbeat lost",
                                   "attempt limit reached", "journal failed", "ledger failed"}) {
        world.reachable(mark);
    }
    world.always("no session is blocked", [&run] { return run.wrong; });
    cut_off(world, client, run.servers, 20s);
    fill_disk_at_times(world, "client", 14'000);
    world.run_for(15s);
    world.heal();
    std::vector<bool> broken(count);
    for (std::size_t i = 0; i < count; ++i) {
        broken[i] = world.chance("stays broken", 20);
        if (broken[i]) break_for_good(world, *run.servers[i], client);
    }
    const auto all_delivered = [&](bool also_broken) {
        for (std::size_t i = 0; i < count; ++i) {
            if ((also_broken || !broken[i]) && run.delivered[i] != parcels) return false;
        }
        return true;
    };
    if (!world.eventually("servers that are well have all parcels", 60s,
                          [&] { return all_delivered(false); })) {
        return false;
    }
    world.run_for(20s);
    world.heal();
    if (!world.eventually("all servers have all parcels", 60s,
                          [&] { return all_delivered(true); })) {
        return false;
    }
    for (std::size_t i = 0; i < count; ++i) read_effects(*run.servers[i], depot(i), run.history);
    return world.require("exactly once, and in order", exactly_once_in_order(run.history));
}

}  // namespace

TEST_CASE("Sessions in a Fleet deliver each operation once",
          "[worlds][fleet_sessions][sim][property]") {
    const auto options = world_options({.bandwidths = 2,
                                        .early_closes = 2,
                                        .disk_refusals = 2,
                                        .disk_errors = 2,
                                        .late_disk_errors = 2,
                                        .exhaustions = 2,
                                        .within = 12s,
                                        .lasts_max = 8s,
                                        .number_max = 16});
    CHECK(explored_as_wanted("fleet_sessions", options, sessions_in_a_fleet));
}
