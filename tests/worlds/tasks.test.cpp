// SPDX-License-Identifier: MIT
// Goal: a Queue over a Priority of Encoded journals, with a journal of dead letters, loses no task
// that is durable, repeats none whose end is durable, keeps the order of each lane, and serves each
// lane. Method: exploration. The process crashes, and its disk fails and is full at times. Some
// tasks have bytes that cannot be decoded, and some fail when they are executed.
#include <belay/queue/priority.hpp>

#include <array>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include <belay/journal/journal.hpp>
#include <belay/queue/encoded.hpp>
#include <belay/queue/queue.hpp>

#include "support/worlds/explored.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

constexpr std::uint64_t tasks_max = 120;
constexpr std::size_t urgent_in_a_row = 3;

struct Chore {
    std::uint64_t number = 0;
    [[nodiscard]] std::size_t lane() const noexcept { return number % 3 == 0 ? 0 : 1; }
    /// The bytes of these tasks were written by another version of the program.
    [[nodiscard]] bool is_foreign() const noexcept { return number % 7 == 0; }
};

struct ChoreLane {
    std::size_t operator()(const Chore& task) const noexcept { return task.lane(); }
};

struct ChoreCodec {
    static bool encode(const Chore& task, Bytes& into) {
        const std::string text = (task.is_foreign() ? "?" : "") + std::to_string(task.number);
        into = to_bytes(text + std::string(100, ' '));
        return true;
    }
    static std::optional<Chore> decode(BytesView bytes) {
        const std::string text{as_text(bytes)};
        if (text.starts_with('?')) return std::nullopt;
        return Chore{std::stoull(text)};
    }
};

/// The observations of the test, which outlive the processes.
struct ChoreWorld {
    explicit ChoreWorld(sim::World& w) : world{w} {}

    sim::World& world;
    std::string wrong{};
    /// The last number that was pushed, whether it was accepted or not.
    std::uint64_t pushed = 0;
    std::set<std::uint64_t> unsure{};    ///< pushed, and not durable yet
    std::set<std::uint64_t> promised{};  ///< durable
    std::set<std::uint64_t> executed{};  ///< at least once
    std::set<std::uint64_t> finished{};  ///< executed, and their ends are durable
};

/// Pushes tasks, and executes them.
class ChoreProcess {
    using Log = Journal<sim::Disk>;
    /// The journal of dead letters, which both lanes share.
    struct DeadChores {
        Log* log;
        std::error_code try_push(Bytes&& letter) { return log->try_push(BytesView{letter}); }
        std::error_code flush() noexcept { return log->flush(); }
    };
    using Lane = Encoded<Log, ChoreCodec, DeadChores>;
    using Tasks = Queue<Priority<Lane, 2, ChoreLane>>;

public:
    ChoreProcess(sim::Host& host, ChoreWorld& run) : host_{host}, run_{run} {
        auto urgent = open("data/urgent");
        auto bulk = open("data/bulk");
        auto dead = open("data/dead");
        if (!urgent || !bulk || !dead) {
            end();
            return;
        }
        // A task that was not durable may be there or lost.
        run.unsure.clear();
        dead_.emplace(std::move(*dead));
        tasks_.emplace(
            Priority{std::array{Lane{std::move(*urgent), ChoreCodec{}, DeadChores{&*dead_}},
                                Lane{std::move(*bulk), ChoreCodec{}, DeadChores{&*dead_}}},
                     ChoreLane{},
                     {.in_a_row = urgent_in_a_row}});
        push();
        work();
    }

