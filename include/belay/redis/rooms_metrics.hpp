// SPDX-License-Identifier: MIT
/// \file belay/redis/rooms_metrics.hpp
/// visit_metrics for the status of a redis::Rooms.
#pragma once

#include <cstddef>  // std::size_t

#include <belay/metrics/metric.hpp>
#include <belay/redis/rooms_status.hpp>

namespace belay { inline namespace BELAY_ABI { namespace metrics {

/// Passes the numbers of a redis::Rooms to `visitor(const Metric&)`; the part is "redis_rooms".
/// `redis::Rooms::status()` returns them, on any thread.
///
/// Complexity: O(1).   Throws: what the visitor throws.
template <class Visitor>
void visit_metrics(const redis::RoomsStatus& status, Visitor&& visitor) {
    using S = redis::RoomsStatus;
    constexpr Metric gauge{.part = "redis_rooms", .kind = Metric::Kind::gauge};
    Metric connected = gauge;
    connected.name = "connected";
    connected.help = "1 if the connection of the calls was made, and has not failed since.";
    connected.value = status.connected_since ? 1 : 0;
    visitor(static_cast<const Metric&>(connected));
    constexpr detail::Row<S, std::size_t> sizes[] = {
        {"subscriptions", &S::subscriptions, "Rooms whose changes this server receives."},
        {"rooms_to_save", &S::rooms_to_save,
         "Rooms with more updates since their last save than the limit."},
        {"rooms_known", &S::rooms_known, "Rooms whose histories this server remembers."}};
    detail::visit_rows(gauge, status, sizes, visitor);
    constexpr detail::Row<S> counters[] = {
        {"connections", &S::connections, "Connections of the calls that were made."},
        {"outages", &S::outages, "Failures after which calls failed for a while."},
        {"gaps", &S::gaps, "Answers to subscriptions that reported lost entries."},
        {"messages_lost", &S::messages_lost,
         "Messages that an outage dropped, or that Redis did not publish."}};
    detail::visit_rows({.part = "redis_rooms"}, status, counters, visitor);
}

}}}  // namespace belay::metrics
