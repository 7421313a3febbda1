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

#include <belay/sim/explore.hpp>

#include "bugs.hpp"

namespace {

using belay::Seed;
namespace sim = belay::sim;
using namespace std::chrono_literals;

struct Bug {
    const char* name;
    bool (*body)(sim::World&, bool mended);
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
};

sim::ExploreOptions options(std::uint64_t seeds) {
    return {.seeds = seeds,
            .scenario = {.disk_errors = 8, .within = 4s},
            .print = false,
            .environment = false};
}

/// Returns the median, over three ranges of seeds, of the number of seeds until one fails.
template <class Body>
std::uint64_t median_seeds(const Body& body) {
    constexpr std::uint64_t most = 2000;
    std::array<std::uint64_t, 3> counts{};
    for (std::size_t range = 0; range < counts.size(); ++range) {
        sim::ExploreOptions one = options(1);
        one.recheck_percent = one.shrink_worlds_max = 0;
        do {
            one.seed = Seed{range * most + ++counts[range]};
        } while (counts[range] < most && sim::explore(one, body));
    }
    std::sort(counts.begin(), counts.end());
    return counts[counts.size() / 2];
}

/// Prints a row of the table.   Returns: whether the page has it.
bool print(const char* name, std::uint64_t seeds, const sim::Failing& f,
           std::chrono::nanoseconds took, const std::string& page) {
    const std::string row = std::string{"| "} + name + " | " + std::to_string(seeds) + " | " +
                            std::to_string(f.drawn.size()) + " -> " +
                            std::to_string(f.smallest.size()) + " | `" + f.property + "` |";
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
    const sim::Report report = sim::explore(options(2000), wrong);
    const auto took = std::chrono::steady_clock::now() - began;
    if (!report.failing) {
        std::printf("%s: not found: %s\n", bug.name, report.summary().c_str());
        return false;
    }
    const sim::Failing& f = *report.failing;
    const std::uint64_t seeds = page.empty() ? f.seed.value : median_seeds(wrong);
    const bool is_on_page = print(bug.name, seeds, f, took, page);
    sim::ExploreOptions alone = options(1);
    alone.seed = f.seed;
    alone.play = f.smallest;
    alone.shrink_worlds_max = 0;
    const sim::Report again = sim::explore(alone, wrong);
    const bool fails_alone =
        again.failing && again.failing->property == f.property && again.failing->hash == f.hash;
    if (!fails_alone) std::printf("  the scenario does not fail alone\n%s", report.text().c_str());
    const bool is_small = !f.smallest.empty() && f.smallest.size() <= 3;
    if (!is_small) std::printf("  not 1 to 3 faults are needed\n%s", report.text().c_str());
    const sim::Report green = sim::explore(options(mended_seeds), mended);
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
    std::printf("| bug | %s | faults | property |\n| --- | --- | --- | --- |\n",
                page.empty() ? "first seed" : "seeds");
    const std::uint64_t mended = seeds != nullptr ? std::strtoull(seeds, nullptr, 10) : 200;
    bool right = true;
    for (const Bug& bug : all) right = find(bug, mended, page) && right;
    return right ? 0 : 1;
}
