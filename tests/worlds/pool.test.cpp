// SPDX-License-Identifier: MIT
// Goal: a Pool lends each connection to one borrower, wakes borrowers that wait, and is connected
// again after each outage. Method: exploration. Six borrowers share four connections. They wait for
// on_idle alone, and close a connection on which no answer arrives.
#include <belay/fleet/pool.hpp>

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
#include <belay/policy/rules.hpp>
#include <belay/sim/accepted.hpp>

#include "support/worlds/explored.hpp"
#include "support/worlds/watched_tcp.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

constexpr std::size_t pool_size = 4;
constexpr std::size_t borrowers = 6;
constexpr int questions = 20;  // of each borrower

auto pool_policy() {
    return Policy{Backoff{EqualJitter{}, Cap{2s}, 250ms}, ResetWhenStable{2s}, AttemptTimeout{2s},
                  MaxAttempts{6}};
}

/// The observations of the test, which outlive the processes.
struct PoolWorld {
    explicit PoolWorld(sim::World& w) : world{w}, history{w.clock()} {}

    sim::World& world;
    sim::History history;
    std::string wrong{};
    std::array<int, borrowers> answered{};
    std::uint32_t starts = 0;
};

/// Sends each message back.
class PoolServer {
    struct Echo {
        void on_message(auto& link, const Bytes& m) { static_cast<void>(link.send(m)); }
    };
    using Served = Supervisor<sim::Accepted, MaxAttempts, Echo>;

public:
    explicit PoolServer(sim::Host& host) : host_{host} {
        host.listen(1, [this](sim::Accepted connection) {
            std::erase_if(served_,
                          [](const auto& s) { return s->status().state == LinkState::failed; });
            served_.push_back(std::make_unique<Served>(std::move(connection), MaxAttempts{1},
                                                       SupervisorOptions{}, Echo{}));
            host_.attach(*served_.back());
            served_.back()->start();
        });
    }

private:
    sim::Host& host_;
    std::vector<std::unique_ptr<Served>> served_{};
};

