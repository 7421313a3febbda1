// SPDX-License-Identifier: MIT
/// \file belay/link/status.hpp
/// LinkState, LinkStatus, Transition: the state of a supervised connection, as one consistent
/// value.
#pragma once

#include <cstddef>      // std::size_t
#include <string_view>  // std::string_view

#include <belay/core/failure.hpp>

namespace belay { inline namespace BELAY_ABI {

/// The states of a supervised connection. For every state that is not final, exactly one thing ends
/// it.
enum class LinkState : std::uint8_t {
    stopped,       ///< not started, or stopped; woken by start()
    offline,       ///< a gate is shut, nothing is attempted; woken by the gate
    blocked_auth,  ///< rejected because of its credentials; woken by new ones or reconnect_now()
    cooldown,      ///< waiting until `retry_at`
    suspended,     ///< the breaker is open until `retry_at`
    connecting,    ///< opening, then validating; the attempt's limit runs
    connected,     ///< validated; messages flow
    failed,        ///< a rule stopped the retries; only reconnect_now() leaves it
    draining       ///< nothing more is sent, sent messages still leave; then stopped
};

namespace detail {
/// The number of states.
inline constexpr std::size_t link_states = static_cast<std::size_t>(LinkState::draining) + 1;
/// Returns whether only a command leads out of this state.
[[nodiscard]] constexpr bool rests(LinkState state) noexcept {
    return state == LinkState::stopped || state == LinkState::failed ||
           state == LinkState::blocked_auth;
}
}  // namespace detail

/// Returns the name of a state, as in the enumeration.   Complexity: O(1).
[[nodiscard]] constexpr std::string_view to_string(LinkState state) noexcept {
    constexpr std::string_view names[detail::link_states] = {
        "stopped",    "offline",   "blocked_auth", "cooldown", "suspended",
        "connecting", "connected", "failed",       "draining"};
    const auto i = static_cast<std::size_t>(state);
    return i < detail::link_states ? names[i] : std::string_view{"unknown"};
}

/// The state of a supervised connection.
///
/// Thread safety: a plain value; Supervisor::status and Handle::status give consistent copies.
struct LinkStatus {
    LinkState state = LinkState::stopped;
    /// Whether a retry has failed since `down_since`.
    bool retry_failed = false;
    /// Whether this side decided to end the last attempt or connection: by a command, a gate, new
    /// credentials, or a fleet. It then counts as no failure. False while connected.
    bool withdrawn = false;
    /// The attempts since the last success or start, including the one in flight. Stops, gates,
    /// planned closes of a stable connection, and attempts that this side withdrew do not count.
    /// Nor does the loss of an old connection that was used without evidence; see ResetWhenStable.
    std::uint32_t attempt = 0;
    /// When this state was entered.
    Instant since = always;
    /// When the next attempt may start, in cooldown and suspended; otherwise `never`.
    Instant retry_at = never;
    /// When the connection was last lost or first wanted; `never` while connected.
    Instant down_since = never;
    /// Why the last attempt failed or the last connection ended; none while connected.
    Failure failure{};
    /// The rule that decided the wait or the stop; empty if none did. It has static storage.
    std::string_view decided_by{};

    friend constexpr bool operator==(const LinkStatus&, const LinkStatus&) noexcept = default;
};

/// A step from one state to the next. `from == to.state` if only the wait changed.
struct Transition {
    LinkState from = LinkState::stopped;
    LinkStatus to{};
};

/// A coarser view of a LinkStatus, for user interfaces.
struct Connectivity {
    enum class Kind : std::uint8_t {
        connected,
        disconnected,  ///< until the first retry has failed; see `since` and `reason`
        reconnecting   ///< after that; see `attempt`
    };
    Kind kind = Kind::disconnected;
    Instant since = never;
    Failure reason{};
    std::uint32_t attempt = 0;
};

/// Returns the name of a kind, as in the enumeration.   Complexity: O(1).
[[nodiscard]] constexpr std::string_view to_string(Connectivity::Kind kind) noexcept {
    constexpr std::string_view names[] = {"connected", "disconnected", "reconnecting"};
    const auto i = static_cast<std::size_t>(kind);
    return i < sizeof names / sizeof names[0] ? names[i] : std::string_view{"unknown"};
}

/// Returns a status as connected, disconnected{since, reason} or reconnecting{attempt}.
///
/// Complexity: O(1).
[[nodiscard]] constexpr Connectivity connectivity(const LinkStatus& s) noexcept {
    using Kind = Connectivity::Kind;
    if (s.state == LinkState::connected) return {Kind::connected, s.since, {}, 0};
    const bool trying = s.state == LinkState::cooldown || s.state == LinkState::suspended ||
                        s.state == LinkState::connecting;
    if (trying && s.retry_failed) return {Kind::reconnecting, s.down_since, s.failure, s.attempt};
    return {Kind::disconnected, s.down_since, s.failure, s.attempt};
}

/// A reason not to connect for now. Any shut gate keeps a supervisor offline.
enum class Gate : std::uint32_t {
    network = 1U << 0,  ///< the computer has no network
    hidden = 1U << 1,   ///< no user is looking
    paused = 1U << 2,   ///< the user asked for a pause
    custom = 1U << 8    ///< the first of your own gates: custom << 0 .. custom << 23
};

}}  // namespace belay
