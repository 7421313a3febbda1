// SPDX-License-Identifier: MIT
/// \file belay/room/detail/client_backlog.hpp
/// ClientBacklog: what a client has not received yet, without the frames.
#pragma once

#include <cstdint>   // std::uint8_t, std::uint32_t
#include <optional>  // std::optional
#include <utility>   // std::exchange, std::move

#include <belay/core/bytes.hpp>
#include <belay/core/instant.hpp>
#include <belay/room/detail/room_awareness.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The queue in which a client waits for its share of the reply budget.
enum class ReplyQueue : std::uint8_t {
    none,
    whole,   ///< answers that are sent at once
    chunked  ///< answers that are cut as they are sent (ReplyChunker)
};

/// The exchange of awareness with a client.
struct ClientAwareness {
    /// How far it has received the awareness, if not to the end.
    std::optional<AwarenessCursor> from{};
    /// The round in which the client's last awareness is published; 0: other servers have it.
    std::uint32_t round = 0;
    bool introduced = false;  ///< it has sent awareness
    bool returned = false;    ///< it may ignore states whose clocks it has known before
    bool rejected = false;    ///< it and the observer were notified of a state that is too large
};

/// The state that a client has not received yet. RoomDelivery writes it when the connection accepts
/// frames, from the state of that time, so a slow client costs no memory for each change:
///
/// | what              | begins                               | ends                              |
/// |-------------------|--------------------------------------|-----------------------------------|
/// | `lag_from`        | an update does not fit into a budget | all of the difference was written |
/// | `awareness.from`  | awareness is not accepted at once    | the last state was written        |
/// | `state_vector`    | an answer does not fit into a budget | the answer begins, at `retry_at`  |
/// | `queue`           | `state_vector` waits for the budget  | the answer begins, or is dropped  |
/// | `statuses`        | changes are durable                  | each was acknowledged by a frame  |
/// | `statuses_owed`   | changes are rejected, or the client  | the client's next state arrives   |
/// |                   | sends a state vector                 |                                   |
/// | `statuses_held`   | the document has changes that a      | the storage has all changes       |
/// |                   | shared storage may have lost         |                                   |
/// | `requests_state`  | it joins, its room is loaded again,  | its own state is requested        |
/// |                   | or it may edit                       |                                   |
/// | `diverges`        | its history is apart from the room's | never                             |
///
/// The frames that were written wait in the outbox of the connection (ConnectionOutbox).
///
/// Thread safety: a plain value.
struct ClientBacklog {
    /// Whether the time has come to try the answer again. It is returned once.
    [[nodiscard]] bool take_retry(Instant now) noexcept {
        if (retry_at > now) return false;
        retry_at = never;
        return true;
    }
    /// Adds changes that only the answer to a state vector acknowledges.
    void owe_statuses(std::uint32_t changes) noexcept {
        const bool fits = changes <= ~statuses_owed;
        statuses_owed = fits ? statuses_owed + changes : ~std::uint32_t{0};
    }
    /// Returns the changes that this answer acknowledges.
    [[nodiscard]] std::uint32_t take_owed_statuses() noexcept {
        return std::exchange(statuses_owed, 0);
    }
    /// Returns the state vector before the first missed update.   Pre: lag_from.
    [[nodiscard]] Bytes take_lag() noexcept {
        Bytes had = std::move(*lag_from);
        lag_from.reset();
        return had;
    }

    /// The state vector before the first update that it missed, and that it was not sent since.
    std::optional<Bytes> lag_from{};
    ClientAwareness awareness{};
    /// A state vector that waits for its answer. Set it by ClientConnection::hold_state_vector.
    std::optional<Bytes> state_vector{};
    /// Durable changes of this client that are not acknowledged yet.
    std::uint32_t statuses = 0;
    /// Changes that only the answer to a state vector acknowledges.
    std::uint32_t statuses_owed = 0;
    /// The next try to answer `state_vector`, or to continue an answer.
    Instant retry_at = never;
    /// The queue of `state_vector`.
    ReplyQueue queue = ReplyQueue::none;
    /// The client's own state is requested when its room is loaded, and there is space for it.
    bool requests_state = false;
    /// The observer was notified that the client's history is apart from the room's.
    bool diverges = false;
    /// Changes that are acknowledged when a shared storage surely has all of the document.
    std::uint32_t statuses_held = 0;
};

}}}  // namespace belay::detail
