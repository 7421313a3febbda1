// SPDX-License-Identifier: MIT
/// \file belay/session/session_text.hpp
/// to_string for the states of sessions and outboxes: texts for logs.
#pragma once

#include <string>  // std::string

#include <belay/link/link_text.hpp>
#include <belay/session/detail/session_rows.hpp>
#include <belay/session/session_format.hpp>

namespace belay { inline namespace BELAY_ABI {

/// Returns the facts about a blocked session as pairs: "acked=3 last=9 applied=2 attach=0".
///
/// Throws: std::bad_alloc.
[[nodiscard]] inline std::string to_string(const BlockedDetails& details) {
    return detail::Fields{}
        .add("acked", details.acked)
        .add("last", details.last)
        .add("applied", details.applied)
        .add("attach", details.attach)
        .add("replaced_applied", details.replaced_applied)
        .take();
}

/// Returns a status as pairs: those of its link, then "taken=9 accepted=9 acknowledged=3". Then
/// "flush_error=..." if the last flush failed, and "blocked=fenced" with the facts if it is
/// blocked.
///
/// Throws: std::bad_alloc.
[[nodiscard]] inline std::string to_string(const SessionStatus& status) {
    detail::Fields fields;
    detail::add_link(fields, status.link);
    fields.add(status, detail::session_counters);
    if (status.flush_error) fields.add("flush_error", to_string(status.flush_error));
    if (status.blocked == Blocked::none) return fields.take();
    fields.add("blocked", to_string(status.blocked));
    return fields.take() + " " + to_string(status.details);
}

/// Returns a status as pairs: those of its link, then "waiting=0 in_flight=1 sent=5 sent_again=0
/// acknowledged=4 unsent=0", and "error=..." after a failure of the storage.
///
/// Throws: std::bad_alloc.
[[nodiscard]] inline std::string to_string(const OutboxStatus& status) {
    detail::Fields fields;
    detail::add_link(fields, status.link);
    fields.add(status, detail::outbox_gauges).add(status, detail::outbox_counters);
    if (status.error) fields.add("error", to_string(status.error));
    return fields.take();
}

namespace detail {

template <IsOneOf<Blocked, BlockedDetails, SessionStatus, OutboxStatus> T>
inline constexpr bool has_text<T> = true;

}  // namespace detail

}}  // namespace belay
