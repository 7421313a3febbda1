// SPDX-License-Identifier: MIT
/// \file belay/fleet/fleet_metrics.hpp
/// visit_metrics for fleets, their services, and pools.
#pragma once

#include <cstddef>  // std::size_t
#include <cstdint>  // std::uint64_t

#include <belay/fleet/fleet.hpp>
#include <belay/fleet/fleet_text.hpp>
#include <belay/fleet/pool.hpp>
#include <belay/metrics/metric.hpp>

namespace belay { inline namespace BELAY_ABI { namespace metrics {

/// Passes the numbers of a fleet to `visitor(const Metric&)`; the part is "fleet".
///
/// Thread safety: a plain value.
/// Complexity: O(1).   Throws: what the visitor throws.
template <class Visitor>
void visit_metrics(const FleetCounters& counters, Visitor&& visitor) {
    for (std::size_t i = 0; i < counters.totals.size(); ++i) {
        visitor(Metric{.part = "fleet",
                       .name = "services",
                       .help = "Services in each state.",
                       .kind = Metric::Kind::gauge,
                       .value = counters.totals[i],
                       .key = "state",
                       .label = to_string(static_cast<LinkState>(i))});
    }
    constexpr detail::Row<FleetCounters, std::size_t> rows[] = {
        {"in_line", &FleetCounters::waiting_to_dial, "Services that wait in line to dial."},
        {"dialling", &FleetCounters::dialling, "Connections that are being opened."},
        {"dialling_slowly", &FleetCounters::dialling_slowly,
         "Connections that are being opened in the slow group."},
        {"held_failures", &FleetCounters::held,
         "Failures held until the fleet has decided about the network."},
        {"scouts", &FleetCounters::scouts,
         "Waits for a scout since a peer last gave evidence that the network works."}};
    detail::visit_rows({.part = "fleet", .kind = Metric::Kind::gauge}, counters, rows, visitor);
    detail::visit_gauge("fleet", "network_suspect", "1 while the network is suspect.",
                        counters.network_suspect ? 1U : 0U, visitor);
}

/// Passes the numbers of a fleet, without its single services.
///
/// Thread safety: home thread of the fleet.
template <class Observer, class Visitor>
void visit_metrics(const Fleet<Observer>& fleet, Visitor&& visitor) {
    visit_metrics(fleet.counters(), visitor);
}

/// Passes the state of each service of a fleet; the part is "fleet_service", and the second label
/// is the name of the service.
///
/// There are three samples for each service. A page leaves the fleet out if it has no space for all
/// of them. If the fleet has thousands of services, prefer the numbers of the fleet.
///
/// Thread safety: a plain value.
/// Complexity: O(services).   Throws: what the visitor throws.
template <class Visitor>
void visit_metrics(const FleetStatus& status, Visitor&& visitor) {
    const auto each = [&](const char* name, const char* help, auto value) {
        for (const ServiceStatus& service : status.services) {
            visitor(Metric{.part = "fleet_service",
                           .name = name,
                           .help = help,
                           .kind = Metric::Kind::gauge,
                           .value = value(service),
                           .key = "service",
                           .label = service.name});
        }
    };
    each("connected", "1 while the service is connected.", [](const ServiceStatus& service) {
        return service.link.state == LinkState::connected ? std::uint64_t{1} : 0;
    });
    each("attempt", "Attempts since the last success or start.",
         [](const ServiceStatus& service) { return std::uint64_t{service.link.attempt}; });
    each("queued", "The result of the service's function queued.",
         [](const ServiceStatus& service) { return std::uint64_t{service.queued}; });
}

/// Passes the numbers of a pool to `visitor(const Metric&)`; the part is "pool".
///
/// Thread safety: a plain value.
/// Complexity: O(1).   Throws: what the visitor throws.
template <class Visitor>
void visit_metrics(const PoolStatus& status, Visitor&& visitor) {
    detail::visit_rows({.part = "pool", .kind = Metric::Kind::gauge}, status,
                       belay::detail::pool_gauges, visitor);
    detail::visit_gauge("pool", "scouting",
                        "1 while one connection dials again and the others wait for it.",
                        status.scouting ? 1U : 0U, visitor);
}

/// Passes the numbers of a pool.   Thread safety: home thread.   Complexity: O(size).
template <class Transport, class Policy, class Observer, class Visitor>
void visit_metrics(const Pool<Transport, Policy, Observer>& pool, Visitor&& visitor) {
    visit_metrics(pool.status(), visitor);
}

}}}  // namespace belay::metrics