    [[nodiscard]] bool is_done() const {
        return !ends_ && tasks_ && run_.pushed == tasks_max && tasks_->empty();
    }
    /// Returns which durable task is lost.
    [[nodiscard]] std::string judge() {
        std::set<std::uint64_t> dead;
        for (std::uint64_t i = dead_->base(); i <= dead_->last(); ++i) {
            const auto body = dead_->read(i);
            if (!body) return body.error().message();
            dead.insert(std::stoull(std::string{as_text(*body)}.substr(1)));
        }
        for (const std::uint64_t number : run_.promised) {
            const Chore task{number};
            const bool is_there =
                task.is_foreign() ? dead.contains(number) : run_.executed.contains(number);
            if (!is_there) return "task " + std::to_string(number) + " is lost";
        }
        return {};
    }

private:
    Result<Log, JournalError> open(const char* path) {
        return Log::open(
            host_.disk(), path,
            {.segment_bytes = 4096, .record_bytes_max = 512, .seed = Seed{run_.world.bits()()}});
    }
    Log& log(std::size_t lane) { return tasks_->storage().lane(lane).storage(); }
    void end() {
        if (std::exchange(ends_, true)) return;
        run_.world.reach("journal failed");
        exit_and_restart(run_.world, host_);
    }
    void end_if_failed() {
        if (log(0).failed() || log(1).failed() || dead_->failed()) end();
    }
    void push() {
        host_.after(100ms, [this] { push(); });
        const auto until = static_cast<std::uint64_t>(host_.now().time_since_epoch() / 100ms);
        while (!ends_ && run_.pushed < std::min(until, tasks_max)) {
            const std::uint64_t number = ++run_.pushed;
            if (!tasks_->push(Chore{number})) run_.unsure.insert(number);
            end_if_failed();
        }
    }
    void work() {
        host_.after(150ms, [this] { work(); });
        if (ends_) return;
        const auto report = tasks_->drain([this](const Chore& task) { return execute(task); },
                                          host_.choose("most", 6));
        if (report.error) in_a_row_ = 0;
        if (!tasks_->flush() && !ends_) note_durable();
        end_if_failed();
    }
    bool execute(const Chore& task) {
        const std::size_t lane = task.lane();
        const std::string name = "task " + std::to_string(task.number);
        if (task.number > run_.pushed) run_.wrong = name + " was never pushed";
        if (task.is_foreign()) run_.wrong = name + " was decoded";
        if (run_.finished.contains(task.number)) run_.wrong = name + " is executed after its end";
        if (task.number < last_[lane]) run_.wrong = name + " is executed too late";
        if (run_.executed.contains(task.number)) run_.world.reach("task repeated");
        last_[lane] = task.number;
        // A turn in which a value becomes a dead letter counts, too.
        const bool had_turn = std::exchange(dead_seen_, dead_->last()) != dead_->last();
        const bool waits = lane == 0 && tasks_->storage().lane(1).size() != 0;
        in_a_row_ = waits ? (had_turn ? 1 : in_a_row_ + 1) : 0;
        if (in_a_row_ > urgent_in_a_row) run_.wrong = "the second lane starves";
        if (host_.chance("task fails", 10)) return false;
        run_.executed.insert(task.number);
        // The lane acknowledges the task with its own number.
        acked_[lane][log(lane).base()] = task.number;
        return true;
    }
    void note_durable() {
        run_.promised.merge(run_.unsure);
        run_.unsure.clear();
        for (std::size_t lane = 0; lane < 2; ++lane) {
            auto& acked = acked_[lane];
            while (!acked.empty() && acked.begin()->first <= log(lane).acked_durable()) {
                run_.finished.insert(acked.begin()->second);
                acked.erase(acked.begin());
            }
        }
    }

    sim::Host& host_;
    ChoreWorld& run_;
    bool ends_ = false;
    std::optional<Log> dead_{};
    std::optional<Tasks> tasks_{};
    std::size_t in_a_row_ = 0;
    std::uint64_t dead_seen_ = 0;
    std::array<std::uint64_t, 2> last_{};
    std::array<std::map<std::uint64_t, std::uint64_t>, 2> acked_{};
};

bool lanes_of_journals(sim::World& world) {
    ChoreWorld& run = world.make<ChoreWorld>(world);
    sim::Host& host = world.host(
        "tasks", [&run](sim::Host& h) { return std::make_unique<ChoreProcess>(h, run); });
    fill_disk_at_times(world, "tasks", 14'000);
    for (const char* const mark : {"journal failed", "task repeated"}) world.reachable(mark);
    world.always("the rules of the queue", [&run] { return run.wrong; });
    world.run_for(15s);
    world.heal();
    const auto is_done = [&] {
        const auto* const process = host.process<ChoreProcess>();
        return process != nullptr && process->is_done();
    };
    return world.eventually("every task ends", 20s, is_done) &&
           world.require("no task is lost", host.process<ChoreProcess>()->judge());
}

}  // namespace

TEST_CASE("Queue of Encoded journals with priorities keeps each task through crashes",
          "[worlds][queue][sim][property]") {
    const auto options = world_options({.kills = 5,
                                        .disk_refusals = 3,
                                        .disk_errors = 4,
                                        .late_disk_errors = 4,
                                        .exhaustions = 2,
                                        .within = 14s,
                                        .lasts_max = 4s});
    CHECK(explored_as_wanted("tasks", options, lanes_of_journals));
}
