// SPDX-License-Identifier: MIT
// Goal: a WorkQueue that feeds the services of a Fleet ends each item once, also if services crash,
// fall into black holes, or stay broken for good. Method: exploration. One process owns the queue
// and the fleet, and gives each connected service one item at a time.
#include <algorithm>
#include <array>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <belay/backoff/backoff.hpp>
#include <belay/backoff/caps.hpp>
#include <belay/backoff/jitters.hpp>
#include <belay/fleet/fleet.hpp>
#include <belay/journal/journal.hpp>
#include <belay/link/heartbeat.hpp>
#include <belay/policy/rules.hpp>
#include <belay/sim/accepted.hpp>
#include <belay/work/work_queue.hpp>

#include "support/worlds/broken_hosts.hpp"
#include "support/worlds/explored.hpp"
#include "support/worlds/watched_tcp.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

constexpr std::uint64_t pieces = 60;
constexpr std::uint32_t piece_deliveries_max = 5;
constexpr std::size_t mills = 4;
constexpr FleetOptions mill_fleet{.dials_max = 2, .slow_after = 500ms, .slow_dials_max = 1};

/// Every tenth piece fails at each delivery, and every tenth ends its service.
constexpr bool never_works(std::uint64_t piece) { return piece % 10 == 0; }
constexpr bool breaks_its_mill(std::uint64_t piece) { return piece % 10 == 5; }

[[nodiscard]] std::string mill_name(std::size_t i) { return "mill " + std::to_string(i); }

auto mill_policy() {
    return Policy{Backoff{EqualJitter{}, Cap{1s}, 200ms}, ResetWhenStable{1s}, AttemptTimeout{2s},
                  MaxAttempts{8}};
}

/// The observations of the test, which outlive the processes.
struct MillWorld {
    explicit MillWorld(sim::World& w) : world{w}, history{w.clock()} {}

    sim::World& world;
    sim::History history;
    std::string wrong{};
    bool too_many_dials = false;
    std::size_t opening = 0;             ///< dials under way
    std::uint64_t promised = 0;          ///< pieces up to this number are durable
    std::set<std::uint64_t> finished{};  ///< their ends are durable
    std::set<std::uint64_t> reported{};  ///< reported with a valid lease: their ends may be durable
    std::uint32_t lives = 0;             ///< of the process that has the queue
};

/// Works on each piece that it receives, and reports the end.
class Mill {
    struct Serve {
        Mill* mill;
        void on_message(auto& link, const Bytes& m) {
            const std::string text{as_text(m)};
            const std::uint64_t piece = std::stoull(text.substr(text.rfind(' ')));
            const std::string lease = text.substr(0, text.rfind(' '));
            // Some pieces take longer than their lease.
            const bool is_slow = mill->host_.chance("slow", 5);
            const std::uint64_t takes = is_slow ? 3000 : 20 + mill->host_.choose("takes", 400);
            mill->host_.after(std::chrono::milliseconds{takes}, [m = mill, &link, piece, lease] {
                if (breaks_its_mill(piece)) return m->world_.restart(m->host_);
                static_cast<void>(
                    link.send(to_bytes((never_works(piece) ? "fail " : "done ") + lease)));
            });
        }
    };
    using Served = Supervisor<sim::Accepted, MaxAttempts, Serve>;

public:
    Mill(sim::Host& host, sim::World& world) : host_{host}, world_{world} {
        host.listen(1, [this](sim::Accepted connection) {
            served_.push_back(std::make_unique<Served>(std::move(connection), MaxAttempts{1},
                                                       SupervisorOptions{}, Serve{this}));
            host_.attach(*served_.back());
            served_.back()->start();
        });
    }

private:
    sim::Host& host_;
    sim::World& world_;
    std::vector<std::unique_ptr<Served>> served_{};
};

