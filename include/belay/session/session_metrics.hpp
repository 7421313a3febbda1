// SPDX-License-Identifier: MIT
/// \file belay/session/session_metrics.hpp
/// visit_metrics for sessions and outboxes.
#pragma once

#include <belay/link/supervisor_metrics.hpp>
#include <belay/metrics/metric.hpp>
#include <belay/session/detail/session_rows.hpp>

namespace belay { inline namespace BELAY_ABI { namespace metrics {

/// Passes the numbers of a session to `visitor(const Metric&)`; the part is "session".
///
/// The counters are the numbers of operations, so they continue after a restart.
///
/// Thread safety: a plain value.
/// Complexity: O(1).   Throws: what the visitor throws.
template <class Visitor>
void visit_metrics(const SessionStatus& status, Visitor&& visitor) {
    detail::visit_link("session", status.link, visitor);
    detail::visit_states({.part = "session",
                          .name = "blocked",
                          .help = "1 for the reason why nothing is sent; none if it may be.",
                          .key = "reason"},
                         status.blocked, 8, visitor);
    detail::visit_rows({.part = "session"}, status, belay::detail::session_counters, visitor);
    detail::visit_gauge("session", "flush_failed", "1 if the last flush failed, as on a full disk.",
                        status.flush_error ? 1U : 0U, visitor);
}

/// Passes the numbers of a session.   Thread safety: home thread.
template <class Transport, class Policy, class Queue, class Observer, class Visitor>
void visit_metrics(const Session<Transport, Policy, Queue, Observer>& session, Visitor&& visitor) {
    visit_metrics(session.status(), visitor);
}

/// Passes the numbers of an outbox to `visitor(const Metric&)`; the part is "outbox".
///
/// Thread safety: a plain value.
/// Complexity: O(1).   Throws: what the visitor throws.
template <class Visitor>
void visit_metrics(const OutboxStatus& status, Visitor&& visitor) {
    detail::visit_link("outbox", status.link, visitor);
    detail::visit_rows({.part = "outbox", .kind = Metric::Kind::gauge}, status,
                       belay::detail::outbox_gauges, visitor);
    detail::visit_gauge("outbox", "undeliverable",
                        "The number of the first message if it is undeliverable, else 0.",
                        status.undeliverable, visitor);
    detail::visit_rows({.part = "outbox"}, status, belay::detail::outbox_counters, visitor);
    detail::visit_gauge("outbox", "failed", "1 after a failure of the storage that ended sending.",
                        status.error ? 1U : 0U, visitor);
}

/// Passes the numbers of an outbox.   Thread safety: home thread.
template <class Transport, class Policy, class Queue, class Observer, class Visitor>
void visit_metrics(const Outbox<Transport, Policy, Queue, Observer>& outbox, Visitor&& visitor) {
    visit_metrics(outbox.status(), visitor);
}

}}}  // namespace belay::metrics
