// SPDX-License-Identifier: MIT
/// \file belay/fleet/fleet_text.hpp
/// to_string for the states and events of fleets and pools: texts for logs.
#pragma once

#include <cstddef>  // std::size_t
#include <string>   // std::string

#include <belay/fleet/fleet.hpp>
#include <belay/fleet/fleet_options.hpp>
#include <belay/fleet/pool.hpp>
#include <belay/link/link_text.hpp>

namespace belay { inline namespace BELAY_ABI {

/// Returns the status of a service as pairs: "service=assets", and then those of its link.
///
/// Throws: std::bad_alloc.
[[nodiscard]] inline std::string to_string(const ServiceStatus& status) {
    detail::Fields fields;
    fields.add("service", status.name);
    detail::add_link(fields, status.link);
    if (status.queued != 0) fields.add("queued", status.queued);
    if (status.waiting_to_dial) fields.add("in_line", true);
    return fields.take();
}

namespace detail {

template <class Status>
void add_totals(Fields& fields, const Status& status) {
    for (std::size_t i = 0; i < status.totals.size(); ++i) {
        if (status.totals[i] == 0) continue;
        fields.add(belay::to_string(static_cast<LinkState>(i)), status.totals[i]);
    }
}
template <class Status>
void add_dials(Fields& fields, const Status& status) {
    fields.add("dialling", status.dialling).add("dialling_slowly", status.dialling_slowly);
    fields.add("network_suspect", status.network_suspect);
}

/// The numbers of a PoolStatus, in logs and metrics.
inline constexpr Row<PoolStatus, std::size_t> pool_gauges[] = {
    {"size", &PoolStatus::size, "Connections that the pool keeps, or wants."},
    {"connected", &PoolStatus::connected, "Connections that are connected."},
    {"leased", &PoolStatus::leased, "Connections that are leased."},
    {"suspect", &PoolStatus::suspect, "Connections that are not leased, and perhaps dead."},
    {"idle", &PoolStatus::idle, "Connections that are ready to be leased."},
    {"awaited", &PoolStatus::awaited, "Calls of acquire() that found no idle connection."}};

}  // namespace detail

/// Returns the status of a fleet as pairs, without its single services: "services=3 connected=2
/// cooldown=1 queued=0 dialling=0 dialling_slowly=0 network_suspect=false".
///
/// Throws: std::bad_alloc.
[[nodiscard]] inline std::string to_string(const FleetStatus& status) {
    detail::Fields fields;
    fields.add("services", status.services.size());
    detail::add_totals(fields, status);
    fields.add("queued", status.queued);
    detail::add_dials(fields, status);
    return fields.add_if_ever("retry_at", status.retry_at).take();
}

/// Returns the numbers of a fleet as pairs, in the same form.   Throws: std::bad_alloc.
[[nodiscard]] inline std::string to_string(const FleetCounters& counters) {
    detail::Fields fields;
    detail::add_totals(fields, counters);
    fields.add("in_line", counters.waiting_to_dial);
    detail::add_dials(fields, counters);
    return fields.add("held", counters.held).add("scouts", counters.scouts).take();
}

/// Returns an event as pairs: "since=3s retry_at=4s services=12 times=1 failure=timed_out".
///
/// Throws: std::bad_alloc.
[[nodiscard]] inline std::string to_string(const NetworkSuspect& event) {
    return detail::Fields{}
        .add("since", to_string(event.since))
        .add("retry_at", to_string(event.retry_at))
        .add("services", event.services)
        .add("times", event.times)
        .add("failure", to_string(event.failure))
        .take();
}

/// Returns the status of a pool as pairs: "size=4 connected=3 leased=1 suspect=0 idle=2 awaited=0
/// scouting=false".
///
/// Throws: std::bad_alloc.
[[nodiscard]] inline std::string to_string(const PoolStatus& status) {
    return detail::Fields{}
        .add(status, detail::pool_gauges)
        .add("scouting", status.scouting)
        .take();
}

namespace detail {

template <IsOneOf<ServiceStatus, FleetStatus, FleetCounters, NetworkSuspect, PoolStatus> T>
inline constexpr bool has_text<T> = true;

}  // namespace detail

}}  // namespace belay
