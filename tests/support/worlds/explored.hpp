// SPDX-License-Identifier: MIT
/// \file tests/support/worlds/explored.hpp
/// The common parts of the worlds of composed parts: their options, and how a process that cannot
/// continue ends.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <string>
#include <string_view>
#include <utility>

#include <belay/sim/explore.hpp>
#include <belay/sim/history.hpp>

#include "support/catch.hpp"
#include "support/seeds.hpp"

namespace belay_test {

/// The number of seeds for each world of composed parts: BELAY_SEEDS, else 200, and at least 50,
/// because fewer worlds do not reach all marks.
[[nodiscard]] inline std::uint64_t world_seeds() {
    return std::max<std::uint64_t>(50, from_environment("BELAY_SEEDS", 200));
}

/// BELAY_SIM_MARKS=1 prints how many worlds reached each mark.
[[nodiscard]] inline belay::sim::ExploreOptions world_options(belay::sim::ScenarioOptions faults) {
    return {.seeds = world_seeds(), .scenario = std::move(faults)};
}

inline void print_if_asked(std::string_view name, const belay::sim::Report& report) {
    if (std::getenv("BELAY_SIM_MARKS") != nullptr) std::cout << name << ": " << report.text();
}

/// Explores as many worlds as a test wants, regardless of BELAY_SEEDS. BELAY_SIM_SEED and
/// BELAY_SIM_TRACE have their effect, as the report of a failure advises to set them.
template <class Body>
[[nodiscard]] belay::sim::Report explored_as_wanted(belay::sim::ExploreOptions options,
                                                    const Body& body) {
    if (const std::uint64_t only = from_environment("BELAY_SIM_SEED", 0); only != 0)
        options.seed = belay::Seed{only};
    if (from_environment("BELAY_SIM_TRACE", 0) != 0) options.diagram_lines = 1U << 20;
    options.environment = false;
    return belay::sim::explore(options, body);
}
/// Likewise, and prints a report if the environment asks for it.
template <class Body>
[[nodiscard]] belay::sim::Report explored_as_wanted(std::string_view name,
                                                    const belay::sim::ExploreOptions& options,
                                                    const Body& body) {
    belay::sim::Report report = explored_as_wanted(options, body);
    print_if_asked(name, report);
    return report;
}

[[nodiscard]] inline std::string exactly_once_in_order(const belay::sim::History& history) {
    std::string wrong = belay::sim::exactly_once(history);
    return wrong.empty() ? belay::sim::order_per_key(history) : wrong;
}

/// Makes the disk of a host full up to twice for some time, in two of three worlds.
inline void fill_disk_at_times(belay::sim::World& world, const std::string& host,
                               std::uint64_t within_ms) {
    belay::sim::Scenario faults;
    for (std::uint64_t left = world.choose("full disks of " + host, 3); left != 0; --left) {
        const std::chrono::milliseconds from{world.choose("full from, " + host, within_ms)};
        const std::chrono::milliseconds lasts{world.choose("full for, " + host, 6000)};
        faults.during(from, from + lasts, belay::sim::fill_disk(host));
    }
    // If they were played before the first event, they would replace the faults that are drawn.
    if (!faults.empty()) world.after({}, [&world, faults] { world.play(faults); });
}

/// Ends the process of a host as a service manager would see it, and starts it again after a
/// second.
inline void exit_and_restart(belay::sim::World& world, belay::sim::Host& host) {
    host.after(std::chrono::seconds{1}, [&world, &host] { world.restart(host); });
}

}  // namespace belay_test
