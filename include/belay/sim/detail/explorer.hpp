// SPDX-License-Identifier: MIT
/// \file belay/sim/detail/explorer.hpp
/// Explorer: runs a body in many worlds, and explains the first failure.
#pragma once

#include <algorithm>    // std::replace
#include <atomic>       // std::atomic
#include <charconv>     // std::from_chars
#include <chrono>       // std::chrono::steady_clock
#include <cstdio>       // std::fputs
#include <cstdlib>      // std::getenv
#include <exception>    // std::exception
#include <mutex>        // std::mutex
#include <string>       // std::string
#include <string_view>  // std::string_view
#include <thread>       // std::thread
#include <utility>      // std::move
#include <vector>       // std::vector

#include <belay/sim/detail/jobs.hpp>
#include <belay/sim/detail/shrink.hpp>
#include <belay/sim/report.hpp>
#include <belay/sim/world.hpp>

namespace belay { inline namespace BELAY_ABI { namespace sim::detail {

/// The result of one world.
struct Outcome {
    std::string property;  // empty: it passed
    std::string details;
    std::uint64_t hash = 0;
    std::uint64_t events = 0;
    std::uint64_t faults = 0;
    bool was_idle = false;  // when its faults began
    Scenario scenario;
    std::map<std::string, bool, std::less<>> marks;
    std::vector<Record> records;
    std::string diagram;
    std::vector<std::string> hosts;

    [[nodiscard]] bool same_history(const Outcome& other) const noexcept {
        return hash == other.hash && events == other.events && property == other.property;
    }
};

class Explorer {
public:
    using Body = belay::detail::Function<bool(World&)>;

    explicit Explorer(ExploreOptions options) : options_{std::move(options)} {
        constexpr std::uint64_t any = ~std::uint64_t{0};
        number_from("BELAY_SEEDS", any, [&](std::uint64_t n) { options_.seeds = n; });
        number_from("BELAY_SIM_SEED", any, [&](std::uint64_t n) { options_.seed = Seed{n}; });
        number_from("BELAY_SIM_JOBS", 1024,
                    [&](std::uint64_t n) { options_.jobs = static_cast<std::uint32_t>(n); });
        constexpr auto longest = std::chrono::duration_cast<std::chrono::seconds>(forever);
        number_from("BELAY_SIM_BUDGET", static_cast<std::uint64_t>(longest.count()),
                    [&](std::uint64_t n) {
                        options_.budget = std::chrono::seconds{static_cast<std::int64_t>(n)};
                    });
        number_from("BELAY_SIM_TRACE", any, [&](std::uint64_t n) {
            if (n != 0) options_.diagram_lines = whole_history;  // all that is recorded
        });
        if (options_.jobs == 0) options_.jobs = 1;
        if (options_.failed_assertions != nullptr && options_.jobs > 1 && run_jobs == nullptr) {
            report_.problem =
                "ExploreOptions::failed_assertions needs jobs = 1: a count does not name the "
                "thread whose assertion failed";
        }
        report_.seeds_wanted = options_.seed ? 1 : options_.seeds;
    }
    [[nodiscard]] std::uint32_t jobs() const noexcept { return options_.jobs; }
    void add_body(Body body) { bodies_.push_back(std::move(body)); }

    [[nodiscard]] Report explore() {
        if (report_.problem.empty()) {
            run_all();
            if (failing_) {
                explain();
            } else if (report_.problem.empty()) {
                judge();
            }
        }
        if (options_.print && !(report_.problem.empty() && report_.warning().empty())) {
            std::fputs(("\nsim::explore: " + report_.text() + "\n").c_str(), stderr);
        }
        return std::move(report_);
    }

private:
    static constexpr std::uint32_t whole_history = 1U << 20;
    static constexpr std::uint64_t none = no_seed;

    template <class F>
    void number_from(const char* name, std::uint64_t most, F&& f) {
        const char* const text = options_.environment ? std::getenv(name) : nullptr;
        if (text == nullptr || *text == '\0') return;
        std::uint64_t value = 0;
        const char* const end = text + std::string_view{text}.size();
        const auto [at, error] = std::from_chars(text, end, value);
        if (error == std::errc::invalid_argument || at != end) {
            report_.problem = std::string{name} + "=" + text + " is not a number";
        } else if (error != std::errc{} || value > most) {
            report_.problem = std::string{name} + "=" + text + " is too large";
        } else {
            f(value);
        }
    }

