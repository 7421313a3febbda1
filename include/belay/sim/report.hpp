// SPDX-License-Identifier: MIT
/// \file belay/sim/report.hpp
/// sim::ExploreOptions and sim::Report: what an exploration does, and its result.
#pragma once

#include <cstdint>   // std::uint64_t
#include <map>       // std::map
#include <optional>  // std::optional
#include <string>    // std::string

#include <belay/core/random.hpp>
#include <belay/sim/detail/assertions.hpp>
#include <belay/sim/scenario.hpp>

namespace belay { inline namespace BELAY_ABI { namespace sim {

/// The options of an exploration.
struct ExploreOptions {
    /// The seeds are `first_seed` and those that follow it. An exploration of zero seeds fails.
    /// Environment: BELAY_SEEDS.
    std::uint64_t seeds = 1000;
    /// Runs this seed only. Marks need not be reached then. Environment: BELAY_SIM_SEED.
    std::optional<Seed> seed{};
    /// Environment: BELAY_SIM_FIRST_SEED. `random` draws one, and prints it at the start: use it
    /// for other seeds in each nightly run.
    Seed first_seed{1};
    /// Plays this scenario instead of drawing one: that of a report, pasted.
    std::optional<Scenario> play{};
    /// The faults that are drawn.
    ScenarioOptions scenario{};
    /// The order of the events of one instant (WorldOptions::order). `Order::shuffled` finds
    /// programs that depend on it.
    Order order = Order::fifo;
    /// The number of processes that run worlds at the same time. The failure that is reported does
    /// not depend on it. Environment: BELAY_SIM_JOBS, at most 1,024.
    std::uint32_t jobs = 1;
    /// The real time after which no further seed starts. A seed that still runs
    /// `processor_time_max` later is ended, and the exploration fails. Environment:
    /// BELAY_SIM_BUDGET, in seconds.
    Duration budget = forever;
    /// An exploration that the budget ends passes if so many seeds ran; nothing: a tenth.
    std::optional<std::uint64_t> seeds_min{};
    /// The part of the seeds that run twice, to compare the histories.
    std::uint32_t recheck_percent = 5;
    /// The most events of a world; a world that reaches them fails.
    std::uint64_t events_max = 2'000'000;
    /// The longest time of a world; a world that reaches it fails.
    Duration time_max = std::chrono::hours{24 * 7};
    /// A world that takes more processor time fails as an endless loop; `forever`: no limit. Not
    /// in an exploration of one seed. A world that waits for something outside of it takes no
    /// processor time: only the budget ends it.
    Duration processor_time_max = std::chrono::seconds{10};
    /// How many worlds the search for a smaller scenario may take; 0: no search.
    std::uint32_t shrink_worlds_max = 60;
    /// Returns how many assertions of the test framework have failed so far. A world in which the
    /// number rises fails. Null: those of Catch2 and GoogleTest, if the test includes them.
    detail::CountFailures failed_assertions = nullptr;
    /// How many lines of the history a report has: its last ones, and up to a third for those
    /// around each fault. Environment: BELAY_SIM_TRACE=1 prints all.
    std::uint32_t diagram_lines = 40;
    /// Prints the report of a failure, or with a warning, to stderr, and the progress on a
    /// terminal.
    bool print = true;
    /// Lets the variables of the environment override the options that name one.
    bool environment = true;
};

/// A failure that an exploration has found.
struct Failing {
    Seed seed{0};                     ///< the seed of the world
    std::string property;             ///< the property that does not hold
    std::string details;              ///< the reason
    std::uint64_t hash = 0;           ///< World::trace_hash with the smallest scenario
    Scenario drawn;                   ///< the scenario of the seed
    Scenario smallest;                ///< the part of it that fails in the same property
    std::uint32_t shrink_worlds = 0;  ///< how many worlds that took
    bool shrink_ended = false;        ///< by shrink_worlds_max: a smaller scenario may fail, too
    std::string diagram;              ///< the end of the history, and what was around each fault
    std::string another_history{};    ///< if the second run had one: the reason, where they part
    Order order = Order::fifo;        ///< that of the exploration
    std::uint64_t events_max = ~std::uint64_t{0};  ///< that of the exploration
    Duration time_max = forever;                   ///< that of the exploration
};

/// The result of an exploration. It converts to true if the exploration passed.
///
/// Thread safety: distinct objects safe.
struct Report {
    /// The seed of the first world.
    std::uint64_t first_seed = 1;
    std::uint64_t seeds_wanted = 0;  ///< how many seeds should run
    std::uint64_t seeds_run = 0;     ///< how many ran
    std::uint64_t worlds = 0;        ///< all worlds that ran, to compare and to shrink included
    std::uint64_t events = 0;        ///< in the worlds of the seeds
    std::uint64_t faults = 0;        ///< faults that began in them
    /// Worlds in which messages were sent, or operations of a disk made, before the first fault,
    /// and none from then to World::heal: the program had nothing to do any more. A program that
    /// only connects and answers pings is not counted.
    std::uint64_t worlds_idle = 0;
    bool out_of_budget = false;  ///< whether ExploreOptions::budget ended it
    std::map<std::string, std::uint64_t, std::less<>> marks;  ///< in how many worlds reached
    std::optional<Failing> failing;                           ///< the failure, if a world failed
    std::string problem;  ///< why the exploration failed; empty if it passed

