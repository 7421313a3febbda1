// SPDX-License-Identifier: MIT
/// \file belay/room/room_metrics.hpp
/// visit_metrics for rooms, and for the log of a JournalRooms.
#pragma once

#include <cstdint>  // std::uint64_t

#include <belay/metrics/metric.hpp>
#include <belay/room/journal_rooms.hpp>
#include <belay/room/room_manager.hpp>

namespace belay { inline namespace BELAY_ABI { namespace metrics {

namespace detail {

/// Passes what is counted both for all rooms and for a single one.
template <class Visitor>
void visit_rooms(const char* part, const RoomCounters& counters, Visitor& visitor) {
    using C = RoomCounters;
    constexpr Row<C> rows[] = {
        {"joined", &C::joined, "Clients that joined a room."},
        {"rejected", &C::rejected, "Clients that were rejected, or closed because of an error."},
        {"closed", &C::closed, "Clients that were closed without an error of theirs."},
        {"throttled", &C::throttled, "Times that a client exceeded its rate of messages."},
        {"updates", &C::updates, "Changes that became durable, and were sent to clients."},
        {"unchanged", &C::unchanged, "Updates that added nothing, and were not stored."},
        {"denied", &C::denied, "Edits and states that were rejected although their client stays."},
        {"lost_updates", &C::lost_updates, "Changes that a failed flush lost."},
        {"awareness_dropped", &C::awareness_dropped,
         "Awareness messages that a slow client missed."},
        {"resyncs", &C::resyncs, "Clients that lagged, and received the difference."},
        {"loads", &C::loads, "Loads of rooms."},
        {"loads_rejected", &C::loads_rejected, "Loads that waited too long for loads_max."},
        {"saves", &C::saves, "Snapshots of rooms."},
        {"storage_failures", &C::storage_failures, "Failed calls of the storage."},
        {"divergences", &C::divergences, "Clients whose history began apart from the room's."},
        {"stateless", &C::stateless, "Stateless messages of clients."}};
    visit_rows({.part = part}, counters, rows, visitor);
    const auto reasons = [&](const char* name, const char* help, const C::Reasons& all) {
        for (std::size_t i = 0; i < C::Reasons::count; ++i) {
            visitor(Metric{.part = part,
                           .name = name,
                           .help = help,
                           .value = all.at(i),
                           .key = "reason",
                           .label = C::Reasons::word(i)});
        }
    };
    reasons("reasons", "Rejections and closes of clients, by their reason.", counters.reasons);
    reasons("failures", "Failed calls of the storage, by their reason.", counters.failures);
    for (const RoomErrc why : {RoomErrc::forbidden, RoomErrc::document_full})
        visitor(Metric{.part = part,
                       .name = "denials",
                       .help = "Edits that were rejected although their client stays, by reason.",
                       .value = counters.denials.of(why),
                       .key = "reason",
                       .label = C::Reasons::word(static_cast<std::size_t>(why))});
    const auto eviction = [&](std::string_view label, const std::error_code& why) {
        visitor(Metric{.part = part,
                       .name = "evictions",
                       .help = "Rooms that left the memory, by their reason.",
                       .value = counters.evictions.of(why),
                       .key = "reason",
                       .label = label});
    };
    eviction("idle", {});
    eviction("too_many", RoomErrc::too_many);
    eviction("too_many_of_user", RoomErrc::too_many_of_user);
    eviction("not_loaded", RoomErrc::not_loaded);
    eviction("not_durable", RoomErrc::not_durable);
    eviction("no_answer", RoomErrc::no_answer);
    eviction("manager_stopped", RoomErrc::manager_stopped);
    eviction("history_reset", RoomErrc::history_reset);
    eviction("room_erased", RoomErrc::room_erased);
}

template <class Visitor>
void visit_room_times(const char* part, const RoomCounters& counters, Visitor& visitor) {
    const auto times = [&](const char* name, const char* help,
                           const RoomCounters::Histogram& durations) {
        visit_times({.part = part, .name = name, .help = help}, durations, visitor);
    };
    times("join_seconds", "From the accept of a client to its join.", counters.joins);
    times("durable_seconds", "From the arrival of an edit to its flush.", counters.durable);
    times("delivered_seconds",
          "From the arrival of an edit to its acceptance by the last connection.",
          counters.delivered);
    times("load_seconds", "From a load to the answer of the storage.", counters.loading);
    times("save_seconds", "From a save to the answer of the storage.", counters.saving);
}

}  // namespace detail

/// Passes the counters of a RoomManager to `visitor(const Metric&)`; the part is "rooms".
///
/// The counter `reasons` has one sample for each reason of a rejection or a close, and `evictions`
/// one for each reason of an eviction.
/// Complexity: O(1).   Throws: what the visitor throws.
template <class Visitor>
void visit_metrics(const RoomCounters& counters, Visitor&& visitor) {
    using C = RoomCounters;
    constexpr detail::Row<C> rows[] = {
        {"upgrades_aborted", &C::upgrades_aborted, "Connections that ended during the upgrade."},
        {"flushes", &C::flushes, "Flushes of the storage, each for all rooms with changes."}};
    detail::visit_rooms("rooms", counters, visitor);
    detail::visit_rows({.part = "rooms"}, counters, rows, visitor);
    detail::visit_room_times("rooms", counters, visitor);
    detail::visit_times({.part = "rooms",
                         .name = "flush_seconds",
                         .help = "From a flush to the answer of the storage."},
                        counters.flushing, visitor);
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
