// SPDX-License-Identifier: MIT
/// \file belay/sim/detail/explorer.hpp
/// Explorer: runs a body in many worlds, and explains the first failure.
#pragma once

#include <algorithm>    // std::min, std::max, std::replace
#include <array>        // std::array
#include <charconv>     // std::from_chars
#include <chrono>       // std::chrono::steady_clock
#include <cstdio>       // std::fputs
#include <cstdlib>      // std::getenv
#include <exception>    // std::exception
#include <map>          // std::map
#include <optional>     // std::optional
#include <string>       // std::string
#include <string_view>  // std::string_view
#include <utility>      // std::move, std::exchange
#include <vector>       // std::vector

#include <belay/sim/detail/child.hpp>
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
    std::string another_history;  // of a second run: the reason

    [[nodiscard]] bool same_history(const Outcome& other) const noexcept {
        return hash == other.hash && events == other.events && property == other.property;
    }
};

inline constexpr std::uint32_t whole_history = 1U << 20;
inline constexpr const char* other_history =
    "the second run with the same seed had another history";
inline constexpr const char* assertion_failed = "an assertion of the test framework failed";
inline constexpr const char* see_output = "the output of the test has its text";
inline constexpr const char* section_in_body = "the body has a SECTION of Catch2";
inline constexpr const char* section_belongs = "put the SECTION around sim::explore";
/// The answers of a search: whether a scenario fails in the same property.
inline constexpr char answer_fails = 'f', answer_passes = 'p';
/// To fork costs as much as hundreds of short worlds. Statics of the test last for a batch.
inline constexpr std::uint64_t batch_seeds_max = 50'000;
/// Each program that a kill has abandoned keeps two of the 65,530 mappings of a process.
inline constexpr std::size_t abandoned_max = 8'000;

/// How often an exploration shows its progress on a terminal.
inline constinit Duration progress_every = std::chrono::seconds{1};

/// The world of a child whose history is noted in a crash.
struct Crashing {
    World* world = nullptr;
    ChildNote* note = nullptr;
    std::uint32_t lines = 0;
};
inline constinit Crashing crashing{};  // for a signal handler
/// Assertions that are counted in a process of its own.
struct ProcessCount {
    CountFailures count = nullptr;
    std::uint64_t before = 0;  // the exploration
};

/// Runs the seeds of an exploration in child processes, so that a crash is a failure of its seed. A
/// failure runs again alone, is shrunk and is explained, each world in a child of its own. One seed
/// runs in this process, and so do all where a process cannot be forked.
class Explorer {
public:
    using Body = belay::detail::Function<bool(World&)>;

    Explorer(ExploreOptions options, FrameworkCounts framework, Body body)
        : options_{std::move(options)}, body_{std::move(body)} {
        if (options_.failed_assertions == nullptr) {
            options_.failed_assertions = framework.at_any_time;
            assertions_.count = framework.in_own_process;
        }
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
        if (is_set("BELAY_SIM_FIRST_SEED") == "random") {
            options_.first_seed = Seed{entropy() >> 24};  // ten digits or so
        } else {
            number_from("BELAY_SIM_FIRST_SEED", any,
                        [&](std::uint64_t n) { options_.first_seed = Seed{n}; });
        }
        if (options_.seeds != 0 && options_.seeds - 1 > any - options_.first_seed.value) {
            report_.problem = "ExploreOptions: first_seed and seeds must not exceed 64 bits";
        }
        if (options_.jobs == 0) options_.jobs = 1;
        if (options_.jobs > 1 && !can_fork) {
            report_.problem =
                "ExploreOptions::jobs must be 1, because this system cannot fork a process";
        }
        report_.seeds_wanted = options_.seed ? 1 : options_.seeds;
        if (!options_.seed) report_.first_seed = first();
    }

