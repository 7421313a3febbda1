// SPDX-License-Identifier: MIT
// Goal: a WorkQueue leases each item to one worker at a time, loses no item and repeats none whose
// end is durable, while its workers and its own process crash. Method: exploration. Four workers
// lease items over connections. Some items always fail, and some crash their worker.
#include <belay/work/work_queue.hpp>

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <belay/backoff/backoff.hpp>
#include <belay/backoff/caps.hpp>
#include <belay/backoff/jitters.hpp>
#include <belay/journal/journal.hpp>
#include <belay/link/heartbeat.hpp>
#include <belay/link/supervisor.hpp>
#include <belay/policy/rules.hpp>
#include <belay/sim/accepted.hpp>
#include <belay/sim/tcp.hpp>

#include "support/worlds/explored.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

constexpr std::uint64_t jobs = 40;
constexpr std::uint32_t job_deliveries_max = 4;

/// Every tenth job fails at each delivery, and every tenth ends its worker.
constexpr bool fails(std::uint64_t job) { return job % 10 == 0; }
constexpr bool crashes_its_worker(std::uint64_t job) { return job % 10 == 5; }

/// The observations of the test, which outlive the processes.
struct JobWorld {
    explicit JobWorld(sim::World& w) : world{w}, history{w.clock()} {}

    sim::World& world;
    sim::History history;
    std::string wrong{};
    std::uint64_t promised = 0;          ///< jobs up to this number are durable
    std::set<std::uint64_t> finished{};  ///< their ends are durable
    std::set<std::uint64_t> reported{};  ///< as done by a worker: their ends may be durable
    std::uint32_t lives = 0;             ///< of the process that has the queue
};

/// Owns the queue, pushes the jobs, and serves the workers.
class JobServer {
    using Log = Journal<sim::Disk>;
    struct Watch {
        JobServer* server;
        void on_dead(const DeadWork&) { server->run_.world.reach("dead letter"); }
    };
    using Work = WorkQueue<Log, KeepDead, Watch>;
    struct Serve {
        JobServer* server;
        void on_message(auto& link, const Bytes& m) {
            const std::string answer = server->answer(std::string{as_text(m)});
            if (!answer.empty()) static_cast<void>(link.send(to_bytes(answer)));
        }
    };
    using Served = Supervisor<sim::Accepted, MaxAttempts, Serve>;

public:
    JobServer(sim::Host& host, JobWorld& run) : host_{host}, run_{run}, life_{++run.lives} {
        // A machine may start with a wrong clock.
        wrong_by_ = 1h * static_cast<int>(run.world.choose("wall clock", 20));
        auto log = Log::open(
            host.disk(), "data/jobs",
            {.segment_bytes = 4096, .record_bytes_max = 512, .seed = Seed{run.world.bits()()}});
        if (!log) {
            end();
            return;
        }
        auto work = Work::open(std::move(*log), options(run.world), moment(), Watch{this});
        if (!work) {
            end();
            return;
        }
        work_.emplace(std::move(*work));
        host.listen(1, [this](sim::Accepted connection) {
            std::erase_if(served_,
                          [](const auto& s) { return s->status().state == LinkState::failed; });
            served_.push_back(std::make_unique<Served>(std::move(connection), MaxAttempts{1},
                                                       SupervisorOptions{}, Serve{this}));
            host_.attach(*served_.back());
            served_.back()->start();
        });
        push();
    }

