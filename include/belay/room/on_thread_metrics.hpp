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
    gauge("messages", queue.messages, "Messages that wait to be published.");
    gauge("message_bytes", queue.message_bytes, "Bytes of these messages.");
    constexpr detail::Row<OnThreadQueue> counters[] = {
        {"messages_dropped", &OnThreadQueue::messages_dropped,
         "Messages that a limit dropped before they were published."},
        {"messages_unread", &OnThreadQueue::messages_unread,
         "Messages that arrived, and that a limit dropped."}};
    detail::visit_rows({.part = "storage_thread"}, queue, counters, visitor);
}

/// Passes the numbers of the queue of an OnThread.
///
/// Thread safety: any thread.
template <class P, class Visitor>
void visit_metrics(const OnThread<P>& persistence, Visitor&& visitor) {
    visit_metrics(persistence.queue(), visitor);
}

}}}  // namespace belay::metrics
