// SPDX-License-Identifier: MIT
/// \file belay/policy/registry_metrics.hpp
/// visit_metrics for a Registry: its counters.
#pragma once

#include <belay/metrics/metric.hpp>
#include <belay/policy/registry.hpp>

namespace belay { inline namespace BELAY_ABI { namespace metrics {

/// Passes the counters of a registry to `visitor(const Metric&)`; the part is "registry".
///
/// Complexity: O(1).   Throws: what the visitor throws.
template <class Visitor>
void visit_metrics(const policies::RegistryCounters& counters, Visitor&& visitor) {
    using Counters = policies::RegistryCounters;
    detail::visit_gauge("registry", "entries", "Objects that the registry has.", counters.entries,
                        visitor);
    constexpr detail::Row<Counters> rows[] = {
        {"made", &Counters::made, "Objects that were made for a key."},
        {"evicted", &Counters::evicted, "Idle objects that were removed."},
        {"rejected", &Counters::rejected, "Calls of get and set that found it full."}};
    detail::visit_rows({.part = "registry"}, counters, rows, visitor);
}

/// Passes the counters of a registry. Its objects are parts of their own: add those of each key
/// that you watch under a name of your own.
///
/// Thread safety: any thread.   Blocks: for a lookup by another caller.
template <class Value, class Visitor>
void visit_metrics(const policies::Registry<Value>& registry, Visitor&& visitor) {
    visit_metrics(registry.counters(), visitor);
}

}}}  // namespace belay::metrics
