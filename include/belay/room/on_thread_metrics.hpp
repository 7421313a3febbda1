// SPDX-License-Identifier: MIT
/// \file belay/room/on_thread_metrics.hpp
/// visit_metrics for the calls that wait in an OnThread.
#pragma once

#include <cstddef>  // std::size_t

#include <belay/metrics/metric.hpp>
#include <belay/room/on_thread.hpp>

namespace belay { inline namespace BELAY_ABI { namespace metrics {

/// Passes the numbers of an OnThread's queue to `visitor(const Metric&)`; the part is
/// "storage_thread".
///
/// Complexity: O(1).   Throws: what the visitor throws.
template <class Visitor>
void visit_metrics(const OnThreadQueue& queue, Visitor&& visitor) {
    const auto gauge = [&visitor](const char* name, std::size_t value, const char* help) {
        detail::visit_gauge("storage_thread", name, help, value, visitor);
    };
    gauge("waiting", queue.calls, "Calls of the storage that wait for its thread.");
    gauge("update_bytes", queue.update_bytes, "Bytes of updates that are not stored yet.");
    gauge("snapshot_bytes", queue.snapshot_bytes, "Bytes of snapshots that are not stored yet.");
}

/// Passes the numbers of the queue of an OnThread.
///
/// Thread safety: any thread.
template <class P, class Visitor>
void visit_metrics(const OnThread<P>& persistence, Visitor&& visitor) {
    visit_metrics(persistence.queue(), visitor);
}

}}}  // namespace belay::metrics