    [[nodiscard]] Report explore() {
        if (report_.problem.empty()) {
            if (options_.print && is_set("BELAY_SIM_FIRST_SEED") == "random") {
                std::fputs(
                    ("sim::explore: the first seed is " + std::to_string(first()) +
                     "; BELAY_SIM_FIRST_SEED=" + std::to_string(first()) + " repeats the run\n")
                        .c_str(),
                    stderr);
            }
            forks_ = can_fork && !options_.seed && count_before();
            forks_ ? run_in_processes() : run_in_this_process();
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
    [[nodiscard]] std::uint64_t first() const noexcept { return options_.first_seed.value; }
    /// Returns the value of a variable of the environment; empty if it does not count.
    [[nodiscard]] std::string_view is_set(const char* name) const {
        const char* const text = options_.environment ? std::getenv(name) : nullptr;
        return text != nullptr ? std::string_view{text} : std::string_view{};
    }
    template <class F>
    void number_from(const char* name, std::uint64_t most, F&& f) {
        const std::string_view text = is_set(name);
        if (text.empty()) return;
        std::uint64_t value = 0;
        const char* const end = text.data() + text.size();
        const auto [at, error] = std::from_chars(text.data(), end, value);
        if (error == std::errc::invalid_argument || at != end) {
            report_.problem = std::string{name} + "=" + std::string{text} + " is not a number";
        } else if (error != std::errc{} || value > most) {
            report_.problem = std::string{name} + "=" + std::string{text} + " is too large";
        } else {
            f(value);
        }
    }

    // ---- one world -----------------------------------------------------------------------------

    Outcome run(Seed seed, const std::optional<Scenario>& play, std::uint32_t record_lines = 0) {
        WorldOptions o{.order = options_.order,
                       .play = play,
                       .events_max = options_.events_max,
                       .time_max = options_.time_max,
                       .record_lines = record_lines};
        if (!play) o.draw = options_.scenario;
        if (note_ != nullptr) note_->begin(seed.value);
        World world{seed, std::move(o), [this](const std::vector<std::string>& names) {
                        if (note_ != nullptr) note_->set_hosts(names);
                    }};
        if (record_lines != 0) crashing = {&world, note_, options_.diagram_lines};
        Outcome out;
        bool well = false;
        const std::uint64_t failed_before = failed_assertions();
#if defined(__cpp_exceptions)
        try {
            well = body_(world);
        } catch (const std::exception& error) {
            out.property = "the body threw: " + without_numbers(error.what());
            out.details = error.what();
            if (out.property.ends_with(out.details)) out.details.clear();
        } catch (...) {
            out.property = "the body threw";
        }
#else
        well = body_(world);
#endif
        if (const std::optional<Violation>& v = world.violation()) {
            out.property = v->property;
            out.details = (v->details.empty() ? "it is false" : v->details) + " (at " +
                          Diagram::seconds(v->at) + ")";
        } else if (out.property.empty() && failed_assertions() != failed_before) {
            out.property = assertion_failed;
            out.details = see_output;
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
        crashing = {};
        return out;
    }
    [[nodiscard]] std::uint64_t failed_assertions() const {
        return options_.failed_assertions != nullptr ? options_.failed_assertions() : 0;
    }
    /// A failure is the same one in a smaller scenario, in which its numbers may be others.
    [[nodiscard]] static std::string without_numbers(std::string_view text) {
        std::string out;
        bool in_number = false;
        for (const char c : text) {
            const bool is_digit = '0' <= c && c <= '9';
            const bool is_letter = ('a' <= c && c <= 'z') || ('A' <= c && c <= 'Z');
            if (is_digit && !in_number) out += '#';
            in_number = is_digit || (in_number && is_letter);  // hexadecimal, or a unit
            if (!in_number) out += c;
        }
        return out;
    }
    [[nodiscard]] bool runs_twice(Seed seed) const noexcept {
        if (options_.recheck_percent == 0) return false;
        return options_.seed || seed.value == first() ||
               mix(seed.value, hash_of("recheck")) % 100 < options_.recheck_percent;
    }
    void run_seed(Seed seed) {
        Outcome first = run(seed, options_.play);
        std::uint64_t worlds = 1;
        // A failure is run again anyway, to shrink and to explain it.
        if (runs_twice(seed) || !first.property.empty()) {
            const Outcome second = run(seed, options_.play);
            ++worlds;
            if (!first.same_history(second)) {
                std::string reason = parting(seed);
                worlds += 2;
                if (first.property.empty()) {
                    first.property = other_history;
                    first.details = std::move(reason);
                } else {
                    first.another_history = std::move(reason);
                }
            }
        }
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
    std::string parting(Seed seed) {
        static constexpr const char* hint =
            "Uninitialised memory, a real clock, a random number without the world's seed, the "
            "order of a hashed container or of addresses, or a body that keeps state from run to "
            "run is the cause";
        const Outcome a = run(seed, options_.play, whole_history);
        const Outcome b = run(seed, options_.play, whole_history);
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

    void run_in_this_process() {
        if (options_.seed) return run_seed(*options_.seed);
        if (options_.seeds != 0) run_seeds(first(), first() + (options_.seeds - 1));
    }
    // NOLINTNEXTLINE(bugprone-easily-swappable-parameters): from the first to the last seed
    void run_seeds(std::uint64_t from, std::uint64_t to) {
        for (std::uint64_t seed = from; seed <= to && !failing_; ++seed) {
            if (report_.out_of_budget = out_of_budget(); report_.out_of_budget) return;
            run_seed(Seed{seed});
            if (note_ != nullptr) note_counts();
            if (seed == to) return;  // it may be the largest number
            if (note_ != nullptr && abandoned() - abandoned_before_ >= abandoned_max) {
                return;  // a further batch has the rest
            }
        }
    }

    // ---- many worlds, in processes -------------------------------------------------------------

    /// The seeds of a child.
    struct Batch {
        std::uint64_t from = 0;
        std::uint64_t to = 0;
        std::uint64_t done = 0;  // the number of seeds until its end
    };
    /// Runs batches until one has failed that is lower than all that are left. So the reported
    /// failure does not depend on the number of jobs.
    void run_in_processes() {
        std::vector<Child> children;
        std::vector<Batch> batches, left;
        Batch next;
        for (;;) {
            while (children.size() < options_.jobs && (!left.empty() || next_batch(next))) {
                const Batch batch = left.empty() ? next : left.back();
                if (!left.empty()) left.pop_back();
                batches.push_back(batch);
                children.push_back(child([this, batch] { run_seeds(batch.from, batch.to); }, {}));
            }
            if (children.empty()) break;
            const std::optional<std::size_t> ended = wait_and_show(children);
            if (!ended) {
                report_.out_of_budget = true;
                report_.problem = "seed " + std::to_string(children[0].note().seed) + not_ended();
                return;
            }
            const auto at = static_cast<std::ptrdiff_t>(*ended);
            const std::uint64_t ran_before = report_.seeds_run;
            take(children[*ended], batches[*ended]);
            const Batch rest{batches[*ended].from + (report_.seeds_run - ran_before),
                             batches[*ended].to, batches[*ended].done};
            if (rest.from <= rest.to && rest.from < failing_seed_ && !report_.out_of_budget &&
                report_.problem.empty()) {
                left.push_back(rest);
            }
            children.erase(children.begin() + at);
            batches.erase(batches.begin() + at);
            for (std::size_t i = children.size(); i-- != 0;) {
                if (batches[i].from < failing_seed_) continue;
                children.erase(children.begin() + static_cast<std::ptrdiff_t>(i));
                batches.erase(batches.begin() + static_cast<std::ptrdiff_t>(i));
            }
        }
        if (failing_) confirm();
    }
    /// Waits until a child has ended, and shows the progress on a terminal meanwhile.
    [[nodiscard]] std::optional<std::size_t> wait_and_show(std::vector<Child>& children) {
        const std::optional<Child::Time> end = deadline();
        if (!options_.print || !Child::has_terminal()) return Child::wait_any(children, end);
        for (;;) {
            const Child::Time next = after(std::chrono::steady_clock::now(), progress_every);
            const auto ended = Child::wait_any(children, end ? std::min(*end, next) : next);
            const bool is_over = ended || (end && *end <= next);
            std::fputs(is_over ? "\r\x1b[K" : progress(children).c_str(), stderr);
            if (is_over) return ended;
        }
    }
    /// Returns a line: seeds, their rate, the time that is left, and marks without a world.
    [[nodiscard]] std::string progress(const std::vector<Child>& children) const {
        std::uint64_t seeds = report_.seeds_run;
        std::map<std::string, std::size_t> missing;  // in how many batches
        for (const Child& child : children) {
            seeds += child.note().counts.seeds;
            for (const std::string& name : ChildNote::names_of(child.note().marks.view())) {
                const auto at = report_.marks.find(name);
                if (at == report_.marks.end() || at->second == 0) ++missing[name];
            }
        }
        const auto ran = elapsed(started_, std::chrono::steady_clock::now());
        const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(ran).count();
        const std::uint64_t rate =
            seeds * 1000 / static_cast<std::uint64_t>(std::max<std::int64_t>(ms, 1));
        std::uint64_t left =
            (options_.seeds - std::min(seeds, options_.seeds)) / std::max<std::uint64_t>(rate, 1);
        if (options_.budget != forever) {
            const auto budget = std::chrono::duration_cast<std::chrono::seconds>(
                std::max(options_.budget - ran, Duration{}));
            left = std::min(left, static_cast<std::uint64_t>(budget.count()));
        }
        std::string out = "\rsim::explore: " + std::to_string(seeds) + " of " +
                          std::to_string(options_.seeds) + " seeds, " + std::to_string(rate) +
                          " per second, " + std::to_string(left) + " s left";
        for (const auto& [name, batches] : missing) {
            if (batches == children.size()) out += ", not reached: " + name;
        }
        return out + "\x1b[K";
    }
    /// In a child: notes what its parent shows, or needs after a crash.
    void note_counts() {
        note_->counts.set(report_);
        std::size_t missing = 0;
        for (const auto& [name, count] : report_.marks) missing += count == 0 ? 1U : 0U;
        if (std::exchange(note_->marks_missing, missing) == missing) return;
        note_->marks.bytes = 0;
        for (const auto& [name, count] : report_.marks) {
            if (count == 0) note_->marks.add({name.c_str(), name.size() + 1});
        }
    }
    [[nodiscard]] static std::size_t abandoned() {
        return abandoned_programs != nullptr ? abandoned_programs() : 0;
    }
    /// Makes `batch` the one after it.   Returns: whether it is to run.
    [[nodiscard]] bool next_batch(Batch& batch) {
        const std::uint64_t done = batch.done;
        if (done >= options_.seeds || first() + done > failing_seed_ || !report_.problem.empty()) {
            return false;
        }
        if (out_of_budget()) report_.out_of_budget = true;
        if (report_.out_of_budget) return false;
        const std::uint64_t share =
            options_.jobs == 1 ? batch_seeds_max : options_.seeds / options_.jobs / 4 + 1;
        batch.done = done + std::min({options_.seeds - done, share, batch_seeds_max});
        batch.from = first() + done;
        batch.to = first() + (batch.done - 1);
        return true;
    }
    /// Makes a child that does some work of this explorer, and sends the result home.
    template <class Work>
    [[nodiscard]] Child child(Work work, ChildOptions options) {
        return Child{[this, work = std::move(work)](ChildNote& note) {
                         note_ = &note;
                         report_ = {};
                         failing_.reset();
                         failing_seed_ = no_seed;
                         faults_drawn_ = 0;
                         Child::limit_processor_time(note, processor_time_);
                         work();
                         return result();
                     },
                     options};
    }
    /// Waits for one child.   Returns: whether it has ended in time.
    [[nodiscard]] bool wait(Child& one) const {
        return Child::wait_any({&one, 1}, deadline()).has_value();
    }
    /// Takes the result of a batch.
    void take(const Child& ended, const Batch& batch) {
        const ChildNote& note = ended.note();
        if (!ended.text().empty()) {
            const std::uint64_t assertions = add(ended.text());
            if (assertions == assertions_.before) return;
            // An assertion counts in a process. The seed is not known.
            const std::uint64_t seed =
                first_failed_assertion(batch.from, std::min(batch.to, failing_seed_));
            fail_by_assertions(seed, assertions);
        } else if (note.seed == no_seed) {
            report_.problem = "a process of the exploration failed: " + ended.end();
        } else {
            note.counts.add_to(report_);
            fail(note.seed, ended.end(), reason_of(ended.end()));
        }
    }
    void fail(std::uint64_t seed, std::string property, std::string details) {
        if (seed > failing_seed_) return;
        failing_seed_ = seed;
        failing_.emplace();
        failing_->property = std::move(property);
        failing_->details = std::move(details);
    }
    [[nodiscard]] std::uint64_t first_failed_assertion(std::uint64_t from, std::uint64_t to) {
        while (from < to) {
            const std::uint64_t middle = from + (to - from) / 2;
            Child half = child([&] { run_seeds(from, middle); }, {.quiet = true});
            if (!wait(half)) return from;
            const Report counted = report_;
            const bool has_one = half.text().empty() || add(half.text()) != assertions_.before;
            report_ = counted;
            has_one ? to = middle : from = middle + 1;
        }
        return from;
    }
    /// A seed fails because so many assertions have failed in its process, or none can be counted:
    /// that is so after a SECTION.
    // NOLINTNEXTLINE(bugprone-easily-swappable-parameters): the seed first, as in fail()
    void fail_by_assertions(std::uint64_t seed, std::uint64_t count) {
        const bool in_section = count == not_counted;
        fail(seed, in_section ? section_in_body : assertion_failed,
             in_section ? section_belongs : see_output);
    }
    /// Runs the seed that failed again, alone: the seeds before it share statics with it.
    void confirm() {
        const Outcome in_batch = *std::exchange(failing_, std::nullopt);
        const std::uint64_t seed = std::exchange(failing_seed_, no_seed);
        const Report counted = report_;
        Child alone = child([&] { run_seed(Seed{seed}); }, {.quiet = true});
        if (!wait(alone)) {
            fail(seed, in_batch.property, in_batch.details);
        } else if (alone.text().empty()) {
            fail(seed, alone.end(), reason_of(alone.end()));
        } else if (const std::uint64_t assertions = add(alone.text());
                   assertions != assertions_.before && !failing_) {
            fail_by_assertions(seed, assertions);
        }
        report_ = counted;
        if (failing_) {
            const std::vector<std::string> hosts = alone.note().host_names();
            if (options_.play)
                failing_->scenario = *options_.play;
            else if (!hosts.empty())
                failing_->scenario = draw(options_.scenario, Seed{seed}, hosts);
            return;
        }
        report_.problem = "seed " + std::to_string(seed) + " failed: " + in_batch.property +
                          (in_batch.details.empty() ? "" : ": ") + in_batch.details +
                          ". It passes alone, in a process of its own: state survives a world, "
                          "such as a static or global variable, or a member of the body" +
                          and_problem();
    }
    /// Runs one world: in a child, if this exploration has children.
    [[nodiscard]] Outcome run_apart(Seed seed, const Scenario& play,
                                    std::uint32_t record_lines = 0) {
        if (!forks_) return run(seed, play, record_lines);
        Outcome out;
        Child one = child(
            [&] {
                if (record_lines != 0) Child::handle_crashes(&Explorer::note_crash);
                failing_ = run(seed, play, record_lines);
                failing_seed_ = seed.value;
            },
            {.quiet = true});
        if (!wait(one)) {
            out.property = not_ended();
            return out;
        }
        if (one.text().empty()) {
            const ChildNote& note = one.note();
            out.property = one.end();
            out.details = reason_of(out.property);
            out.hash = note.hash;
            out.diagram = note.diagram.view();
            return out;
        }
        const Report counted = report_;
        const std::optional<Outcome> known = std::exchange(failing_, std::nullopt);
        const std::uint64_t failing_seed = std::exchange(failing_seed_, no_seed);
        const std::uint64_t assertions = add(one.text());
        out = std::move(*failing_);
        report_ = counted;
        failing_ = known;
        failing_seed_ = failing_seed;
        if (out.property.empty() && assertions != assertions_.before) {
            out.property = assertions == not_counted ? section_in_body : assertion_failed;
            out.details = assertions == not_counted ? section_belongs : see_output;
        }
        return out;
    }
    /// In a child that a signal is about to end: notes the history. It may hang or crash, too; the
    /// process is lost anyway.
    static void note_crash() {
        const Crashing c = std::exchange(crashing, {});
        if (c.world == nullptr) return;
        c.note->hash = c.world->trace_hash();
        const std::string text = c.world->diagram(c.lines);
        std::string_view diagram = text;
        constexpr std::size_t most = sizeof c.note->diagram.text;
        if (diagram.size() > most) diagram.remove_prefix(diagram.size() - most);
        c.note->diagram.add(diagram);
    }
    /// Counts the failed assertions of the framework.   Returns: whether a child may run worlds.
    [[nodiscard]] bool count_before() {
        if (assertions_.count != nullptr) assertions_.before = count_assertions();
        return assertions_.before != not_counted;
    }
    [[nodiscard]] std::uint64_t count_assertions() {
        Child one{[this](ChildNote&) { return std::to_string(assertions_.count()); },
                  {.closes_files = true}};
        std::uint64_t count = not_counted;
        if (!Child::wait_any({&one, 1}, {})) return count;
        const std::string& text = one.text();
        std::from_chars(text.data(), text.data() + text.size(), count);
        return count;
    }
    /// Returns the reason why a process ended, if more than its end is known.
    [[nodiscard]] std::string reason_of(const std::string& end) const {
        if (end == hangs) {
            return "the world takes more than " + to_cpp(options_.processor_time_max) +
                   " of processor time; it is an endless loop, or ExploreOptions::"
                   "processor_time_max is too low";
        }
        if (end.find("signal 9 ") == end.npos) return {};
        return "from outside, for example because the system had no memory left";
    }
    [[nodiscard]] std::string not_ended() const {
        return " had not ended " + to_cpp(options_.processor_time_max) +
               " after the budget was over: it waits for something outside of its world, or is "
               "slow";
    }
    /// Returns when a child is ended that still runs.
    [[nodiscard]] std::optional<Child::Time> deadline() const {
        if (options_.budget == forever || options_.processor_time_max == forever) return {};
        const auto budget_left =
            options_.budget - elapsed(started_, std::chrono::steady_clock::now());
        return after(
            std::chrono::steady_clock::now(),
            part::saturating_add(std::max(budget_left, Duration{}), options_.processor_time_max));
    }
    /// Returns what an earlier part has reported, as the end of a sentence.
    [[nodiscard]] std::string and_problem() const {
        return report_.problem.empty() ? std::string{} : "; " + report_.problem;
    }
    /// A child sends these home: the numbers that its parent adds, and the texts of a failure.
    [[nodiscard]] std::array<std::uint64_t*, 6> counts() noexcept {
        return {&report_.seeds_run, &report_.worlds,      &report_.events,
                &report_.faults,    &report_.worlds_idle, &faults_drawn_};
    }
    [[nodiscard]] static std::array<std::string*, 4> texts(Outcome& o) noexcept {
        return {&o.property, &o.details, &o.diagram, &o.another_history};
    }
    /// Returns the result of this process: numbers, the failure, and the marks.
    [[nodiscard]] std::string result() {
        const std::uint64_t assertions = assertions_.count != nullptr ? count_assertions() : 0;
        std::string out;
        for (const std::uint64_t* const n : counts()) out += std::to_string(*n) + ' ';
        for (const std::uint64_t n : {std::uint64_t{report_.out_of_budget}, failing_seed_,
                                      failing_ ? failing_->hash : 0, assertions}) {
            out += std::to_string(n) + ' ';
        }
        const auto add_text = [&out](std::string text) {
            std::replace(text.begin(), text.end(), '\0', ' ');  // it ends a text here
            out += text + '\0';
        };
        Outcome none;
        for (const std::string* const text : texts(failing_ ? *failing_ : none)) add_text(*text);
        for (const auto& [name, count] : report_.marks) {
            out += std::to_string(count) + ' ';
            add_text(name);
        }
        return out;
    }
    /// Adds the result of a child.   Returns: how many assertions have failed in its process.
    std::uint64_t add(std::string_view result) {
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
        for (std::uint64_t* const n : counts()) *n += number();
        report_.out_of_budget = number() != 0 || report_.out_of_budget;
        const std::uint64_t seed = number();
        Outcome failure;
        failure.hash = number();
        const std::uint64_t assertions = number();
        for (std::string* const text : texts(failure)) *text = cut('\0');
        if (seed < failing_seed_) {
            failing_seed_ = seed;
            failing_ = std::move(failure);
        }
        while (!result.empty()) {
            const std::uint64_t count = number();
            report_.marks[std::string{cut('\0')}] += count;
        }
        return assertions;
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
        if (faults_drawn_ != 0 && report_.faults == 0 && (options_.play || !options_.seed)) {
            problem =
                "a scenario has faults and none began: run the world until they do, such as for "
                "ScenarioOptions::within, before heal()";
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
    }
    void explain() {
        const Seed seed{failing_seed_};
        Failing f;
        f.seed = seed;
        f.property = failing_->property;
        f.details = failing_->details;
        f.drawn = f.smallest = failing_->scenario;
        f.hash = failing_->hash;
        f.order = options_.order;
        f.events_max = options_.events_max;
        f.time_max = options_.time_max;
        f.another_history = failing_->another_history;
        const bool repeats = f.property != other_history;
        Outcome last;
        if (!repeats || options_.shrink_worlds_max == 0) {
            last = run_apart(seed, f.smallest, whole_history);
        } else {
            // A state that survives a world changes the result of the next one in its process.
            for (const std::uint32_t worlds_of_child :
                 {std::uint32_t{sizeof(ChildNote{}.answers.text)}, 1U}) {
                shrink(f, worlds_of_child);
                last = run_apart(seed, f.smallest, whole_history);
                if (last.property == f.property || !forks_) break;
                f.smallest = f.drawn;
            }
            if (last.property != f.property && forks_) {
                last = run_apart(seed, f.smallest, whole_history);
            }
        }
        if (repeats) f.details = last.details;
        f.hash = last.hash;
        f.diagram = std::move(last.diagram);
        report_.worlds += f.shrink_worlds + 1U;
        report_.problem =
            "seed " + std::to_string(seed.value) + " fails: " + f.property + and_problem();
        report_.failing = std::move(f);
    }

    /// Searches a smaller scenario, with at most so many worlds in one child.
    void shrink(Failing& f, std::uint32_t worlds_of_child) {
        // A world that hangs takes all of its processor time. The search spends three times that of
        // one world on them.
        const bool is_hang = f.property == hangs;
        std::uint32_t hangs_left = is_hang ? 30 : 3;
        if (is_hang) processor_time_ = options_.processor_time_max / 10;
        std::string answers;  // which scenarios fail in the same property
        std::size_t at = 0;
        Shrink search{f.drawn, options_.shrink_worlds_max, [&](const Scenario& s) {
                          const bool counts =
                              assertions_.count != nullptr &&
                              (f.property == assertion_failed || f.property == section_in_body);
                          if (!forks_ || counts) {
                              return run_apart(f.seed, s).property == f.property;
                          }
                          if (at == answers.size()) {
                              if (hangs_left == 0) return false;
                              find_answers(f, worlds_of_child, answers, hangs_left);
                          }
                          return answers[at++] == answer_fails;
                      }};
        f.smallest = search.run();
        f.shrink_worlds += search.tries();
        f.shrink_ended = search.out_of_tries() || hangs_left == 0;
        processor_time_ = options_.processor_time_max;
    }
    /// Adds answers of a child, which makes the same search with those that are known. It continues
    /// until it has made the whole search, or until a world ends it.
    void find_answers(const Failing& f, std::uint32_t worlds_of_child, std::string& answers,
                      std::uint32_t& hangs_left) {
        Child one = child(
            [&] {
                std::size_t known = 0;
                Shrink search{f.drawn, options_.shrink_worlds_max, [&](const Scenario& s) {
                                  if (known < answers.size())
                                      return answers[known++] == answer_fails;
                                  if (note_->answers.bytes == worlds_of_child) return false;
                                  const bool same = run(f.seed, s).property == f.property;
                                  note_->answers.add({same ? &answer_fails : &answer_passes, 1});
                                  return same;
                              }};
                static_cast<void>(search.run());
            },
            {.quiet = true});
        const bool in_time = wait(one);
        const ChildNote& note = one.note();
        answers += note.answers.view();
        if (!in_time) {
            hangs_left = 0;
        } else if (!one.text().empty()) {
            return;
        } else if (one.end() == hangs) {
            --hangs_left;
        }
        answers += in_time && one.end() == f.property ? answer_fails : answer_passes;
    }

    ExploreOptions options_;
    Body body_;
    ProcessCount assertions_;
    const std::chrono::steady_clock::time_point started_ = std::chrono::steady_clock::now();
    bool forks_ = false;
    ChildNote* note_ = nullptr;  // in a child
    const std::size_t abandoned_before_ = abandoned();
    Duration processor_time_ = options_.processor_time_max;
    std::uint64_t failing_seed_ = no_seed;
    std::optional<Outcome> failing_;
    std::uint64_t faults_drawn_ = 0;
    Report report_;
};

}}}  // namespace belay::sim::detail