    /// Returns whether all jobs were pushed, and have ended.
    [[nodiscard]] bool is_done() const {
        return work_ && !ends_ && run_.promised == jobs && work_->empty();
    }
    /// Returns what is wrong with the ends of the jobs.
    [[nodiscard]] std::string judge() {
        std::set<std::uint64_t> dead;
        const std::error_code e = work_->for_each_dead([&](const WorkItem& item) {
            dead.insert(std::stoull(std::string{as_text(item.body)}));
        });
        if (e) return e.message();
        for (std::uint64_t job = 1; job <= jobs; ++job) {
            const bool finished = run_.finished.contains(job);
            const std::string name = "job " + std::to_string(job);
            if (!run_.reported.contains(job) && !dead.contains(job)) return name + " is lost";
            if (finished && dead.contains(job)) return name + " is finished and dead";
            if (finished && fails(job)) return name + " is finished, and always fails";
        }
        return {};
    }

private:
    static WorkOptions options(sim::World& world) {
        WorkOptions o;
        o.lease = 2s;
        o.deliveries_max = job_deliveries_max;
        o.count_before_lease = world.chance("count before lending", 50);
        o.keys = 64;
        o.record_bytes_max = 512;
        o.slack_bytes = 1024;
        return o;
    }
    [[nodiscard]] Moment moment() const {
        return {host_.now(), WallTime{} + 1000h + wrong_by_ + host_.now().time_since_epoch()};
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
    /// After a restart the process has no list of the pushed jobs. The queue finds them by their
    /// keys.
    void push() {
        host_.after(250ms, [this] { push(); });
        // An operator or a suspend changes the wall clock. No time limit uses it.
        if (host_.chance("the wall clock jumps", 10)) {
            wrong_by_ += 1h * (static_cast<int>(host_.choose("by", 41)) - 20);
            run_.world.reach("the wall clock jumped");
        }
        const auto until = static_cast<std::uint64_t>(host_.now().time_since_epoch() / 300ms);
        for (; !ends_ && next_ <= std::min(jobs, until); ++next_) {
            const std::string body = std::to_string(next_);
            const Duration delay = host_.chance("delayed", 30) ? 700ms : 0ms;
            const auto pushed =
                work_->push(as_bytes(body), moment(), {.key = body, .delay = delay});
            if (pushed.error() == QueueErrc::duplicate) {
                run_.world.reach("duplicate push refused");
            } else if (!is_well(pushed.error())) {
                return;
            }
            run_.history.invoke("job", next_);
        }
        if (!ends_ && is_well(work_->commit())) {
            run_.promised = std::max(run_.promised, next_ - 1);
        }
    }
    std::string answer(const std::string& question) {
        if (ends_) return {};
        if (question == "want") return lease();
        // "done 3 17": lease 17 of the third process.
        const std::size_t space = question.find(' ', 5);
        const bool mine = std::stoull(question.substr(5)) == life_;
        const std::uint64_t number = std::stoull(question.substr(space));
        if (!mine) return "ended";
        const Lease& held = leases_.at(static_cast<std::size_t>(number));
        const std::uint64_t job = jobs_.at(static_cast<std::size_t>(number));
        const bool done = question.starts_with("done");
        if (done) run_.reported.insert(job);
        const std::error_code e = done ? work_->ack(held) : work_->nack(held, moment(), 300ms);
        if (e == QueueErrc::lease_ended) {
            run_.world.reach("lease ended");
            return "ended";
        }
        if (!is_well(e)) return {};
        leased_until_.erase(job);
        if (!is_well(work_->commit())) return {};
        if (done) {
            run_.finished.insert(job);
            run_.history.effect("job", job);
        }
        return "thanks";
    }
    std::string lease() {
        const auto held = work_->lease(moment());
        if (!held) {
            if (held.error() != QueueErrc::queue_empty) is_well(held.error());
            return "wait";
        }
        const std::uint64_t job = std::stoull(std::string{as_text(held->body)});
        const std::string name = "job " + std::to_string(job);
        const auto other = leased_until_.find(job);
        if (other != leased_until_.end()) {
            run_.world.reach("lease expired");
            if (other->second > host_.now()) run_.wrong = name + " is leased to two workers";
        }
        if (run_.finished.contains(job)) run_.wrong = name + " is leased after its end";
        if (held->delivery > job_deliveries_max) run_.wrong = name + " is leased too often";
        leased_until_[job] = held->deadline;
        leases_.push_back(*held);
        jobs_.push_back(job);
        return "job " + std::to_string(life_) + " " + std::to_string(leases_.size() - 1) + " " +
               std::to_string(job);
    }

    sim::Host& host_;
    JobWorld& run_;
    const std::uint32_t life_;
    Duration wrong_by_{};
    bool ends_ = false;
    std::uint64_t next_ = 1;
    std::optional<Work> work_{};
    std::vector<Lease> leases_{};
    std::vector<std::uint64_t> jobs_{};  ///< of the leases
    std::map<std::uint64_t, Instant> leased_until_{};
    std::vector<std::unique_ptr<Served>> served_{};
};

auto worker_policy() {
    return Policy{Backoff{FullJitter{}, Cap{1s}, 100ms}, ResetWhenStable{1s}, AttemptTimeout{2s}};
}

/// Requests a job, works, and reports the end.
class Worker {
public:
    Worker(sim::Host& host, sim::World& world)
        : host_{host},
          world_{world},
          link_{{sim::Tcp{host, "queue", 1}, {.every = 500ms, .dead_after = 1500ms}},
                worker_policy(),
                {},
                *this} {
        host.attach(link_);
        link_.start();
        ask();
    }
    void on_message(const Bytes& message) {
        const std::string text{as_text(message)};
        waits_ = false;
        if (!text.starts_with("job ")) return;
        const std::size_t last = text.rfind(' ');
        const std::uint64_t job = std::stoull(text.substr(last));
        waits_ = true;
        // Some jobs take longer than their lease.
        const std::uint64_t takes =
            host_.chance("slow", 5) ? 3000 : 20 + host_.choose("takes", 400);
        host_.after(
            std::chrono::milliseconds{takes}, [this, job, lease = text.substr(4, last - 4)] {
                if (crashes_its_worker(job)) return world_.restart(host_);
                static_cast<void>(link_.send(to_bytes((fails(job) ? "fail " : "done ") + lease)));
                asked_at_ = host_.now();
            });
    }

private:
    void ask() {
        host_.after(200ms, [this] { ask(); });
        const bool lost = elapsed(asked_at_, host_.now()) > 5s;
        if (waits_ && !lost) return;
        waits_ = link_.send(to_bytes("want")) == SendResult::sent;
        asked_at_ = host_.now();
    }