/// Owns the queue and the fleet.
class MillOwner {
    using Log = Journal<sim::Disk>;
    struct WorkWatch {
        MillOwner* owner;
        void on_dead(const DeadWork&) { owner->run_.world.reach("dead letter"); }
    };
    using Work = WorkQueue<Log, KeepDead, WorkWatch>;
    struct Watch {
        MillOwner* owner;
        std::size_t which;
        void on_state(const Transition& change) { owner->on_state(which, change); }
        void on_message(const Bytes& m) { owner->on_message(which, std::string{as_text(m)}); }
    };
    using Transport = Heartbeat<WatchedTcp>;
    using Service = FleetService<Transport, decltype(mill_policy()), Watch>;
    /// A lease that a service has.
    struct Held {
        Lease lease;
        std::uint64_t piece;
    };

public:
    MillOwner(sim::Host& host, MillWorld& run)
        : host_{host}, run_{run}, life_{++run.lives}, fleet_{mill_fleet} {
        run.opening = 0;
        auto log = Log::open(
            host.disk(), "data/pieces",
            {.segment_bytes = 4096, .record_bytes_max = 512, .seed = Seed{run.world.bits()()}});
        if (!log) {
            end();
            return;
        }
        auto work = Work::open(std::move(*log), options(), moment(), WorkWatch{this});
        if (!work) {
            end();
            return;
        }
        work_.emplace(std::move(*work));
        host.attach(fleet_);
        for (std::size_t i = 0; i < mills; ++i) {
            ConnectionRecord& tap =
                taps_.emplace_back(ConnectionRecord{.history = &run.history, .name = "owner"});
            tap.opening = &run.opening;
            const Transport transport{WatchedTcp{host, tap, mill_name(i)},
                                      {.every = 500ms, .dead_after = 1500ms}};
            services_[i] = &fleet_.add(mill_name(i), transport, mill_policy(), Watch{this, i});
        }
        fleet_.start();
        step();
    }

    [[nodiscard]] bool is_done() const {
        return work_ && !ends_ && run_.promised == pieces && work_->empty();
    }
    /// Returns what is wrong with the ends of the pieces.
    [[nodiscard]] std::string judge() {
        std::set<std::uint64_t> dead;
        const std::error_code e = work_->for_each_dead([&](const WorkItem& item) {
            dead.insert(std::stoull(std::string{as_text(item.body)}));
        });
        if (e) return e.message();
        for (std::uint64_t piece = 1; piece <= pieces; ++piece) {
            const bool finished = run_.finished.contains(piece);
            const std::string name = "piece " + std::to_string(piece);
            if (!run_.reported.contains(piece) && !dead.contains(piece)) return name + " is lost";
            if (finished && dead.contains(piece)) return name + " is finished and dead";
        }
        return {};
    }

private:
    static WorkOptions options() {
        WorkOptions o;
        o.lease = 2s;
        o.deliveries_max = piece_deliveries_max;
        o.keys = 128;
        o.record_bytes_max = 512;
        o.slack_bytes = 1024;
        return o;
    }
    [[nodiscard]] Moment moment() const {
        return {host_.now(), WallTime{} + 1000h + host_.now().time_since_epoch()};
    }
    void end() {
        if (std::exchange(ends_, true)) return;
        run_.world.reach("journal failed");
        exit_and_restart(run_.world, host_);
    }
    /// Ends the process if an error is one of the journal.
    bool is_well(const std::error_code& e) {
        if (e && work_->failed()) end();
        return !e;
    }
    void step() {
        host_.after(100ms, [this] { step(); });
        if (ends_) return;
        look();
        push();
        for (std::size_t i = 0; i < mills; ++i) feed(i);
    }
    void look() {
        const FleetCounters now = fleet_.counters();
        if (now.dialling > mill_fleet.dials_max ||
            now.dialling_slowly > mill_fleet.slow_dials_max) {
            run_.too_many_dials = true;
        }
        if (now.network_suspect) run_.world.reach("network suspect");
    }
    void push() {
        const auto until = static_cast<std::uint64_t>(host_.now().time_since_epoch() / 200ms);
        for (; next_ <= std::min(pieces, until); ++next_) {
            const std::string body = std::to_string(next_);
            const auto pushed = work_->push(as_bytes(body), moment(), {.key = body});
            if (pushed.error() != QueueErrc::duplicate && !is_well(pushed.error())) return;
        }
        if (is_well(work_->commit())) run_.promised = std::max(run_.promised, next_ - 1);
    }
    /// Gives its next piece to a service that is connected and has none.
    void feed(std::size_t i) {
        if (ends_ || services_[i]->status().state != LinkState::connected) return;
        if (held_[i] && held_[i]->lease.deadline > host_.now()) return;
        held_[i].reset();
        const auto lease = work_->lease(moment());
        if (!lease) {
            if (lease.error() != QueueErrc::queue_empty) is_well(lease.error());
            return;
        }
        const std::uint64_t piece = std::stoull(std::string{as_text(lease->body)});
        note(*lease, piece);
        held_[i] = Held{*lease, piece};
        leases_.push_back(*held_[i]);
        const std::string text = std::to_string(life_) + " " + std::to_string(leases_.size() - 1) +
                                 " " + std::to_string(piece);
        if (services_[i]->send(to_bytes(text)) != SendResult::sent) give_back(i);
    }
    void note(const Lease& lease, std::uint64_t piece) {
        const std::string name = "piece " + std::to_string(piece);
        const auto other = leased_until_.find(piece);
        if (other != leased_until_.end()) {
            run_.world.reach("lease expired");
            if (other->second > host_.now()) run_.wrong = name + " is leased to two services";
        }
        if (run_.finished.contains(piece)) run_.wrong = name + " is leased after its end";
        if (lease.delivery > piece_deliveries_max) run_.wrong = name + " is leased too often";
        leased_until_[piece] = lease.deadline;
    }
    /// Returns the piece of a service whose connection is lost, so that another service may have
    /// it.
    void give_back(std::size_t i) {
        if (!held_[i] || ends_) return;
        const Held held = *std::exchange(held_[i], std::nullopt);
        run_.world.reach("given back");
        finish(held, false);
    }
    void on_state(std::size_t i, const Transition& change) {
        if (change.from == LinkState::connected) {
            if (change.to.failure.error() == LinkErrc::heartbeat_lost) {
                run_.world.reach("heartbeat lost");
            }
            give_back(i);
        }
        if (change.to.state != LinkState::failed) return;
        run_.world.reach("attempt limit reached");
        host_.after(3s, [this, i] { static_cast<void>(services_[i]->reconnect_now()); });
    }
    void on_message(std::size_t i, const std::string& text) {
        // "done 3 17": lease 17 of the third process.
        if (ends_ || std::stoull(text.substr(5)) != life_) return;
        const auto number = static_cast<std::size_t>(std::stoull(text.substr(text.rfind(' '))));
        const Held& held = leases_.at(number);
        if (held_[i] && held_[i]->lease.id == held.lease.id) held_[i].reset();
        finish(held, text.starts_with("done"));
        if (!ends_) feed(i);
    }
    void finish(const Held& held, bool done) {
        const std::error_code e =
            done ? work_->ack(held.lease) : work_->nack(held.lease, moment(), 200ms);
        if (e == QueueErrc::lease_ended) return run_.world.reach("lease ended");
        if (done) run_.reported.insert(held.piece);
        if (!is_well(e)) return;
        leased_until_.erase(held.piece);
        if (is_well(work_->commit()) && done) run_.finished.insert(held.piece);
    }

