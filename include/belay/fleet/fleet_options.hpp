// SPDX-License-Identifier: MIT
/// \file belay/fleet/fleet_options.hpp
/// FleetOptions and ServiceOptions: what a Fleet, and each of its services, is tuned by.
#pragma once

#include <belay/core/detail/function.hpp>
#include <belay/link/supervisor_options.hpp>

namespace belay { inline namespace BELAY_ABI {

/// What a Fleet is tuned by.
struct FleetOptions {
    /// Connections that are opened at once: from the dial until they are validated or have failed.
    std::size_t dials_max = 8;
    /// Between one dial and the next passes at least this; 0: no limit but `dials_max`.
    Duration dial_gap{0};
    /// A service goes in line as if it had asked so much earlier for each step of its priority.
    Duration head_start = std::chrono::seconds{5};
    /// How long a failure that may be the network's own is held, to see whether all others fail
    /// too; 0: every failure goes its way at once.
    Duration hold = std::chrono::milliseconds{200};
    /// Fewer services that fail at once say nothing of the network.
    std::size_t suspects_min = 3;
    /// While the network is suspect all wait alike: at first half of this or more, by chance...
    Duration suspect_wait = std::chrono::seconds{1};
    /// ... and each time up to twice as long, but never longer than this.
    Duration suspect_wait_max = std::chrono::seconds{30};
};

/// What a service of a Fleet is tuned by. Moves, since it may hold a function.
struct ServiceOptions {
    /// See SupervisorOptions.
    SupervisorOptions supervisor{};
    /// Of those that want to dial, the higher ones go first; see FleetOptions::head_start.
    std::uint8_t priority = 0;
    /// How much waits to be sent, for FleetStatus: what a queue of yours says. Called by
    /// Fleet::status() only; must not change the fleet.
    detail::Function<std::size_t()> queued{};
};

}}  // namespace belay
