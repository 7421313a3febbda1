// SPDX-License-Identifier: MIT
/// \file belay/queue/queue_metrics.hpp
/// visit_metrics for queues: what waits, and the counters of a QueueCounters.
#pragma once

#include <type_traits>  // std::is_same_v, std::remove_cvref_t

#include <belay/metrics/metric.hpp>
#include <belay/queue/queue.hpp>

namespace belay { inline namespace BELAY_ABI { namespace metrics {

/// Passes the counters of a queue to `visitor(const Metric&)`; the part is "queue".
///
/// Complexity: O(1).   Throws: what the visitor throws.
template <class Visitor>
void visit_metrics(const QueueCounters& counters, Visitor&& visitor) {
    constexpr detail::Row<QueueCounters> rows[] = {
        {"pushed", &QueueCounters::pushed, "Values that the queue took."},
        {"rejected", &QueueCounters::rejected, "Pushes that were rejected."},
        {"dropped", &QueueCounters::dropped, "Values that the overflow policy dropped."},
        {"popped", &QueueCounters::popped, "Values that pop returned."},
        {"drained", &QueueCounters::drained, "Values that were executed."},
        {"released", &QueueCounters::released, "Values that were delivered or removed."},
        {"failed_drains", &QueueCounters::failed, "Drains that ended with an error."}};
    detail::visit_rows({.part = "queue"}, counters, rows, visitor);
    detail::visit_gauge("queue", "deepest", "The most values that waited after a push.",
                        counters.deepest, visitor);
}

/// Passes the size of a queue, its limit if it has one, and its counters if its observer is a
/// QueueCounters. The part is "queue".
///
/// Thread safety: that of the queue.
template <class Storage, class Overflow, class Observer, class Visitor>
void visit_metrics(const Queue<Storage, Overflow, Observer>& queue, Visitor&& visitor) {
    detail::visit_gauge("queue", "waiting", "Values that wait.", queue.size(), visitor);
    if (queue.limit() != no_limit) {
        detail::visit_gauge("queue", "limit", "The most values that may wait.", queue.limit(),
                            visitor);
    }
    if constexpr (requires { queue.bytes(); }) {
        detail::visit_gauge("queue", "waiting_bytes", "Bytes of the values that wait.",
                            queue.bytes(), visitor);
    }
    if constexpr (std::is_same_v<std::remove_cvref_t<decltype(queue.observer())>, QueueCounters>) {
        visit_metrics(queue.observer(), visitor);
    }
}

}}}  // namespace belay::metrics
