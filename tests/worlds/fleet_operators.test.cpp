// SPDX-License-Identifier: MIT
// Goal: a Fleet whose services are added, removed and commanded at any time, also inside of hooks,
// keeps its limits and its numbers, notifies no hook of a removed service, and connects all
// services soon after the faults end. Method: exploration, with time limits that contradict each
// other.
#include <algorithm>
#include <array>
#include <deque>
#include <memory>
#include <numeric>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <belay/backoff/backoff.hpp>
#include <belay/backoff/caps.hpp>
#include <belay/backoff/jitters.hpp>
#include <belay/fleet/fleet.hpp>
#include <belay/link/heartbeat.hpp>
#include <belay/policy/rules.hpp>

#include "support/worlds/broken_hosts.hpp"
#include "support/worlds/explored.hpp"
#include "support/worlds/silent_server.hpp"
#include "support/worlds/watched_tcp.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

constexpr std::size_t branches = 5;

auto branch_policy() {
    return Policy{Backoff{EqualJitter{}, Cap{2s}, 200ms}, ResetWhenStable{1s}, AttemptTimeout{2s},
                  MaxAttempts{5}};
}

[[nodiscard]] FleetOptions branch_options(sim::World& w) {
    const auto one_of = [&w](std::string_view tag, auto... values) {
        return std::array{Duration{values}...}[w.choose(tag, sizeof...(values))];
    };
    FleetOptions options;
    options.dials_max = 1 + w.choose("dials", 2);
    options.slow_dials_max = 1 + w.choose("slow dials", 2);
    options.suspects_min = 1 + w.choose("suspects", 3);
    options.slow_after = one_of("slow after", 50ms, 500ms, 10s);
    options.dial_gap = one_of("gap", 0s, 100ms);
    options.head_start = one_of("head start", 0s, 5s);
    options.hold = one_of("hold", 0s, 200ms, 3s);
    options.suspect_wait = one_of("wait", 100ms, 1s);
    options.suspect_wait_max = one_of("longest wait", 1s, 4s);
    return options;
}

/// The observations of the test, which outlive the processes.
struct BranchWorld {
    explicit BranchWorld(sim::World& w)
        : world{w},
          options{branch_options(w)},
          hurry{std::array{5U, 20U, 60U}[w.choose("hurry", 3)]},
          history{w.clock()} {}

    sim::World& world;
    FleetOptions options;
    std::uint32_t hurry;  ///< the chance of a command each 200 ms, in percent
    sim::History history;
    std::string wrong{};
    bool too_many_dials = false;  ///< in one of the lanes
    std::size_t opening = 0;      ///< dials under way
};

[[nodiscard]] std::string branch_name(std::size_t i) { return "branch " + std::to_string(i); }

/// The process with the fleet. It has up to five services.
class HeadOffice {
    struct Watch {
        HeadOffice* office;
        std::size_t which;
        std::uint64_t made;
        void on_state(const Transition& change) { office->on_state(which, made, change); }
    };
    struct FleetWatch {
        HeadOffice* office;
        void on_network_suspect(const NetworkSuspect&) {
            office->run_.world.reach("network suspect");
            office->in_hook();
        }
        void on_service(std::string_view name, const Transition&) { office->on_service(name); }
    };
    using Transport = Heartbeat<WatchedTcp>;
    using Services = Fleet<FleetWatch>;
    using Branch = FleetService<Transport, decltype(branch_policy()), Watch>;