    sim::Host& host_;
    MillWorld& run_;
    const std::uint32_t life_;
    bool ends_ = false;
    std::uint64_t next_ = 1;
    std::optional<Work> work_{};
    std::deque<Held> leases_{};
    std::map<std::uint64_t, Instant> leased_until_{};
    std::array<std::optional<Held>, mills> held_{};
    std::array<Service*, mills> services_{};
    std::deque<ConnectionRecord> taps_{};
    Fleet<> fleet_;
};

bool work_queue_and_fleet(sim::World& world) {
    MillWorld& run = world.make<MillWorld>(world);
    std::vector<sim::Host*>& hosts = world.make<std::vector<sim::Host*>>();
    for (std::size_t i = 0; i < mills; ++i) {
        hosts.push_back(&world.host(
            mill_name(i), [&world](sim::Host& h) { return std::make_unique<Mill>(h, world); }));
    }
    sim::Host& owner =
        world.host("owner", [&run](sim::Host& h) { return std::make_unique<MillOwner>(h, run); });
    for (const char* const mark :
         {"lease expired", "lease ended", "given back", "dead letter", "network suspect",
          "heartbeat lost", "attempt limit reached", "journal failed"}) {
        world.reachable(mark);
    }
    world.always("the rules of leases", [&run] { return run.wrong; });
    world.always("the limits of a fleet", [&run] {
        const std::size_t limit = mill_fleet.dials_max + mill_fleet.slow_dials_max;
        return run.opening <= limit && !run.too_many_dials;
    });
    cut_off(world, owner, hosts, 8s);
    fill_disk_at_times(world, "owner", 13'000);
    world.run_for(14s);
    world.heal();
    // At least one service works.
    for (std::size_t i = 1; i < mills; ++i) {
        if (world.chance("stays broken", 30)) break_for_good(world, *hosts[i], owner);
    }
    return world.eventually("every piece ends", 120s,
                            [&] {
                                auto* const process = owner.process<MillOwner>();
                                return process != nullptr && process->is_done();
                            }) &&
           world.require("every piece is finished or a dead letter",
                         owner.process<MillOwner>()->judge());
}

}  // namespace

TEST_CASE("A WorkQueue that feeds a Fleet ends each item once",
          "[worlds][work_fleet][sim][property]") {
    const auto options = world_options({.kills = 5,
                                        .black_holes = 4,
                                        .refusals = 4,
                                        .early_closes = 3,
                                        .cuts = 0,
                                        .disk_refusals = 2,
                                        .disk_errors = 3,
                                        .late_disk_errors = 3,
                                        .exhaustions = 2,
                                        .within = 13s,
                                        .lasts_max = 6s});
    CHECK(explored_as_wanted("work_fleet", options, work_queue_and_fleet));
}
