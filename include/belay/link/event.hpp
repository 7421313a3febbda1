// SPDX-License-Identifier: MIT
/// \file belay/link/event.hpp
/// part::Event, Lane, SendResult: the values that a transport and its supervisor exchange.
#pragma once

#include <cstdint>   // std::uint16_t
#include <optional>  // std::optional

#include <belay/core/failure.hpp>

namespace belay { inline namespace BELAY_ABI {

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
    EventKind kind = EventKind::note;
    /// The number of levels between the sender and the part that looks at the event; 0 at the
    /// sender.
    std::uint8_t depth = 0;
    /// For `closed`: this end gave the connection up while it was open, so what was sent last still
    /// leaves.
    bool closed_locally = false;
    /// For `closed`: this side decided to end the attempt, and it is no failure.
    bool withdrawn = false;
    /// For `closed`: the failure is that of one endpoint, and another one may accept this side. A
    /// final cause then does not end the link.
    bool has_alternative = false;
    /// For `received` and `pong`: the event proves that the peer is alive. For `opened`: a message
    /// of the peer has passed a check.
    bool proof = false;
    Lane lane = 0;
    /// The attempt to which the event belongs.
    std::uint32_t epoch = 0;
    /// For a note, report or command: its meaning. For a pong: 1 if it answers no ping.
    std::uint32_t code = 0;
    /// For `closed`: its reason. A report or command with a time has it in `retry_after`.
    Failure failure{};
    /// For `received`, and for the command that posts a message: the message.
    std::optional<M> message{};

    [[nodiscard]] constexpr bool is_message() const noexcept { return message.has_value(); }
    [[nodiscard]] constexpr bool same_control(const Event& other) const noexcept {
        return kind == other.kind && kind != EventKind::command && !message && !other.message &&
               depth == other.depth && lane == other.lane && epoch == other.epoch &&
               code == other.code && withdrawn == other.withdrawn;
    }
};

}  // namespace part

}}  // namespace belay
