// SPDX-License-Identifier: MIT
// Finds each bug in simulated worlds, shrinks its scenario, plays that alone, and runs the mended
// program. Exits with 0 if all of that works.
//
//   example_bugs [SEEDS] [PAGE]   SEEDS: worlds of each mended program (BELAY_SEEDS, else 200)
//                                 PAGE: a file that must have each row of the table; with it, the
//                                       table has medians, which take as long again
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>

#include <belay/sim/explore.hpp>

#include "bugs.hpp"

namespace {

using belay::Seed;
namespace sim = belay::sim;
using namespace std::chrono_literals;

struct Bug {
    const char* name;
    bool (*body)(sim::World&, bool mended);
    std::uint32_t wall_clocks = 0;  ///< among the drawn faults
};

constexpr Bug all[] = {
    {"acknowledged before flushed", &bugs::acknowledged_before_flushed},
    {"debounce that never saves", &bugs::debounce_that_never_saves},
    {"duplicate window too small", &bugs::duplicate_window_too_small},
    {"flush error ignored", &bugs::flush_error_ignored},
    {"lost wake-up", &bugs::lost_wake_up},
    {"rename without directory sync", &bugs::rename_without_directory_sync},
    {"reorder after retry", &bugs::reorder_after_retry},
    {"reset on connect", &bugs::reset_on_connect},
    {"stale pong", &bugs::stale_pong},
    {"timeout not cancelled", &bugs::timeout_not_cancelled},
    {"two live connections", &bugs::two_live_connections},
    {"zombie reconnect", &bugs::zombie_reconnect},
#ifdef BUGS_IN_PROGRAMS
    {"deadlock at shutdown", &bugs::deadlock_at_shutdown},
    {"half-close taken as the end", &bugs::half_close},
    {"leader without a fence", &bugs::leader_without_a_fence},
    {"lease by the wall clock", &bugs::lease_by_wall_clock, 2},
    {"order across two connections", &bugs::order_across_connections},
    {"partial write ignored", &bugs::partial_write_ignored},
    {"reconnect with an old token", &bugs::reconnect_with_old_token},
    {"restart without SO_REUSEADDR", &bugs::restart_without_reuseaddr},
    {"retry storm", &bugs::retry_storm},
    {"sequence number wraps", &bugs::sequence_number_wraps},
    {"stale read after a partition", &bugs::stale_read_after_partition},
#endif
};

sim::ExploreOptions options(const Bug& bug, std::uint64_t seeds) {
    return {.seeds = seeds,
            .scenario = {.disk_errors = 8, .wall_clocks = bug.wall_clocks, .within = 4s},
            .print = false,
            .environment = false};
}

/// Returns the median, over three ranges of seeds, of the number of seeds until one fails.
template <class Body>
std::uint64_t median_seeds(const Bug& bug, const Body& body) {
    std::array<std::uint64_t, 3> counts{};
    for (std::size_t range = 0; range < counts.size(); ++range) {
        sim::ExploreOptions some = options(bug, 2000);
        some.first_seed = Seed{range * some.seeds + 1};
        some.recheck_percent = some.shrink_worlds_max = 0;
        const sim::Report report = sim::explore(some, body);
        counts[range] = report.failing ? report.failing->seed.value - range * some.seeds : 2000;
    }
    std::sort(counts.begin(), counts.end());
    return counts[counts.size() / 2];
}

/// Returns a scenario as C++, in one line and without the names of namespaces.
std::string in_one_line(const sim::Scenario& scenario) {
    std::string text = sim::to_cpp(scenario);
    for (const char* const part : {"sim::Scenario{}", "sim::", "\n", "  "}) {
        for (std::size_t at = 0; (at = text.find(part)) != text.npos;) {
            text.erase(at, std::string_view{part}.size());
        }
    }
    return text.empty() ? "none" : "`" + text + "`";
}

/// Prints a row of the table.   Returns: whether the page has it.
bool print(const char* name, std::uint64_t seeds, const sim::Failing& f,
           std::chrono::nanoseconds took, const std::string& page) {
    const std::string row = std::string{"| "} + name + " | " + std::to_string(seeds) + " | " +
                            std::to_string(f.drawn.size()) + " -> " +
                            std::to_string(f.smallest.size()) + " | `" + f.property + "` | " +
                            in_one_line(f.smallest) + " |";
    const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(took);
    std::printf("%s %lld ms, %u worlds to shrink\n", row.c_str(),
                static_cast<long long>(ms.count()), f.shrink_worlds);
    if (page.empty() || page.find(row) != page.npos) return true;
    std::printf("  the page does not have this row\n");
    return false;
}

/// Finds one bug, prints its row, and runs the mended program.   Returns: whether all of it works.
bool find(const Bug& bug, std::uint64_t mended_seeds, const std::string& page) {
    const auto wrong = [&](sim::World& world) { return bug.body(world, false); };
    const auto mended = [&](sim::World& world) { return bug.body(world, true); };
    const auto began = std::chrono::steady_clock::now();
    const sim::Report report = sim::explore(options(bug, 2000), wrong);
    const auto took = std::chrono::steady_clock::now() - began;
    if (!report.failing) {
        std::printf("%s: not found: %s\n", bug.name, report.summary().c_str());
        return false;
    }
    const sim::Failing& f = *report.failing;
    const std::uint64_t seeds = page.empty() ? f.seed.value : median_seeds(bug, wrong);
    const bool is_on_page = print(bug.name, seeds, f, took, page);
    sim::ExploreOptions alone = options(bug, 1);
    alone.seed = f.seed;
    alone.play = f.smallest;
    alone.shrink_worlds_max = 0;
    const sim::Report again = sim::explore(alone, wrong);
    const bool fails_alone =
        again.failing && again.failing->property == f.property && again.failing->hash == f.hash;
    if (!fails_alone) std::printf("  the scenario does not fail alone\n%s", report.text().c_str());
    const bool is_small = f.smallest.size() <= 3;
    if (!is_small) std::printf("  more than 3 faults are needed\n%s", report.text().c_str());
    const sim::Report green = sim::explore(options(bug, mended_seeds), mended);
    if (!green) std::printf("  the mended program fails: %s\n", green.text().c_str());
    return is_on_page && fails_alone && is_small && green;
}

}  // namespace

int main(int count, char** arguments) {
    const char* seeds = std::getenv("BELAY_SEEDS");
    std::string page;
    for (int i = 1; i < count; ++i) {
        if (arguments[i][0] >= '0' && arguments[i][0] <= '9') {
            seeds = arguments[i];
            continue;
        }
        std::ifstream file{arguments[i]};
        page.assign(std::istreambuf_iterator<char>{file}, {});
        if (page.empty()) {
            std::printf("%s cannot be read, or is empty\n", arguments[i]);
            return 1;
        }
    }
    std::printf(
        "| bug | %s | faults | property | smallest scenario |\n| --- | --- | --- | --- | --- |\n",
        page.empty() ? "first seed" : "seeds");
    const std::uint64_t mended = seeds != nullptr ? std::strtoull(seeds, nullptr, 10) : 200;
    bool right = true;
    for (const Bug& bug : all) right = find(bug, mended, page) && right;
    return right ? 0 : 1;
}
