// SPDX-License-Identifier: MIT
/// \file belay/fleet/fleet_options.hpp
/// FleetOptions, ServiceOptions: the options of a Fleet and of each of its services.
#pragma once

#include <belay/core/detail/function.hpp>
#include <belay/link/supervisor_options.hpp>

namespace belay { inline namespace BELAY_ABI {

/// The options of a Fleet.
struct FleetOptions {
    /// The maximum number of connections that are being opened. A connection counts from the dial
    /// until it is validated or has failed.
    std::size_t dials_max = 8;
    /// The minimum time between two dials. Zero means that only `dials_max` limits dialling.
    Duration dial_gap{0};
    /// The advantage per step of priority. A service is put in line as if it had asked to dial that
    /// much earlier for each step of its priority.
    Duration head_start = std::chrono::seconds{5};
    /// How long a failure that the network may have caused is held, to see whether all other
    /// services fail too. Zero passes every failure on at once.
    Duration hold = std::chrono::milliseconds{200};
    /// The minimum number of services that must fail together before the network is suspect.
    std::size_t suspects_min = 3;
    /// The first common wait of all services while the network is suspect. It is random: at least
    /// half of this, and at most all of it.
    Duration suspect_wait = std::chrono::seconds{1};
    /// The maximum of that wait, which doubles each time.
    Duration suspect_wait_max = std::chrono::seconds{30};
};

/// The options of one service of a Fleet. They can only be moved, because they may hold a function.
struct ServiceOptions {
    /// The options of the service's supervisor; see SupervisorOptions.
    SupervisorOptions supervisor{};
    /// The priority among services that want to dial: higher ones dial first; see
    /// FleetOptions::head_start.
    std::uint8_t priority = 0;
    /// Returns how much waits to be sent, for FleetStatus: for example the size of a queue of
    /// yours. Only Fleet::status() calls it. It must not change the fleet.
    detail::Function<std::size_t()> queued{};
};

}}  // namespace belay
