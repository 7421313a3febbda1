// SPDX-License-Identifier: MIT
// Goal: a WorkQueue that copies items forward all the time keeps the state of each item: its
// deliveries, its lease and its end, also if leases end meanwhile. Method: exploration. The process
// crashes, its disk fails and is full at times, and workers are too slow for their leases.
#include <belay/work/work_queue.hpp>

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include <belay/journal/journal.hpp>

#include "support/worlds/explored.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

constexpr std::uint64_t crates = 90;
constexpr std::uint32_t crate_deliveries_max = 4;
constexpr std::size_t crate_slack = 512;

/// The observations of the test, which outlive the processes.
struct CrateWorld {
    explicit CrateWorld(sim::World& w) : world{w}, counts{w.chance("count before lending", 50)} {}

    struct Crate {
        std::uint32_t leases = 0;    ///< how often it was leased
        std::uint32_t recorded = 0;  ///< deliveries that are durable
        bool is_acked = false;       ///< its end may be durable
        bool is_finished = false;    ///< its end is durable
        bool is_dead = false;
    };
    sim::World& world;
    const bool counts;  ///< each delivery before its lease
    std::string wrong{};
    std::uint64_t pushed = 0;    ///< the last number that was tried
    std::uint64_t promised = 0;  ///< all up to this number that were accepted are durable
    std::set<std::uint64_t> accepted{};
    std::map<std::uint64_t, Crate> all{};
};

/// Pushes crates, and works on several at a time.
class CrateProcess {
    using Log = Journal<sim::Disk>;
    struct Watch {
        CrateProcess* process;
        void on_dead(const DeadWork& dead) { process->on_dead(dead); }
    };
    using Work = WorkQueue<Log, KeepDead, Watch>;

public:
    CrateProcess(sim::Host& host, CrateWorld& run) : host_{host}, run_{run} {
        auto log = Log::open(
            host.disk(), "data/crates",
            {.segment_bytes = 4096, .record_bytes_max = 1024, .seed = Seed{run.world.bits()()}});
        if (!log) {
            end();
            return;
        }
        WorkOptions options;
        options.lease = 400ms;
        options.deliveries_max = crate_deliveries_max;
        options.count_before_lease = run.counts;
        options.record_bytes_max = 1024;
        options.slack_bytes = crate_slack;
        auto work = Work::open(std::move(*log), options, moment(), Watch{this});
        if (!work) {
            end();
            return;
        }
        work_.emplace(std::move(*work));
        // A crate that was not durable may be there or lost.
        std::erase_if(run.accepted, [&](std::uint64_t number) { return number > run.promised; });
        push();
        lease();
        commit();
    }

