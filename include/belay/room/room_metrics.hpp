// SPDX-License-Identifier: MIT
/// \file belay/room/room_metrics.hpp
/// visit_metrics for rooms.
#pragma once

#include <belay/metrics/metric.hpp>
#include <belay/room/room_manager.hpp>

namespace belay { inline namespace BELAY_ABI { namespace metrics {

/// Passes the counters of a RoomManager to `visitor(const Metric&)`; the part is "rooms".
///
/// The counter `reasons` has one sample for each reason of a refusal or a close.
/// Complexity: O(1).   Throws: what the visitor throws.
template <class Visitor>
void visit_metrics(const RoomCounters& counters, Visitor&& visitor) {
    using C = RoomCounters;
    constexpr detail::Row<C> rows[] = {
        {"joined", &C::joined, "Clients that joined a room."},
        {"refused", &C::refused, "Clients that were refused, or closed because of an error."},
        {"closed", &C::closed, "Clients that were closed without an error of theirs."},
        {"throttled", &C::throttled, "Times that a client exceeded its rate of messages."},
        {"upgrades_aborted", &C::upgrades_aborted, "Connections that ended during the upgrade."},
        {"updates", &C::updates, "Changes that became durable, and were sent to clients."},
        {"unchanged", &C::unchanged, "Updates that added nothing, and were not stored."},
        {"denied", &C::denied, "Updates of clients that may not edit."},
        {"lost_updates", &C::lost_updates, "Changes that a failed flush lost."},
        {"awareness_dropped", &C::awareness_dropped,
         "Awareness messages that a slow client missed."},
        {"resyncs", &C::resyncs, "Clients that lagged, and received the difference."},
        {"loads", &C::loads, "Loads of rooms."},
        {"saves", &C::saves, "Snapshots of rooms."},
        {"storage_failures", &C::storage_failures, "Failed calls of the storage."},
        {"divergences", &C::divergences, "Clients whose history began apart from the room's."},
        {"stateless", &C::stateless, "Stateless messages of clients."}};
    detail::visit_rows({.part = "rooms"}, counters, rows, visitor);
    for (std::size_t i = 0; i < C::Reasons::count; ++i) {
        visitor(Metric{.part = "rooms",
                       .name = "reasons",
                       .help = "Refusals and closes of clients, by their reason.",
                       .value = counters.reasons.at(i),
                       .key = "reason",
                       .label = C::Reasons::word(i)});
    }
    const auto histogram = [&visitor](const char* name, const char* help, const C::Histogram& h) {
        visitor(Metric{.part = "rooms",
                       .name = name,
                       .help = help,
                       .kind = Metric::Kind::histogram,
                       .value = detail::ticks(h.sum),
                       .per_unit = Metric::nanoseconds,
                       .bounds = C::Histogram::bounds,
                       .counts = h.counts});
    };
    histogram("join_seconds", "From the accept of a client to its join.", counters.joins);
    histogram("durable_seconds", "From the arrival of an edit to its flush.", counters.durable);
}

/// Passes the counters of a RoomManager, and its numbers of rooms and clients; the part is "rooms".
///
/// Thread safety: home thread of the manager.
template <class P, class A, class O, class D, class Visitor>
void visit_metrics(const RoomManager<P, A, O, D>& rooms, Visitor&& visitor) {
    visit_metrics(rooms.counters(), visitor);
    const auto gauge = [&visitor](const char* name, const char* help, std::size_t value) {
        visitor(Metric{.part = "rooms",
                       .name = name,
                       .help = help,
                       .kind = Metric::Kind::gauge,
                       .value = value});
    };
    gauge("rooms", "Rooms in memory.", rooms.rooms());
    gauge("clients", "Clients, including those that are not admitted yet.", rooms.clients());
}

}}}  // namespace belay::metrics