    [[nodiscard]] explicit operator bool() const noexcept { return problem.empty(); }

    /// Returns one line.
    [[nodiscard]] std::string summary() const {
        std::string out = std::to_string(seeds_run) + " of " + std::to_string(seeds_wanted) +
                          " seeds ran" +
                          (first_seed == 1 ? "" : " from " + std::to_string(first_seed)) + ", " +
                          std::to_string(events) + " events, " + std::to_string(faults) + " faults";
        if (out_of_budget) out += ", ended by the budget";
        return problem.empty() ? out : problem + " (" + out + ")";
    }
    /// Returns a sentence if the faults met an idle program in most worlds; otherwise nothing.
    [[nodiscard]] std::string warning() const {
        if (worlds_idle <= seeds_run / 2) return {};
        return "In " + std::to_string(worlds_idle) + " of " + std::to_string(seeds_run) +
               " worlds, the program sent and stored nothing after the first fault: give it work "
               "for as long as faults happen (ScenarioOptions::within)";
    }
    /// Returns all of it: the summary; of a failure the seed, the hash, the smallest scenario as
    /// C++ and the end of the history.
    [[nodiscard]] std::string text() const {
        std::string out = summary() + '\n';
        for (const auto& [name, count] : marks) {
            out += "  " + name + ": reached in " + std::to_string(count) + " worlds\n";
        }
        if (const std::string idle = warning(); !idle.empty()) out += idle + '\n';
        if (!failing) return out;
        const Failing& f = *failing;
        const std::string seed = std::to_string(f.seed.value);
        out +=
            "seed " + seed + ", hash " + hexadecimal(f.hash) + ", " +
            std::to_string(f.drawn.size()) + " faults drawn, " + std::to_string(f.smallest.size()) +
            " needed (" + std::to_string(f.shrink_worlds) + " worlds to find them" +
            (f.shrink_ended ? ", the limit; a higher shrink_worlds_max may find a smaller scenario"
                            : "") +
            ")\n" + f.property + (f.details.empty() ? "" : ": ") + f.details +
            (f.another_history.empty() ? "" : "\nThe second run had another history. ") +
            f.another_history + "\nRun it alone with BELAY_SIM_SEED=" + seed +
            " (and BELAY_SIM_TRACE=1 for the whole history), or add it as a test:\n\n    "
            "CHECK(sim::explore({.seed = Seed{" +
            seed + "}, .play = " + indented(to_cpp(f.smallest)) +
            (f.order == Order::shuffled ? ", .order = sim::Order::shuffled" : "") + limit_of(f) +
            "}, body));\n\n" + f.diagram;
        return out;
    }

    /// Prints the summary, for test frameworks. `text()` is printed by explore.
    template <class Stream>
    friend auto operator<<(Stream& stream, const Report& report)
        -> decltype(stream << std::string{}) {
        return stream << report.summary();
    }

private:
    static std::string hexadecimal(std::uint64_t value) {
        std::string out;
        for (int shift = 60; shift >= 0; shift -= 4) out += "0123456789abcdef"[value >> shift & 15];
        return out;
    }
    /// Returns the limit that the failure has reached, as an option in C++.
    static std::string limit_of(const Failing& f) {
        if (f.property == "the limit of time") return ", .time_max = " + detail::to_cpp(f.time_max);
        if (f.property != "the limit of events") return {};
        return ", .events_max = " + std::to_string(f.events_max);
    }
    static std::string indented(const std::string& text) {
        std::string out;
        for (const char c : text) out += c == '\n' ? std::string{"\n    "} : std::string{c};
        return out;
    }
};

}}}  // namespace belay::sim