    [[nodiscard]] bool is_done() const {
        return !ends_ && work_ && run_.pushed == crates && work_->empty();
    }
    /// Returns what is wrong with the ends of the crates.
    [[nodiscard]] std::string judge() {
        std::set<std::uint64_t> dead;
        const std::error_code error =
            work_->for_each_dead([&](const WorkItem& item) { dead.insert(number_of(item.body)); });
        if (error) return error.message();
        for (const std::uint64_t number : run_.accepted) {
            const auto& crate = run_.all[number];
            const std::string name = "crate " + std::to_string(number);
            if (!crate.is_acked && !dead.contains(number)) return name + " is lost";
            if (crate.is_finished && dead.contains(number)) return name + " is finished and dead";
        }
        return {};
    }

private:
    static std::uint64_t number_of(BytesView body) {
        return std::stoull(std::string{as_text(body)});
    }
    [[nodiscard]] Moment moment() const {
        return {host_.now(), WallTime{} + 1000h + host_.now().time_since_epoch()};
    }
    void end() {
        if (std::exchange(ends_, true)) return;
        run_.world.reach("journal failed");
        exit_and_restart(run_.world, host_);
    }
    void end_if_failed() {
        if (work_->failed()) end();
    }
    void push() {
        if (ends_) return;
        host_.after(100ms, [this] { push(); });
        const auto until = static_cast<std::uint64_t>(host_.now().time_since_epoch() / 100ms);
        while (run_.pushed < std::min(until, crates)) {
            const std::uint64_t number = ++run_.pushed;
            const std::string body =
                std::to_string(number) + std::string(host_.choose("length", 400), ' ');
            const Duration delay = host_.chance("delayed", 20) ? 700ms : 0ms;
            if (work_->push(as_bytes(body), moment(), {.delay = delay}))
                run_.accepted.insert(number);
        }
        end_if_failed();
    }
    void lease() {
        if (ends_) return;
        host_.after(50ms, [this] { lease(); });
        const auto held = work_->lease(moment());
        if (!held) return end_if_failed();
        const std::uint64_t number = number_of(held->body);
        const std::string name = "crate " + std::to_string(number);
        auto& crate = run_.all[number];
        if (held->delivery <= crate.recorded) run_.wrong = name + " has lost a delivery";
        if (!run_.counts && held->delivery > crate.leases + 1)
            run_.wrong = name + " has one too many";
        if (held->delivery > crate_deliveries_max) run_.wrong = name + " is leased too often";
        if (crate.is_finished || crate.is_dead) run_.wrong = name + " is leased after its end";
        ++crate.leases;
        if (run_.counts) crate.recorded = held->delivery;
        unrecorded_[number] = held->delivery - 1;
        // Many crates take longer than their lease, and some never end.
        host_.after(std::chrono::milliseconds{host_.choose("takes", 600)},
                    [this, number, lease = *held] { work(number, lease); });
    }
    void work(std::uint64_t number, const Lease& lease) {
        if (ends_) return;
        const std::uint64_t how = host_.choose("how it ends", 10);
        if (how < 3) return;
        auto& crate = run_.all[number];
        const bool acks = how >= 6;
        const bool was_acked = std::exchange(crate.is_acked, crate.is_acked || acks);
        const std::error_code error =
            acks ? work_->ack(lease)
                 : work_->nack(lease, moment(), std::chrono::milliseconds{100 * how});
        if (!error && !acks) unrecorded_[number] = lease.delivery;
        if (!error && acks) unfinished_.insert(number);
        if (error == QueueErrc::lease_ended) {
            run_.world.reach("lease ended");
            if (acks) crate.is_acked = was_acked;
        }
        end_if_failed();
    }
    void commit() {
        if (ends_) return;
        host_.after(70ms, [this] { commit(); });
        const std::uint64_t before = work_->log().last();
        const std::uint64_t due = unfinished_.empty() ? 1 : 2;
        if (!work_->commit()) {
            if (work_->log().last() > before + due) run_.world.reach("items copied");
            run_.promised = run_.pushed;
            for (const auto& [number, deliveries] : unrecorded_) {
                auto& recorded = run_.all[number].recorded;
                recorded = std::max(recorded, deliveries);
            }
            for (const std::uint64_t number : unfinished_) run_.all[number].is_finished = true;
            unrecorded_.clear();
            unfinished_.clear();
        }
        end_if_failed();
    }
    void on_dead(const DeadWork& dead) {
        const std::uint64_t number = number_of(dead.body);
        run_.world.reach("dead letter");
        auto& crate = run_.all[number];
        if (!run_.counts && crate.leases < crate_deliveries_max) {
            run_.wrong = "crate " + std::to_string(number) + " is dead too early";
        }
    }

    sim::Host& host_;
    CrateWorld& run_;
    bool ends_ = false;
    std::optional<Work> work_{};
    std::map<std::uint64_t, std::uint32_t> unrecorded_{};
    std::set<std::uint64_t> unfinished_{};
};

bool crates_copied_forward(sim::World& world) {
    CrateWorld& run = world.make<CrateWorld>(world);
    sim::Host& host = world.host(
        "crates", [&run](sim::Host& h) { return std::make_unique<CrateProcess>(h, run); });
    fill_disk_at_times(world, "crates", 9'000);
    for (const char* const mark :
         {"journal failed", "lease ended", "dead letter", "items copied"}) {
        world.reachable(mark);
    }
    world.always("the rules of the queue", [&run] { return run.wrong; });
    world.run_for(10s);
    world.heal();
    const auto is_done = [&] {
        const auto* const process = host.process<CrateProcess>();
        return process != nullptr && process->is_done();
    };
    return world.eventually("every crate ends", 60s, is_done) &&
           world.require("every crate is finished or dead", host.process<CrateProcess>()->judge());
}

}  // namespace

TEST_CASE("WorkQueue that copies items forward keeps deliveries and ends while leases end",
          "[worlds][work][sim][property]") {
    auto options = world_options({.kills = 5,
                                  .disk_refusals = 2,
                                  .disk_errors = 3,
                                  .late_disk_errors = 3,
                                  .exhaustions = 2,
                                  .within = 9s,
                                  .lasts_max = 3s});
    options.seeds = 100;  // each has several hundred events
    CHECK(explored_as_wanted("work_compaction", options, crates_copied_forward));
}
