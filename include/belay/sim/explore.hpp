// SPDX-License-Identifier: MIT
/// \file belay/sim/explore.hpp
/// sim::explore: runs a test in many simulated worlds, and shrinks the scenario of a failure.
#pragma once

#include <concepts>     // std::copy_constructible
#include <type_traits>  // std::decay_t, std::is_invocable_r_v

#include <belay/sim/detail/explorer.hpp>

namespace belay { inline namespace BELAY_ABI { namespace sim {

/// Runs `body(World&)` in one world for each seed, with faults that are drawn from the seed.
///
/// The body makes the hosts, runs the world, calls World::heal and returns whether all is well.
/// The faults begin at the first run. A world fails if
/// - a property does not hold (World::always, never, eventually, require),
/// - the body returns false, throws, or returns true without an event,
/// - the number of failed assertions rises (ExploreOptions::failed_assertions),
/// - its process crashes or ends, or takes more than ExploreOptions::processor_time_max,
/// - the world reaches ExploreOptions::events_max or time_max, or
/// - a second run with the same seed has another history.
///
/// After a failure, explore runs the seed again with fewer faults, and reports the smallest
/// scenario that fails in the same property. The exploration fails, too, if no world ran, if no
/// world reached a mark (World::sometimes, reachable), or if faults were drawn and none began.
///
/// The environment overrides the options: BELAY_SEEDS (how many), BELAY_SIM_SEED (one seed only),
/// BELAY_SIM_BUDGET (seconds), BELAY_SIM_JOBS, and BELAY_SIM_TRACE=1 (the whole history of a
/// failure).
///
/// The worlds run in child processes: what `body` changes outside of its world is lost. One seed
/// runs in this process, and so do all seeds where a process cannot be forked.
///
/// Thread safety: a child has only the thread that calls explore.
/// Errors:        in the report, which is also printed to stderr if it is a failure or has a
///                warning.
template <class Body>
[[nodiscard]] Report explore(const ExploreOptions& options, const Body& body) {
    using Own = std::decay_t<const Body&>;  // of a function: a pointer to it
    static_assert(std::copy_constructible<Own>,
                  "sim::explore: the body must be copyable, because the exploration has a copy");
    static_assert(std::is_invocable_r_v<bool, Own&, World&>,
                  "sim::explore: the body must be callable as bool body(sim::World&)");
    return detail::Explorer{options, detail::framework_counts<Body>(),
                            [own = Own(body)](World& world) mutable -> bool { return own(world); }}
        .explore();
}

}}}  // namespace belay::sim
