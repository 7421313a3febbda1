// SPDX-License-Identifier: MIT
/// \file belay/link/supervisor_metrics.hpp
/// visit_metrics for supervised connections: state, attempts, and the last failure.
#pragma once

#include <cstddef>  // std::size_t

#include <belay/link/status.hpp>
#include <belay/link/supervisor.hpp>
#include <belay/metrics/metric.hpp>

namespace belay { inline namespace BELAY_ABI { namespace metrics {

namespace detail {

template <class Visitor>
void visit_link(const char* part, const LinkStatus& status, Visitor& visitor) {
    visit_states({.part = part,
                  .name = "state",
                  .help = "1 for the state that the connection is in.",
                  .key = "state"},
                 status.state, belay::detail::link_states, visitor);
    visit_states({.part = part,
                  .name = "last_failure",
                  .help = "1 for the cause of the last failure; none while connected.",
                  .key = "cause"},
                 status.failure.cause, std::size_t{11}, visitor);
    detail::visit_gauge(part, "attempt", "Attempts since the last success or start.",
                        status.attempt, visitor);
}

}  // namespace detail

/// Passes the state of a connection to `visitor(const Metric&)`; the part is "supervisor".
///
/// For counters and durations, see LinkMetrics, whose part is "link".
///
/// Thread safety: a plain value. A handle's status() gives one on any thread.
/// Complexity: O(1).   Throws: what the visitor throws.
template <class Visitor>
void visit_metrics(const LinkStatus& status, Visitor&& visitor) {
    detail::visit_link("supervisor", status, visitor);
}

/// Passes the state of a supervisor's connection.
///
/// Thread safety: home thread of the supervisor.
template <class Transport, class Policy, class Observer, class Visitor>
void visit_metrics(const Supervisor<Transport, Policy, Observer>& supervisor, Visitor&& visitor) {
    visit_metrics(supervisor.status(), visitor);
}

}}}  // namespace belay::metrics
