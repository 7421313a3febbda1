// SPDX-License-Identifier: MIT
/// \file belay/journal/journal_metrics.hpp
/// visit_metrics for journals: operations, bytes, and the damage that opening found.
#pragma once

#include <cstdint>  // std::uint64_t

#include <belay/journal/journal.hpp>
#include <belay/metrics/metric.hpp>

namespace belay { inline namespace BELAY_ABI { namespace metrics {

/// Passes the numbers of a journal to `visitor(const Metric&)`; the part is "journal".
///
/// The counters are the numbers of operations, so they continue after a restart.
///
/// Thread safety: that of the journal.
/// Complexity: O(1).   Throws: what the visitor throws.
template <class FileSystem, class Visitor>
void visit_metrics(const Journal<FileSystem>& journal, Visitor&& visitor) {
    const auto counter = [&visitor](const char* name, std::uint64_t value, const char* help) {
        visitor(Metric{.part = "journal", .name = name, .help = help, .value = value});
    };
    const auto gauge = [&visitor](const char* name, std::uint64_t value, const char* help) {
        detail::visit_gauge("journal", name, help, value, visitor);
    };
    counter("appended", journal.last(), "Operations that were appended.");
    counter("durable", journal.durable(), "Operations that are durable.");
    counter("acknowledged", journal.base() - 1, "Operations that were acknowledged.");
    counter("acknowledged_durable", journal.acked_durable(),
            "Operations whose acknowledgement is durable.");
    gauge("waiting", journal.size(), "Operations that wait to be acknowledged.");
    gauge("held_bytes", journal.bytes(), "Bytes of all records, in the files and not written yet.");
    gauge("undeleted_files", journal.undeleted_files(),
          "Files that are no longer needed, and could not be deleted.");
    gauge("failed", journal.failed() ? 1 : 0, "1 after a failure of the disk that ended writing.");
    gauge("truncated_bytes", journal.report().truncated_bytes,
          "Bytes of an unfinished write that the last opening cleared.");
}

}}}  // namespace belay::metrics