    // ---- one world -----------------------------------------------------------------------------

    Outcome run(Body& body, Seed seed, const std::optional<Scenario>& play,
                std::uint32_t record_lines = 0) {
        WorldOptions o{.order = options_.order,
                       .play = play,
                       .events_max = options_.events_max,
                       .time_max = options_.time_max,
                       .record_lines = record_lines};
        if (!play) o.draw = options_.scenario;
        World world{seed, std::move(o)};
        Outcome out;
        bool well = false;
        const std::uint64_t failed_before = failed_assertions();
#if defined(__cpp_exceptions)
        try {
            well = body(world);
        } catch (const std::exception& error) {
            out.property = std::string{"the body threw: "} + error.what();
        } catch (...) {
            out.property = "the body threw";
        }
#else
        well = body(world);
#endif
        if (const std::optional<Violation>& v = world.violation()) {
            out.property = v->property;
            out.details = (v->details.empty() ? "it is false" : v->details) + " (at " +
                          Diagram::seconds(v->at) + ")";
        } else if (out.property.empty() && failed_assertions() != failed_before) {
            out.property = "an assertion of the test framework failed";
            out.details = "the output of the test has its text";
        } else if (out.property.empty() && !well) {
            out.property = "the body returned false";
            out.details = "call World::require or World::eventually in the body, with a name";
        } else if (out.property.empty() && world.events() == 0) {
            out.property = "the body returned true without an event";
            out.details = "run the world in the body";
        }
        out.hash = world.trace_hash();
        out.events = world.events();
        out.faults = world.faults_begun();
        out.was_idle = world.was_idle();
        out.scenario = world.drawn_scenario();
        out.marks = world.marks();
        if (record_lines != 0) {
            out.records = world.records();
            out.diagram = world.diagram(options_.diagram_lines);
            out.hosts = world.host_names();
        }
        return out;
    }
    [[nodiscard]] std::uint64_t failed_assertions() const {
        return options_.failed_assertions != nullptr ? options_.failed_assertions() : 0;
    }
    [[nodiscard]] bool runs_twice(Seed seed) const noexcept {
        if (options_.recheck_percent == 0) return false;
        return options_.seed || seed.value == 1 ||
               mix(seed.value, hash_of("recheck")) % 100 < options_.recheck_percent;
    }
    void run_seed(Body& body, Seed seed) {
        Outcome first = run(body, seed, options_.play);
        std::uint64_t worlds = 1;
        // A failure is run again anyway, to shrink and to explain it.
        if (runs_twice(seed) || !first.property.empty()) {
            const Outcome second = run(body, seed, options_.play);
            ++worlds;
            if (!first.same_history(second)) {
                first.property = "the second run with the same seed had another history";
                first.details = parting(body, seed);
                worlds += 2;
            }
        }
        const std::scoped_lock lock{mutex_};
        ++report_.seeds_run;
        report_.worlds += worlds;
        report_.events += first.events;
        report_.faults += first.faults;
        report_.worlds_idle += first.was_idle ? 1U : 0U;
        faults_drawn_ += first.scenario.size();
        for (const auto& [name, reached] : first.marks) report_.marks[name] += reached ? 1U : 0U;
        if (!first.property.empty() && seed.value < failing_seed_) {
            failing_seed_ = seed.value;
            failing_ = std::move(first);
        }
    }
    /// Returns where the histories of two runs part.
    std::string parting(Body& body, Seed seed) {
        static constexpr const char* hint =
            "A real clock, a random number without the world's seed, the order of a hashed "
            "container or of addresses, or a body that keeps state from run to run is the cause";
        const Outcome a = run(body, seed, options_.play, whole_history);
        const Outcome b = run(body, seed, options_.play, whole_history);
        const std::size_t common = std::min(a.records.size(), b.records.size());
        std::size_t i = 0;
        while (i < common && a.records[i] == b.records[i]) ++i;
        if (i == common && a.records.size() == b.records.size()) {
            return std::string{hint} + "; a third and a fourth run do not differ in their events";
        }
        std::string out =
            std::string{hint} + ". The histories part at event " + std::to_string(i + 1) + ":\n";
        for (const Outcome* o : {&a, &b}) {
            const Diagram diagram{o->hosts, o->scenario};
            out += i < o->records.size() ? diagram.line(o->records[i])
                                         : "  (the end of the history)\n";
        }
        return out;
    }