class PoolClient {
    struct Watch {
        PoolClient* client;
        void on_state(std::size_t, const Transition& change) { client->on_state(change); }
        void on_message(std::size_t i, const Bytes& m) { client->on_message(i, m); }
        void on_idle() { client->on_idle(); }
    };
    using Connections = Pool<Heartbeat<WatchedTcp>, decltype(pool_policy()), Watch>;
    struct Borrower {
        Connections::Lease lease{};
        std::string question{};
        Instant asked_at = never;  ///< `never`: it waits for no answer
        bool waits = false;        ///< for on_idle
    };

public:
    PoolClient(sim::Host& host, PoolWorld& run)
        : host_{host},
          run_{run},
          record_{.history = &run.history, .name = "client " + std::to_string(++run.starts)},
          pool_{{WatchedTcp{host, record_, "server"}, {.every = 1s, .dead_after = 2500ms}},
                pool_policy(),
                {.size = pool_size},
                Watch{this}} {
        host.attach(pool_);
        pool_.start();
        work();
    }
    [[nodiscard]] bool is_whole() const { return pool_.status().connected == pool_size; }

private:
    void work() {
        host_.after(100ms, [this] { work(); });
        const PoolStatus now = pool_.status();
        if (now.scouting) run_.world.reach("scout");
        if (now.suspect != 0) run_.world.reach("suspect connection");
        if (now.leased + now.suspect + now.idle != now.connected) {
            run_.wrong = "the numbers of the status contradict each other";
        }
        for (std::size_t i = 0; i < borrowers; ++i) look(i);
    }
    void look(std::size_t i) {
        Borrower& b = all_[i];
        if (b.asked_at != never) {
            if (!b.lease) run_.world.reach("stale lease");
            const bool late = elapsed(b.asked_at, host_.now()) > 1500ms;
            if (b.lease && !late) return;
            if (b.lease) run_.world.reach("no answer");
            b.lease.report_unhealthy({.cause = Cause::timed_out});
            b.lease.give_back();
            b.asked_at = never;
        }
        // A borrower begins a request from time to time. While it waits for a connection, it begins
        // none.
        if (!b.waits && run_.answered[i] < questions && host_.chance("begins", 40)) ask(i);
    }
    void ask(std::size_t i) {
        Borrower& b = all_[i];
        b.waits = false;
        auto lease = pool_.acquire();
        if (!lease) {
            b.waits = true;
            run_.world.reach("waits for an idle connection");
            return;
        }
        for (const Borrower& other : all_) {
            if (other.lease && other.lease.index() == lease.index()) {
                run_.wrong = "a connection has two borrowers";
            }
        }
        b.lease = std::move(lease);
        b.question = std::to_string(i) + " asks " + std::to_string(run_.answered[i]) + " at " +
                     std::to_string(host_.now().time_since_epoch().count());
        b.asked_at = host_.now();
        static_cast<void>(b.lease.send(to_bytes(b.question)));
    }
    void on_idle() {
        for (std::size_t i = 0; i < borrowers; ++i) {
            if (all_[i].waits) ask(i);
        }
    }
    void on_message(std::size_t connection, const Bytes& message) {
        const std::string text{as_text(message)};
        for (std::size_t i = 0; i < borrowers; ++i) {
            Borrower& b = all_[i];
            if (!b.lease || b.lease.index() != connection) continue;
            if (text != b.question) {
                run_.wrong = "a borrower got the answer to another question";
                return;
            }
            ++run_.answered[i];
            b.asked_at = never;
            b.lease.give_back();
            return;
        }
        // Otherwise, the borrower has closed the connection before the answer.
    }
    void on_state(const Transition& change) {
        if (change.to.failure.error() == LinkErrc::heartbeat_lost) {
            run_.world.reach("heartbeat lost");
        }
        if (change.to.state != LinkState::failed) return;
        run_.world.reach("attempt limit reached");
        // An operator reconnects after a while.
        host_.after(4s, [this] { pool_.reconnect_now(); });
    }

    sim::Host& host_;
    PoolWorld& run_;
    ConnectionRecord record_;
    Connections pool_;
    std::array<Borrower, borrowers> all_{};  // returned before the pool ends
};

bool pool_with_borrowers(sim::World& world) {
    PoolWorld& run = world.make<PoolWorld>(world);
    world.host("server", [](sim::Host& h) { return std::make_unique<PoolServer>(h); });
    sim::Host& client =
        world.host("client", [&run](sim::Host& h) { return std::make_unique<PoolClient>(h, run); });
    for (const char* const mark :
         {"scout", "suspect connection", "stale lease", "no answer", "waits for an idle connection",
          "heartbeat lost", "attempt limit reached"}) {
        world.reachable(mark);
    }
    world.always("the rules of a pool", [&run] { return run.wrong; });
    // While the server is down, only the scout dials.
    world.always("bounded rate of dials", [&run] { return sim::dial_rate(run.history, 20, 5s); });
    world.run_for(15s);
    world.heal();
    return world.eventually("every question is answered, and the pool is whole", 60s, [&] {
        const auto* const process = client.process<PoolClient>();
        const auto done = [](int count) { return count >= questions; };
        return process != nullptr && process->is_whole() &&
               std::all_of(run.answered.begin(), run.answered.end(), done);
    });
}

}  // namespace

TEST_CASE("Pool with borrowers answers each question, and reconnects after outages",
          "[worlds][pool][sim][property]") {
    const auto options = world_options({.pauses = 4,
                                        .bandwidths = 2,
                                        .early_closes = 2,
                                        .drops = 6,
                                        .half_opens = 4,
                                        .within = 14s,
                                        .lasts_max = 12s});
    CHECK(explored_as_wanted("pool", options, pool_with_borrowers));
}
