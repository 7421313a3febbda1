// SPDX-License-Identifier: MIT
/// \file belay/fleet/fleet_status.hpp
/// FleetStatus, ServiceStatus: the state of all connections of a Fleet, as one consistent value;
/// FleetCounters: its numbers alone.
#pragma once

#include <array>    // std::array
#include <cstddef>  // std::size_t
#include <string>   // std::string
#include <vector>   // std::vector

#include <belay/link/status.hpp>

namespace belay { inline namespace BELAY_ABI {

/// The state of one service of a Fleet.
struct ServiceStatus {
    std::string name{};
    /// The state, its reason (`failure`, `decided_by`), `retry_at`, and the rest.
    LinkStatus link{};
    /// The result of its ServiceOptions::queued; 0 without that function.
    std::size_t queued = 0;
    /// Whether the service is connecting but has not dialled yet, because others are before it.
    bool waiting_to_dial = false;
};

/// The state of all services of a Fleet.
///
/// Thread safety: a plain value.
struct FleetStatus {
    /// The services, sorted by name.
    std::vector<ServiceStatus> services{};
    /// The number of services in each state; see count().
    std::array<std::size_t, detail::link_states> totals{};
    /// The sum of `queued` over all services.
    std::size_t queued = 0;
    /// The number of connections that are being opened, except slow ones; at most
    /// FleetOptions::dials_max.
    std::size_t dialling = 0;
    /// The number of connections that are being opened in the slow group; at most
    /// FleetOptions::slow_dials_max.
    std::size_t dialling_slowly = 0;
    /// Whether all services failed at once, and nothing has ended that suspicion; see
    /// docs/fleet.md.
    bool network_suspect = false;
    /// When the next service dials, as a scout, while the others wait because of that; `never` if
    /// they do not wait.
    Instant retry_at = never;

    /// Returns how many services are in a state.   Complexity: O(1).
    [[nodiscard]] std::size_t count(LinkState state) const noexcept {
        return totals[static_cast<std::size_t>(state)];
    }
};

/// The numbers of a Fleet, for a monitor.
///
/// Thread safety: a plain value.
struct FleetCounters {
    /// The number of services in each state; see count(). A service is counted in a state as soon
    /// as its observer is notified of it.
    std::array<std::size_t, detail::link_states> totals{};
    /// The number of services that wait to dial, in both groups.
    std::size_t waiting_to_dial = 0;
    /// As FleetStatus::dialling.
    std::size_t dialling = 0;
    /// As FleetStatus::dialling_slowly.
    std::size_t dialling_slowly = 0;
    /// The number of failures that are held until the fleet has decided about the network.
    std::size_t held = 0;
    /// The number of waits for a scout since a peer last gave evidence that the network works.
    std::size_t scouts = 0;
    /// Whether the network is suspect; see FleetStatus::network_suspect.
    bool network_suspect = false;

    /// Returns how many services are in a state.   Complexity: O(1).
    [[nodiscard]] std::size_t count(LinkState state) const noexcept {
        return totals[static_cast<std::size_t>(state)];
    }
    friend constexpr bool operator==(const FleetCounters&, const FleetCounters&) noexcept = default;
};

}}  // namespace belay
