// SPDX-License-Identifier: MIT
/// \file belay/fleet/fleet_status.hpp
/// FleetStatus and ServiceStatus: where all connections of a Fleet stand, as one consistent value.
#pragma once

#include <array>    // std::array
#include <cstddef>  // std::size_t
#include <string>   // std::string
#include <vector>   // std::vector

#include <belay/link/status.hpp>

namespace belay { inline namespace BELAY_ABI {

/// Where one service of a Fleet stands.
struct ServiceStatus {
    std::string name{};
    /// State, reason (`failure`, `decided_by`), `retry_at`, and the rest.
    LinkStatus link{};
    /// What its ServiceOptions::queued says; 0 without.
    std::size_t queued = 0;
    /// Connecting, but not dialled yet: others are in front.
    bool in_line = false;
};

/// Where all services of a Fleet stand.
///
/// Thread safety: a plain value.
struct FleetStatus {
    /// By name.
    std::vector<ServiceStatus> services{};
    /// How many are in each state; see count().
    std::array<std::size_t, detail::link_states> totals{};
    /// The sum of what waits to be sent.
    std::size_t queued = 0;
    /// Connections that are being opened; at most FleetOptions::dials_max.
    std::size_t dialling = 0;
    /// All services failed at once, and nothing has been heard since.
    bool network_suspect = false;
    /// Until when they wait because of that; `never` if they do not.
    Instant retry_at = never;

    /// How many services are in a state.   Complexity: O(1).
    [[nodiscard]] std::size_t count(LinkState state) const noexcept {
        return totals[static_cast<std::size_t>(state)];
    }
};

}}  // namespace belay