    /// One service, if it was added.
    struct Slot {
        Branch* service = nullptr;
        std::uint64_t made = 0;
    };

public:
    HeadOffice(sim::Host& host, BranchWorld& run) : host_{host}, run_{run} {
        run.opening = 0;
        fleet_.emplace(run.options, FleetWatch{this});
        host.attach(*fleet_);
        for (std::size_t i = 0; i < branches; ++i) add(i);
        fleet_->start();
        work();
    }
    [[nodiscard]] bool is_well() const {
        if (!fleet_ || fleet_->size() != branches) return false;
        const FleetCounters now = fleet_->counters();
        const bool quiet = now.dialling + now.dialling_slowly + now.waiting_to_dial + now.held == 0;
        return quiet && !now.network_suspect &&
               now.totals[static_cast<std::size_t>(LinkState::connected)] == branches;
    }

private:
    void add(std::size_t i) {
        Slot& slot = slots_[i];
        if (slot.service != nullptr) return;
        ConnectionRecord& record =
            records_.emplace_back(ConnectionRecord{.history = &run_.history, .name = "office"});
        record.opening = &run_.opening;
        slot.made = ++made_;
        const Transport transport{WatchedTcp{host_, record, branch_name(i)},
                                  {.every = 1s, .dead_after = 2500ms}};
        ServiceOptions options{.priority = static_cast<std::uint8_t>(i % 2)};
        slot.service = &fleet_->add(branch_name(i), transport, branch_policy(), std::move(options),
                                    Watch{this, i, slot.made});
    }
    void remove(std::size_t i) {
        if (std::exchange(slots_[i].service, nullptr) == nullptr) return;
        run_.world.reach("removed");
        if (!fleet_->remove(branch_name(i))) run_.wrong = "a service cannot be removed";
        if (fleet_->contains(branch_name(i))) run_.wrong = "a removed service is still there";
    }
    void work() {
        host_.after(200ms, [this] { work(); });
        if (!fleet_) return;
        check();
        if (run_.world.healed_at()) {
            for (std::size_t i = 0; i < branches; ++i) {
                add(i);
                slots_[i].service->start();
                if (slots_[i].service->status().state == LinkState::failed) revive(i);
            }
            return;
        }
        if (!host_.chance("a command", run_.hurry)) return;
        if (host_.chance("inside of a hook", 50)) {
            waits_for_hook_ = true;
        } else {
            command();
        }
    }
    void check() {
        const FleetCounters now = fleet_->counters();
        const FleetStatus all = fleet_->status();
        if (all.totals != now.totals) run_.wrong = "the counters contradict the status";
        const std::size_t sum =
            std::accumulate(now.totals.begin(), now.totals.end(), std::size_t{0});
        if (sum != fleet_->size()) run_.wrong = "the counters count other services";
        if (now.waiting_to_dial + now.dialling + now.dialling_slowly + now.held > fleet_->size()) {
            run_.wrong = "more services dial than there are";
        }
        if (now.dialling > run_.options.dials_max ||
            now.dialling_slowly > run_.options.slow_dials_max) {
            run_.too_many_dials = true;
        }
        if (now.waiting_to_dial != 0) run_.world.reach("in line");
        if (now.held != 0) run_.world.reach("held");
        if (suspected_ && !now.network_suspect) run_.world.reach("suspicion ended");
        suspected_ = now.network_suspect;
    }
    void command() {
        const std::size_t i = host_.choose("which", branches);
        const std::size_t what = host_.choose("command", 12);
        if (what == 0) return remove(i);
        if (what == 1) {
            remove(i);
            add(i);
            return slots_[i].service->start();
        }
        if (what == 2) {
            for (std::size_t k = 0; k < branches; ++k) remove(k);
            return;
        }
        if (what == 3) return fleet_->reconnect_all(host_.chance("force", 50));
        if (what == 4) {
            fleet_.reset();  // the fleet may be in one of its hooks now
            return exit_and_restart(run_.world, host_);
        }
        if (slots_[i].service == nullptr) {
            add(i);
            return slots_[i].service->start();
        }
        command(*slots_[i].service, what, i);
    }
    void command(Branch& branch, std::size_t what, std::size_t i) {
        const std::uint64_t made = slots_[i].made;
        switch (what) {
            case 5:
                branch.stop();
                return later(i, 300ms, &Branch::start);
            case 6:
                branch.stop();
                // The hook of the stop may have removed the service.
                if (is_there(i, made)) branch.start();
                return;
            case 7:
                branch.drain(200ms);
                return later(i, 700ms, &Branch::start);
            case 8:
                branch.shut(Gate::hidden, host_.chance("grace", 50) ? 300ms : 0ms);
                host_.after(600ms, [this, i, made] {
                    if (is_there(i, made)) slots_[i].service->open(Gate::hidden);
                });
                return;
            case 9:
                static_cast<void>(fleet_->reconnect_now(branch_name(i), host_.chance("force", 50)));
                return;
            case 10:
                static_cast<void>(fleet_->report_unhealthy(branch_name(i)));
                return;
            default:
                static_cast<void>(branch.reconnect_now(true));
                return;
        }
    }
    [[nodiscard]] bool is_there(std::size_t i, std::uint64_t made) const {
        return fleet_ && slots_[i].service != nullptr && slots_[i].made == made;
    }
    void later(std::size_t i, Duration wait, void (Branch::*call)()) {
        host_.after(wait, [this, i, call, made = slots_[i].made] {
            if (is_there(i, made)) (slots_[i].service->*call)();
        });
    }
    void revive(std::size_t i) { static_cast<void>(fleet_->reconnect_now(branch_name(i))); }
    void in_hook() {
        if (!run_.world.healed_at() && std::exchange(waits_for_hook_, false)) command();
    }
    void on_state(std::size_t i, std::uint64_t made, const Transition& change) {
        if (!fleet_ || slots_[i].service == nullptr || slots_[i].made != made) {
            run_.wrong = "an observer of a removed service is notified";
            return;
        }
        if (change.to.failure.error() == LinkErrc::heartbeat_lost) {
            run_.world.reach("heartbeat lost");
        }
        if (change.to.state == LinkState::failed) run_.world.reach("attempt limit reached");
        in_hook();
    }
    void on_service(std::string_view name) {
        if (fleet_ && !fleet_->contains(name)) run_.wrong = "the fleet reports a removed service";
        in_hook();
    }