    sim::Host& host_;
    sim::World& world_;
    bool waits_ = false;
    Instant asked_at_ = always;
    Supervisor<Heartbeat<sim::Tcp>, decltype(worker_policy()), std::reference_wrapper<Worker>>
        link_;
};

bool work_queue_with_workers(sim::World& world) {
    JobWorld& run = world.make<JobWorld>(world);
    sim::Host& queue =
        world.host("queue", [&run](sim::Host& h) { return std::make_unique<JobServer>(h, run); });
    for (const char* const name : {"worker 1", "worker 2", "worker 3", "worker 4"}) {
        world.host(name, [&world](sim::Host& h) { return std::make_unique<Worker>(h, world); });
    }
    fill_disk_at_times(world, "queue", 14'000);
    for (const char* const mark :
         {"lease expired", "lease ended", "dead letter", "duplicate push refused", "journal failed",
          "the wall clock jumped"}) {
        world.reachable(mark);
    }
    world.always("the rules of leases", [&run] { return run.wrong; });
    world.run_for(15s);
    world.heal();
    return world.eventually("every job ends", 120s,
                            [&] {
                                auto* const process = queue.process<JobServer>();
                                return process != nullptr && process->is_done();
                            }) &&
           world.require("every job is finished or a dead letter",
                         queue.process<JobServer>()->judge()) &&
           world.require("no job takes effect twice", sim::at_most_once(run.history));
}

}  // namespace

TEST_CASE("WorkQueue with four workers that crash ends each job once",
          "[worlds][work][sim][property]") {
    const auto options = world_options({.kills = 5,
                                        .disk_refusals = 2,
                                        .disk_errors = 3,
                                        .late_disk_errors = 3,
                                        .exhaustions = 2,
                                        .within = 14s,
                                        .lasts_max = 6s});
    CHECK(explored_as_wanted("work", options, work_queue_with_workers));
}