    // ---- many worlds ---------------------------------------------------------------------------

    void run_all() {
        if (options_.seed) return run_seed(bodies_[0], *options_.seed);
        if (run_jobs != nullptr && bodies_.size() > 1) return run_all_in_processes();
        std::vector<std::thread> threads;
        for (std::size_t i = 1; i < bodies_.size(); ++i) {
            threads.emplace_back([this, i] { run_some(bodies_[i]); });
        }
        run_some(bodies_[0]);
        for (std::thread& t : threads) t.join();
    }
    /// Runs seeds until one has failed that is lower than all that are left. So the report does not
    /// depend on the number of threads.
    void run_some(Body& body) {
        for (;;) {
            const std::uint64_t seed = next_seed_.fetch_add(1);
            if (seed > options_.seeds) return;
            {
                const std::scoped_lock lock{mutex_};
                if (seed > failing_seed_) return;
                if (out_of_budget()) {
                    report_.out_of_budget = true;
                    return;
                }
            }
            run_seed(body, Seed{seed});
        }
    }

    // ---- many worlds, in processes -------------------------------------------------------------

    /// Job i runs seed i + 1 and each `jobs`-th after it, until a lower one has failed in any job.
    /// This process runs the lowest of them again, to explain it.
    void run_all_in_processes() {
        Job job{[this](std::uint32_t i, JobSeeds seeds) { return run_job(i, seeds); }};
        std::uint64_t crashed = none;
        for (const JobResult& result : run_jobs(options_.jobs, job)) {
            if (!result.text.empty()) {
                add(result.text);
            } else if (report_.problem.empty() || result.seed < crashed) {
                crashed = result.seed;
                report_.problem = "a job has ended without a result" +
                                  (crashed == none ? "" : ", in seed " + std::to_string(crashed)) +
                                  ": " + result.end;
            }
        }
        if (!failing_) return;
        const Outcome in_job = *std::exchange(failing_, std::nullopt);
        const std::uint64_t seed = std::exchange(failing_seed_, none);
        const Report counted = report_;
        run_seed(bodies_[0], Seed{seed});
        report_ = counted;
        if (failing_) return;
        report_.problem =
            "seed " + std::to_string(seed) + " failed in a process: " + in_job.property +
            (in_job.details.empty() ? "" : ": ") + in_job.details +
            ", and not when it ran again: the body depends on what ran before" + and_problem();
    }
    /// Runs the seeds of a job in its process.   Returns: its result.
    [[nodiscard]] std::string run_job(std::uint32_t i, JobSeeds seeds) {
        std::atomic<std::uint64_t>& lowest = seeds[0];
        std::uint64_t seed = i;
        while (seed < options_.seeds && seed < lowest) {
            if (report_.out_of_budget = out_of_budget(); report_.out_of_budget) break;
            seeds[i + 1] = seed + 1;
            run_seed(bodies_[i], Seed{seed + 1});
            std::uint64_t known = lowest;
            while (failing_seed_ < known && !lowest.compare_exchange_weak(known, failing_seed_)) {
            }
            if (options_.seeds - seed <= options_.jobs) break;
            seed += options_.jobs;
        }
        return result_of_job();
    }
    /// Returns what an earlier part has reported, as the end of a sentence.
    [[nodiscard]] std::string and_problem() const {
        return report_.problem.empty() ? std::string{} : "; " + report_.problem;
    }
    /// Returns the result of this process: numbers, the failure, and the marks.
    [[nodiscard]] std::string result_of_job() const {
        std::string out;
        for (const std::uint64_t n : {report_.seeds_run, report_.worlds, report_.events,
                                      report_.faults, report_.worlds_idle, faults_drawn_,
                                      std::uint64_t{report_.out_of_budget}, failing_seed_}) {
            out += std::to_string(n) + ' ';
        }
        const auto add_text = [&out](std::string text) {
            std::replace(text.begin(), text.end(), '\0', ' ');  // it ends a text here
            out += text + '\0';
        };
        add_text(failing_ ? failing_->property : "");
        add_text(failing_ ? failing_->details : "");
        for (const auto& [name, count] : report_.marks) {
            out += std::to_string(count) + ' ';
            add_text(name);
        }
        return out;
    }
    /// Adds the result of another process.
    void add(std::string_view result) {
        const auto cut = [&](char end) {
            const std::string_view part = result.substr(0, result.find(end));
            result.remove_prefix(part.size() + 1);
            return part;
        };
        const auto number = [&] {
            std::uint64_t value = 0;
            const std::string_view digits = cut(' ');
            std::from_chars(digits.data(), digits.data() + digits.size(), value);
            return value;
        };
        report_.seeds_run += number();
        report_.worlds += number();
        report_.events += number();
        report_.faults += number();
        report_.worlds_idle += number();
        faults_drawn_ += number();
        report_.out_of_budget = number() != 0 || report_.out_of_budget;
        const std::uint64_t seed = number();
        Outcome failure;
        failure.property = cut('\0');
        failure.details = cut('\0');
        if (seed < failing_seed_) {
            failing_seed_ = seed;
            failing_ = std::move(failure);
        }
        while (!result.empty()) {
            const std::uint64_t count = number();
            report_.marks[std::string{cut('\0')}] += count;
        }
    }
    [[nodiscard]] bool out_of_budget() const noexcept {
        return options_.budget != forever &&
               elapsed(started_, std::chrono::steady_clock::now()) >= options_.budget;
    }

