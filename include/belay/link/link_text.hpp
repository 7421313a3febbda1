// SPDX-License-Identifier: MIT
/// \file belay/link/link_text.hpp
/// to_string for the states and events of connections: texts for logs.
#pragma once

#include <cstdint>      // std::uint32_t
#include <string>       // std::string, std::to_string
#include <string_view>  // std::string_view

#include <belay/core/failure.hpp>
#include <belay/core/text.hpp>
#include <belay/link/status.hpp>

namespace belay { inline namespace BELAY_ABI {

/// Returns the name of a result, as in the enumeration.   Complexity: O(1).
[[nodiscard]] constexpr std::string_view to_string(SendResult result) noexcept {
    constexpr std::string_view names[] = {"sent", "busy", "down", "rejected"};
    return detail::name_of(result, names);
}

/// Returns the name of a gate: "network", and "custom+2" for `custom << 2`.
///
/// Throws: std::bad_alloc.
[[nodiscard]] inline std::string to_string(Gate gate) {
    if (gate == Gate::network) return "network";
    if (gate == Gate::hidden) return "hidden";
    if (gate == Gate::paused) return "paused";
    for (std::uint32_t n = 0; n < 24; ++n) {
        if (static_cast<std::uint32_t>(gate) != static_cast<std::uint32_t>(Gate::custom) << n)
            continue;
        return n == 0 ? "custom" : "custom+" + std::to_string(n);
    }
    return "unknown";
}

namespace detail {

inline void add_link(Fields& fields, const LinkStatus& status) {
    fields.add("state", belay::to_string(status.state)).add("attempt", status.attempt);
    fields.add("since", belay::to_string(status.since));
    fields.add_if_ever("retry_at", status.retry_at);
    fields.add_if_ever("down_since", status.down_since);
    if (status.failure.cause != Cause::none)
        fields.add("failure", belay::to_string(status.failure));
    if (status.withdrawn) fields.add("withdrawn", true);
    if (!status.decided_by.empty()) fields.add("by", status.decided_by);
}

}  // namespace detail

/// Returns a status as pairs: "state=cooldown attempt=2 since=3s retry_at=4.5s down_since=1s
/// failure=refused by=Backoff".
///
/// Throws: std::bad_alloc.
[[nodiscard]] inline std::string to_string(const LinkStatus& status) {
    detail::Fields fields;
    detail::add_link(fields, status);
    return fields.take();
}

/// Returns a transition as pairs: "from=connecting", and then those of the status.
///
/// Throws: std::bad_alloc.
[[nodiscard]] inline std::string to_string(const Transition& change) {
    detail::Fields fields;
    fields.add("from", to_string(change.from));
    detail::add_link(fields, change.to);
    return fields.take();
}

/// Returns a view of a status as pairs: "kind=reconnecting since=1s attempt=3 reason=refused".
///
/// Throws: std::bad_alloc.
[[nodiscard]] inline std::string to_string(const Connectivity& view) {
    detail::Fields fields;
    fields.add("kind", to_string(view.kind)).add("since", to_string(view.since));
    if (view.kind == Connectivity::Kind::reconnecting) fields.add("attempt", view.attempt);
    if (view.reason.cause != Cause::none) fields.add("reason", to_string(view.reason));
    return fields.take();
}

namespace detail {

template <
    IsOneOf<LinkState, SendResult, Gate, LinkStatus, Transition, Connectivity::Kind, Connectivity>
        T>
inline constexpr bool has_text<T> = true;

}  // namespace detail

}}  // namespace belay
