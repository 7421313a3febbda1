// SPDX-License-Identifier: MIT
/// \file belay/breaker/breaker_text.hpp
/// to_string for the events, snapshots and counters of breakers: texts for logs.
#pragma once

#include <string>  // std::string

#include <belay/breaker/breaker_state.hpp>
#include <belay/breaker/circuit_breaker.hpp>
#include <belay/core/text.hpp>

namespace belay { inline namespace BELAY_ABI {

/// Returns an event as pairs: "change=opened state=open cause=refused open_until=35.2s number=1".
///
/// Throws: std::bad_alloc.
[[nodiscard]] inline std::string to_string(const BreakerEvent& event) {
    detail::Fields fields;
    fields.add("change", to_string(event.change)).add("state", to_string(event.state));
    if (event.mode != BreakerMode::automatic) fields.add("mode", to_string(event.mode));
    if (event.cause != Cause::none) fields.add("cause", to_string(event.cause));
    if (event.code != 0) fields.add("code", std::to_string(event.code));
    fields.add("at", to_string(event.at));
    const bool opens = event.change == BreakerEvent::Change::opened ||
                       event.change == BreakerEvent::Change::reopened;
    if (opens) fields.add("open_until", to_string(event.open_until));
    return fields.add("number", event.number).take();
}

/// Returns a snapshot as pairs: "state=open mode=automatic openings=2 remaining=5s".
///
/// Throws: std::bad_alloc.
[[nodiscard]] inline std::string to_string(const BreakerSnapshot& snapshot) {
    return detail::Fields{}
        .add("state", to_string(snapshot.state))
        .add("mode", to_string(snapshot.mode))
        .add("openings", snapshot.openings)
        .add("remaining", to_string(snapshot.remaining))
        .take();
}

namespace detail {

template <>
inline constexpr bool has_text<BreakerState> = true;
template <>
inline constexpr bool has_text<BreakerMode> = true;
template <>
inline constexpr bool has_text<BreakerEvent::Change> = true;
template <>
inline constexpr bool has_text<BreakerEvent> = true;
template <>
inline constexpr bool has_text<BreakerSnapshot> = true;

}  // namespace detail

}}  // namespace belay
