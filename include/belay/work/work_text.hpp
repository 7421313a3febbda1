// SPDX-License-Identifier: MIT
/// \file belay/work/work_text.hpp
/// to_string for the errors and events of work queues: texts for logs.
#pragma once

#include <string>       // std::string
#include <string_view>  // std::string_view

#include <belay/core/text.hpp>
#include <belay/work/lease.hpp>
#include <belay/work/work_error.hpp>

namespace belay { inline namespace BELAY_ABI {

/// Returns the sentence of an error; see WorkError::message.   Throws: std::bad_alloc.
[[nodiscard]] inline std::string to_string(const WorkError& error) { return error.message(); }

/// Returns the name of a state, as in the enumeration.   Complexity: O(1).
[[nodiscard]] constexpr std::string_view to_string(WorkItem::State state) noexcept {
    switch (state) {
        case WorkItem::State::ready:
            return "ready";
        case WorkItem::State::delayed:
            return "delayed";
        case WorkItem::State::leased:
            return "leased";
        case WorkItem::State::dead:
            return "dead";
    }
    return "unknown";
}

/// Returns an item as pairs, without its body: "id=7 state=leased deliveries=2 bytes=12
/// pushed=2026-11-23T03:05:00Z".
///
/// Throws: std::bad_alloc.
[[nodiscard]] inline std::string to_string(const WorkItem& item) {
    detail::Fields fields;
    fields.add("id", item.id).add("state", to_string(item.state));
    if (item.cause != DeathCause::none) fields.add("cause", to_string(item.cause));
    return fields.add("deliveries", item.deliveries)
        .add("bytes", item.body.size())
        .add("pushed", to_string(item.pushed))
        .take();
}

/// Returns a dead letter as pairs, without its body: "id=7 cause=failed deliveries=3 bytes=12".
///
/// Throws: std::bad_alloc.
[[nodiscard]] inline std::string to_string(const DeadWork& dead) {
    return detail::Fields{}
        .add("id", dead.id)
        .add("cause", to_string(dead.cause))
        .add("deliveries", dead.deliveries)
        .add("bytes", dead.body.size())
        .take();
}

namespace detail {

template <>
inline constexpr bool has_text<WorkError> = true;
template <>
inline constexpr bool has_text<WorkItem::State> = true;
template <>
inline constexpr bool has_text<WorkItem> = true;
template <>
inline constexpr bool has_text<DeathCause> = true;
template <>
inline constexpr bool has_text<DeadWork> = true;

}  // namespace detail

}}  // namespace belay
