// SPDX-License-Identifier: MIT
/// \file belay/work/work_metrics.hpp
/// visit_metrics for work queues: items that wait, are leased, delayed or dead.
#pragma once

#include <cstdint>  // std::uint64_t

#include <belay/metrics/metric.hpp>
#include <belay/work/work_queue.hpp>

namespace belay { inline namespace BELAY_ABI { namespace metrics {

/// Passes the numbers of a work queue to `visitor(const Metric&)`; the part is "work".
///
/// Thread safety: that of the work queue.
/// Complexity: O(1).   Throws: what the visitor throws.
template <class Log, class DeadLetters, class Observer, class Visitor>
void visit_metrics(const WorkQueue<Log, DeadLetters, Observer>& queue, Visitor&& visitor) {
    const auto gauge = [&visitor](const char* name, std::uint64_t value, const char* help) {
        detail::visit_gauge("work", name, help, value, visitor);
    };
    gauge("items", queue.size(), "Items that wait, are leased or delayed.");
    gauge("leased", queue.leased(), "Items that are leased.");
    gauge("delayed", queue.delayed(), "Items that are delayed.");
    gauge("dead", queue.dead(), "Dead letters that the queue keeps.");
    gauge("held_bytes", queue.bytes(),
          "Bytes that the items, including dead ones, take in the log.");
    gauge("failed", queue.failed() ? 1 : 0, "1 after a failure of the log that ended writing.");
}

}}}  // namespace belay::metrics
