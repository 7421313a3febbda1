// SPDX-License-Identifier: MIT
/// \file belay/room/room_metrics.hpp
/// visit_metrics for rooms, and for the log of a JournalRooms.
#pragma once

#include <cstdint>  // std::uint64_t

#include <belay/metrics/metric.hpp>
#include <belay/room/journal_rooms.hpp>
#include <belay/room/room_manager.hpp>

namespace belay { inline namespace BELAY_ABI { namespace metrics {

/// Passes the counters of a RoomManager to `visitor(const Metric&)`; the part is "rooms".
///
/// The counter `reasons` has one sample for each reason of a rejection or a close, and `evictions`
/// one for each reason of an eviction.
/// Complexity: O(1).   Throws: what the visitor throws.
template <class Visitor>
void visit_metrics(const RoomCounters& counters, Visitor&& visitor) {
    using C = RoomCounters;
    constexpr detail::Row<C> rows[] = {
        {"joined", &C::joined, "Clients that joined a room."},
        {"rejected", &C::rejected, "Clients that were rejected, or closed because of an error."},
        {"closed", &C::closed, "Clients that were closed without an error of theirs."},
        {"throttled", &C::throttled, "Times that a client exceeded its rate of messages."},
        {"upgrades_aborted", &C::upgrades_aborted, "Connections that ended during the upgrade."},
        {"updates", &C::updates, "Changes that became durable, and were sent to clients."},
        {"unchanged", &C::unchanged, "Updates that added nothing, and were not stored."},
        {"denied", &C::denied, "Edits and states that were rejected although their client stays."},
        {"lost_updates", &C::lost_updates, "Changes that a failed flush lost."},
        {"awareness_dropped", &C::awareness_dropped,
         "Awareness messages that a slow client missed."},
        {"resyncs", &C::resyncs, "Clients that lagged, and received the difference."},
        {"loads", &C::loads, "Loads of rooms."},
        {"loads_rejected", &C::loads_rejected, "Loads that waited too long for loads_max."},
        {"flushes", &C::flushes, "Flushes of the storage, each for all rooms with changes."},
        {"saves", &C::saves, "Snapshots of rooms."},
        {"storage_failures", &C::storage_failures, "Failed calls of the storage."},
        {"divergences", &C::divergences, "Clients whose history began apart from the room's."},
        {"stateless", &C::stateless, "Stateless messages of clients."}};
    detail::visit_rows({.part = "rooms"}, counters, rows, visitor);
    const auto by_reason = [&](const char* name, const char* help, std::uint64_t value,
                               std::string_view reason) {
        visitor(Metric{.part = "rooms",
                       .name = name,
                       .help = help,
                       .value = value,
                       .key = "reason",
                       .label = reason});
    };
    const auto all_reasons = [&](const char* name, const char* help, const C::Reasons& all) {
        for (std::size_t i = 0; i < C::Reasons::count; ++i)
            by_reason(name, help, all.at(i), C::Reasons::word(i));
    };
    all_reasons("reasons", "Rejections and closes of clients, by their reason.", counters.reasons);
    all_reasons("failures", "Failed calls of the storage, by their reason.", counters.failures);
    const auto word = [](RoomErrc why) { return C::Reasons::word(static_cast<std::size_t>(why)); };
    for (const RoomErrc why :
         {RoomErrc::forbidden, RoomErrc::document_full, RoomErrc::frame_too_large})
        by_reason("denials", "Edits and states that were rejected, by reason; the client stays.",
                  counters.denials.of(why), word(why));
    constexpr const char* left = "Rooms that left the memory, by their reason.";
    by_reason("evictions", left, counters.evictions.of({}), "idle");
    for (const RoomErrc why :
         {RoomErrc::too_many, RoomErrc::too_many_of_user, RoomErrc::not_loaded,
          RoomErrc::not_durable, RoomErrc::no_answer, RoomErrc::manager_stopped,
          RoomErrc::history_reset, RoomErrc::room_erased})
        by_reason("evictions", left, counters.evictions.of(why), word(why));
    const auto times = [&](const char* name, const char* help, const C::Histogram& durations) {
        detail::visit_times({.part = "rooms", .name = name, .help = help}, durations, visitor);
    };
    times("join_seconds", "From the accept of a client to its join.", counters.joins);
    times("durable_seconds", "From the arrival of an edit to its flush.", counters.durable);
    times("delivered_seconds",
          "From the arrival of an edit to its acceptance by the last connection.",
          counters.delivered);
    times("load_seconds", "From a load to the answer of the storage.", counters.loading);
    times("flush_seconds", "From a flush to the answer of the storage.", counters.flushing);
    times("save_seconds", "From a save to the answer of the storage.", counters.saving);
}

/// Passes the counters of a RoomManager, and its numbers of rooms and clients; the part is "rooms".
///
/// Thread safety: home thread of the manager.
template <class P, class A, class O, class D, class Visitor>
void visit_metrics(const RoomManager<P, A, O, D>& rooms, Visitor&& visitor) {
    visit_metrics(rooms.counters(), visitor);
    const auto gauge = [&visitor](const char* name, const char* help, std::size_t value) {
        detail::visit_gauge("rooms", name, help, value, visitor);
    };
    gauge("rooms", "Rooms in memory.", rooms.rooms());
    gauge("clients", "Clients, including those that are not admitted yet.", rooms.clients());
}

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
