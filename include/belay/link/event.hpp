// SPDX-License-Identifier: MIT
/// \file belay/link/event.hpp
/// Event, Lane, SendResult: what travels between a transport and its supervisor.
#pragma once

#include <cstdint>   // std::uint16_t
#include <optional>  // std::optional

#include <belay/core/failure.hpp>

namespace belay { inline namespace BELAY_ABI {

/// Which connection of a bundle: the index of the transport in `Bundle{...}`; 0 where there is one.
using Lane = std::uint16_t;

/// What became of a message given to a connection.
enum class SendResult : std::uint8_t {
    sent,    ///< handed over; not: delivered
    busy,    ///< no room now: keep it; on_writable follows exactly once
    down,    ///< there is no connection to send on; the message is not kept
    refused  ///< never: it is too long for this transport, or nothing that it can carry
};

namespace part {

/// What an event says.
enum class EventKind : std::uint8_t {
    opened,    ///< the connection is usable
    closed,    ///< it ended, or could not be opened; nothing follows
    received,  ///< a whole message
    pong,      ///< a sign of life: an answered ping, or part of a message; see `code`
    writable,  ///< there is room again after `busy`
    note,      ///< a decorator's note to itself; see `code`
    report,    ///< what a decorator tells the observer; `code` is a Report
    command    ///< of the supervisor's own mailbox; never seen by a sift
};

/// What a decorator can tell an observer, beside what its connection says.
enum class Report : std::uint32_t {
    round_trip,      ///< how long an answer took: on_round_trip
    policy_conflict  ///< how long a loss goes unnoticed from now on: on_policy_conflict
};

/// One thing that a connection reports; it rises through the decorators to the supervisor.
///
/// Thread safety: a plain value.
template <class M>
struct Event {
    EventKind kind = EventKind::note;
    /// How many levels below the root its sender is; 0 at the part that sent it.
    std::uint8_t depth = 0;
    /// Of `closed`: given up at this end, while the connection is open; what it was given last is
    /// still sent.
    bool goodbye = false;
    Lane lane = 0;
    /// The attempt that it belongs to.
    std::uint32_t epoch = 0;
    /// Of a note, report or command. Of a pong: 1 if it answers no ping.
    std::uint32_t code = 0;
    /// Of `closed`. A report or command that tells a time has it in `retry_after`.
    Failure failure{};
    /// Of `received`, and of the command that posts a message.
    std::optional<M> message{};

    [[nodiscard]] constexpr bool is_message() const noexcept { return message.has_value(); }
    [[nodiscard]] constexpr bool same_control(const Event& other) const noexcept {
        return kind == other.kind && kind != EventKind::command && !message && !other.message &&
               depth == other.depth && lane == other.lane && epoch == other.epoch &&
               code == other.code;
    }
};

}  // namespace part

}}  // namespace belay
