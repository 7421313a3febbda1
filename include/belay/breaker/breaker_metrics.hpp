// SPDX-License-Identifier: MIT
/// \file belay/breaker/breaker_metrics.hpp
/// visit_metrics for breakers: their counters, state and mode.
#pragma once

#include <belay/breaker/circuit_breaker.hpp>
#include <belay/metrics/metric.hpp>

namespace belay { inline namespace BELAY_ABI { namespace metrics {

/// Passes the counters of a breaker to `visitor(const Metric&)`; the part is "breaker".
///
/// Complexity: O(1).   Throws: what the visitor throws.
template <class Visitor>
void visit_metrics(const BreakerCounters& counters, Visitor&& visitor) {
    constexpr detail::Row<BreakerCounters> rows[] = {
        {"successes", &BreakerCounters::successes, "Verdicts that counted as successes."},
        {"failures", &BreakerCounters::failures, "Verdicts that counted as failures."},
        {"rejected", &BreakerCounters::rejected, "Calls that got no permit."},
        {"probes", &BreakerCounters::probes, "Permits given while half-open."},
        {"lost_probes", &BreakerCounters::lost, "Times that probes were given up as lost."},
        {"stale", &BreakerCounters::stale, "Verdicts that came too late to count."},
        {"opened", &BreakerCounters::opened, "Times that the breaker opened."},
        {"reopened", &BreakerCounters::reopened, "Times that its probes failed."},
        {"closed", &BreakerCounters::closed, "Times that its probes succeeded."},
        {"would_open", &BreakerCounters::would_open,
         "Times that it would have opened, in the mode metrics_only."}};
    detail::visit_rows({.part = "breaker"}, counters, rows, visitor);
}

/// Passes the counters, the state and the mode of a breaker.
///
/// Thread safety: any thread. Numbers of calls under way on other threads may lag behind each
///                other.
template <class Clock, class Trip, class OpenWait, class Observer, class Visitor>
void visit_metrics(const CircuitBreaker<Clock, Trip, OpenWait, Observer>& breaker,
                   Visitor&& visitor) {
    detail::visit_states({.part = "breaker",
                          .name = "state",
                          .help = "1 for the state that the breaker is in.",
                          .key = "state"},
                         breaker.state(), 3, visitor);
    detail::visit_states({.part = "breaker",
                          .name = "mode",
                          .help = "1 for the source of decisions on the state.",
                          .key = "mode"},
                         breaker.mode(), 4, visitor);
    visit_metrics(breaker.counters(), visitor);
}

}}}  // namespace belay::metrics