    // ---- the result ----------------------------------------------------------------------------

    /// Decides whether an exploration without a failing world has passed.
    void judge() {
        std::string& problem = report_.problem;
        if (report_.seeds_run == 0) {
            problem = options_.seeds == 0 ? "no seed ran: ExploreOptions::seeds is 0"
                                          : "no seed ran: the budget is too small";
            return;
        }
        if (options_.seed) return;
        const std::uint64_t least =
            options_.seeds_min.value_or(options_.seeds / 10 + (options_.seeds % 10 != 0 ? 1 : 0));
        if (report_.seeds_run < least) {
            problem = "too few seeds ran: at least " + std::to_string(least) + " must";
            return;
        }
        for (const auto& [name, count] : report_.marks) {
            if (count != 0) continue;
            problem = "no world reached \"" + name + "\"";
            return;
        }
        if (faults_drawn_ != 0 && report_.faults == 0) {
            problem =
                "faults were drawn and none began: run the world for ScenarioOptions::within "
                "before heal()";
        }
    }
    void explain() {
        const Seed seed{failing_seed_};
        Failing f;
        f.seed = seed;
        f.property = failing_->property;
        f.details = failing_->details;
        f.drawn = f.smallest = failing_->scenario;
        f.hash = failing_->hash;
        if (f.property == "the limit of events") {
            f.options = ", .events_max = " + std::to_string(options_.events_max);
        } else if (f.property == "the limit of time") {
            f.options = ", .time_max = " + to_cpp(options_.time_max);
        }
        f.order = options_.order;
        const bool repeats = f.property.find("another history") == std::string::npos;
        if (repeats && options_.shrink_worlds_max != 0) {
            Shrink shrink{f.drawn, options_.shrink_worlds_max, [&](const Scenario& s) {
                              return run(bodies_[0], seed, s).property == f.property;
                          }};
            f.smallest = shrink.run();
            f.shrink_worlds = shrink.tries();
            f.shrink_ended = shrink.out_of_tries();
        }
        Outcome last = run(bodies_[0], seed, f.smallest, whole_history);
        if (repeats) f.details = last.details;
        f.hash = last.hash;
        f.diagram = std::move(last.diagram);
        report_.worlds += f.shrink_worlds + 1U;
        report_.problem =
            "seed " + std::to_string(seed.value) + " fails: " + f.property + and_problem();
        report_.failing = std::move(f);
    }

    ExploreOptions options_;
    std::vector<Body> bodies_;
    const std::chrono::steady_clock::time_point started_ = std::chrono::steady_clock::now();
    std::atomic<std::uint64_t> next_seed_{1};
    std::mutex mutex_;
    std::uint64_t failing_seed_ = none;
    std::optional<Outcome> failing_;
    std::uint64_t faults_drawn_ = 0;
    Report report_;
};

}}}  // namespace belay::sim::detail