    sim::Host& host_;
    BranchWorld& run_;
    std::deque<ConnectionRecord> records_{};
    std::array<Slot, branches> slots_{};
    std::uint64_t made_ = 0;
    bool waits_for_hook_ = false;
    bool suspected_ = false;
    std::optional<Services> fleet_{};
};

bool operated_fleet(sim::World& world) {
    BranchWorld& run = world.make<BranchWorld>(world);
    std::vector<sim::Host*>& hosts = world.make<std::vector<sim::Host*>>();
    for (std::size_t i = 0; i < branches; ++i) {
        hosts.push_back(&world.host(
            branch_name(i), [](sim::Host& h) { return std::make_unique<SilentServer>(h); }));
    }
    sim::Host& office =
        world.host("office", [&run](sim::Host& h) { return std::make_unique<HeadOffice>(h, run); });
    for (const char* const mark : {"removed", "in line", "held", "network suspect",
                                   "suspicion ended", "heartbeat lost", "attempt limit reached"}) {
        world.reachable(mark);
    }
    world.always("the rules of a fleet", [&run] { return run.wrong; });
    world.always("the limit of dials", [&run] {
        const std::size_t limit = run.options.dials_max + run.options.slow_dials_max;
        return run.opening <= limit && !run.too_many_dials;
    });
    cut_off(world, office, hosts, 9s);
    world.run_for(14s);
    world.heal();
    return world.eventually("every service is connected, and nothing waits", 60s, [&] {
        const auto* const process = office.process<HeadOffice>();
        return process != nullptr && process->is_well();
    });
}

}  // namespace

TEST_CASE("Fleet under all commands of operators connects all its services",
          "[worlds][fleet_operators][sim][property]") {
    const auto options = world_options({.pauses = 3,
                                        .partitions = 8,
                                        .refusals = 6,
                                        .early_closes = 4,
                                        .cuts = 0,
                                        .within = 13s,
                                        .lasts_max = 8s});
    CHECK(explored_as_wanted("fleet_operators", options, operated_fleet));
}
