// SPDX-License-Identifier: MIT
/// \file belay/room/journal_rooms_metrics.hpp
/// visit_metrics for the log of a JournalRooms.
#pragma once

#include <cstdint>  // std::uint64_t

#include <belay/metrics/metric.hpp>
#include <belay/room/journal_rooms.hpp>

namespace belay { inline namespace BELAY_ABI { namespace metrics {

/// Passes the numbers of a JournalRooms to `visitor(const Metric&)`; the part is "journal_rooms".
/// `status()` returns them, also that of an OnThread.
///
/// Complexity: O(1).   Throws: what the visitor throws.
template <class Visitor>
void visit_metrics(const JournalRoomsStatus& status, Visitor&& visitor) {
    const auto gauge = [&visitor](const char* name, std::uint64_t value, const char* help) {
        detail::visit_gauge("journal_rooms", name, help, value, visitor);
    };
    gauge("stored", status.rooms, "Rooms that are stored.");
    gauge("log_records", status.log_records, "Records that the log holds.");
    gauge("log_bytes", status.log_bytes, "Bytes of these records, rounded up to some KiB.");
    gauge("tidying_failed", status.tidying ? 1 : 0,
          "1 if the last flush could not remove erased rooms, or release a part of the log.");
    gauge("damaged_records", status.damaged_records,
          "Records of the log that opening could not read.");
}

}}}  // namespace belay::metrics
