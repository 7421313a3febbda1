// SPDX-License-Identifier: MIT
/// \file belay/link/status.hpp
/// LinkState, LinkStatus, Transition: the state of a supervised connection, as one value.
/// Lane, SendResult, part::Event: the values that a transport and its supervisor exchange.
/// Input, Step and Actions of timeline: the events and decisions of a supervisor, for proofs.
#pragma once

#include <cstddef>      // std::size_t
#include <cstdint>      // std::uint16_t
#include <optional>     // std::optional
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
    /// The state of the link.
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
    /// The state before.
    LinkState from = LinkState::stopped;
    /// The state after.
    LinkStatus to{};
};

/// A coarser view of a LinkStatus, for user interfaces.
struct Connectivity {
    /// The activities of a link.
    enum class Kind : std::uint8_t {
        connected,
        disconnected,  ///< until the first retry has failed; see `since` and `reason`
        reconnecting   ///< after that; see `attempt`
    };
    /// The activity of the link, in one word.
    Kind kind = Kind::disconnected;
    /// When that began.
    Instant since = never;
    /// Why it is not connected.
    Failure reason{};
    /// The number of the attempt, from 1; 0 while there is none.
    std::uint32_t attempt = 0;
};

/// Returns the name of a kind, as in the enumeration.   Complexity: O(1).
[[nodiscard]] constexpr std::string_view to_string(Connectivity::Kind kind) noexcept {
    constexpr std::string_view names[] = {"connected", "disconnected", "reconnecting"};
    return detail::name_of(kind, names);
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

/// The index of a connection's transport in `Bundle{...}`; 0 outside a bundle.
using Lane = std::uint16_t;

/// The result of sending a message on a connection.
enum class SendResult : std::uint8_t {
    sent,     ///< handed over, which does not mean delivered
    busy,     ///< no capacity now; keep the message: on_writable follows exactly once
    down,     ///< there is no connection to send on; the message is not kept
    rejected  ///< never possible: the message is too long for this transport, or not one that it
              ///< can carry
};

namespace part {

/// The kind of an event.
enum class EventKind : std::uint8_t {
    opened,    ///< the connection is usable
    closed,    ///< the connection ended, or could not be opened; nothing follows
    received,  ///< a whole message
    pong,      ///< a sign of life: an answered ping, or part of a message; see `code`
    writable,  ///< there is capacity again after `busy`
    note,      ///< a decorator's note to itself; see `code`
    report,    ///< a decorator's report to the observer; `code` is a Report
    command,   ///< a command in the supervisor's mailbox; a sift never sees it
    written,   ///< output that waited for capacity has left, at least a part of it
    queued,    ///< the attempt waits in a queue of this side, and does not dial yet
    begun      ///< it dials now
};

/// A measurement that a decorator reports to the observer.
enum class Report : std::uint32_t {
    round_trip,      ///< the time until an answer came: on_round_trip
    policy_conflict  ///< the new time within which a loss is noticed: on_policy_conflict
};

/// One event of a connection, which rises through the decorators to the supervisor.
template <class M>
struct Event {
    /// The kind of the event.
    EventKind kind = EventKind::note;
    /// The number of levels between the sender and the part that looks at the event; 0 at the
    /// sender.
    std::uint8_t depth = 0;
    /// For `closed`: this end gave the connection up while it was open, so what was sent last still
    /// leaves.
    bool closed_locally = false;
    /// For `closed`: this side decided to end the attempt, and it is no failure. For `queued`: so
    /// is the end of its limit.
    bool withdrawn = false;
    /// For `closed`: the failure is that of one endpoint, and another one may accept this side. A
    /// final cause then does not end the link.
    bool has_alternative = false;
    /// For `received` and `pong`: the event proves that the peer is alive. For `opened`: a message
    /// of the peer has passed a check.
    bool proof = false;
    /// The connection of a bundle that it comes from.
    Lane lane = 0;
    /// The attempt to which the event belongs.
    std::uint32_t epoch = 0;
    /// For a note, report or command: its meaning. For a pong: 1 if it answers no ping.
    std::uint32_t code = 0;
    /// For `closed`: its reason. A report or command with a time has it in `retry_after`.
    Failure failure{};
    /// For `received`, and for the command that posts a message: the message.
    std::optional<M> message{};

    /// Returns whether it carries a message.
    [[nodiscard]] constexpr bool is_message() const noexcept { return message.has_value(); }
    /// Returns whether it is a control event that adds nothing to `other`; see driver::Mailbox.
    [[nodiscard]] constexpr bool same_control(const Event& other) const noexcept {
        return kind == other.kind && kind != EventKind::command && !message && !other.message &&
               depth == other.depth && lane == other.lane && epoch == other.epoch &&
               code == other.code && withdrawn == other.withdrawn;
    }
};

}  // namespace part

namespace timeline {

/// The kinds of event that can happen to a supervisor.
enum class Input : std::uint8_t {
    start,
    stop,
    gates,          ///< Step::gates is the new set of shut gates; gates new to it take effect after
                    ///< Step::within
    credentials,    ///< there are new credentials
    reconnect_now,  ///< the user does not want to wait; see Step::force
    drain,          ///< nothing more is sent; sent messages may leave within Step::within
    queued,         ///< the attempt waits in a queue of this side, and does not dial yet
    begun,          ///< it dials now, and its limit begins anew
    opened,         ///< the live connection is open and validated; see Step::proof
    alive,          ///< the peer has sent a message, or answered a ping, on the open connection
    closed,         ///< the live connection ended, or could not be opened; see Step::failure
    tick            ///< the deadline has come; at any other time it has no effect
};

/// One event for a timeline::SupervisorCore.
struct Step {
    /// The input of the core.
    Input input = Input::tick;
    /// The failure of an input that has one.
    Failure failure{};
    /// The gates of a command for them.
    std::uint32_t gates = 0;
    /// The time that a command gives.
    Duration within{};
    /// Whether the command overrides the gap between commands.
    bool force = false;
    bool closed_locally = false;  ///< for `closed`: this end gave up an open connection
    /// For `closed`: this side decided it, and it is no failure. For `queued`: so is a late end.
    bool withdrawn = false;
    /// For `closed`: another endpoint may accept what this one did not, so that a final cause does
    /// not end the link. It does if the connection was stable.
    bool has_alternative = false;
    bool proof = false;  ///< for `opened`: a message of the peer has passed a check
    /// For `closed`: the transport had taken a whole message, and this end did not find the loss.
    bool wrote = false;
    /// For `closed`: the transport sends no pings, and this end did not find the loss.
    bool unprobed = false;
};

/// The actions that the supervisor must carry out after a step.
///
/// It carries them out in this order: tear down or drain, dial, notify the observer.
struct Actions {
    bool teardown = false;  ///< end the live connection; its epoch is void
    bool graceful = false;  ///< with a graceful close, which is no failure
    bool drain = false;     ///< close the live connection gracefully; it stays alive meanwhile
    bool dial = false;      ///< open the next connection
    bool excused = false;   ///< the attempt has failed, and the policy does not count it
    bool notify = false;    ///< notify the observer of `change`
    /// The transition, if there was one.
    Transition change{};
};

}  // namespace timeline

}}  // namespace belay
