// SPDX-License-Identifier: MIT
/// \file belay/room/detail/room_client.hpp
/// RoomClient: a client of a room, for any transport and protocol.
#pragma once

#include <cstddef>       // std::size_t
#include <cstdint>       // std::uint64_t, std::uint8_t, std::uint32_t
#include <optional>      // std::optional
#include <string>        // std::string
#include <system_error>  // std::error_code
#include <utility>       // std::exchange, std::move

#include <belay/core/bytes.hpp>
#include <belay/core/completion.hpp>
#include <belay/core/detail/memory.hpp>
#include <belay/core/instant.hpp>
#include <belay/core/order.hpp>
#include <belay/room/authorizer_like.hpp>
#include <belay/room/detail/account.hpp>
#include <belay/room/detail/client_connection.hpp>
#include <belay/room/detail/client_core.hpp>
#include <belay/room/detail/room_awareness.hpp>
#include <belay/room/room_options.hpp>
#include <belay/room/room_protocol_like.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Whether a time has come. It is `never` then, so that this is returned once.
[[nodiscard]] inline bool take_due(Instant& at, Instant now) noexcept {
    if (at > now) return false;
    at = never;
    return true;
}

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
    /// Adds changes that only the answer to a state vector acknowledges.
    void owe_statuses(std::uint32_t changes) noexcept {
        const bool fits = changes <= ~statuses_owed;
        statuses_owed = fits ? statuses_owed + changes : ~std::uint32_t{0};
    }

    /// The state vector before the first update that it missed, and that it was not sent since.
    std::optional<Bytes> lag_from{};
    ClientAwareness awareness{};
    /// A state vector that waits for its answer. Set it by RoomClient::hold_state_vector.
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

struct RoomBase;

/// The access of a client: what was granted, and the question that is under way.
struct ClientRights {
    /// The check that RoomManager::reauthorize requests.
    enum class Recheck : std::uint8_t { none, queued, under_way };

    [[nodiscard]] bool may_edit() const noexcept { return grant.access == Access::edit; }

    Grant grant{};
    driver::Question<Grant> check;
    /// The account of its user in its room. Before the grant, it is that of its connection.
    Ref<RoomAccount> account{};
    Holding place{};         ///< from the grant until it is closed
    Instant since = always;  ///< when the client arrived
    Recheck recheck = Recheck::none;
    bool counted = false;  ///< among those of its connection that wait (ChannelTable::checking)
};

/// One client: one attachment of one user to one room.
///
/// Thread safety: the manager's home thread.
struct RoomClient {
    RoomClient(ClientConnection& c, std::uint64_t number, RoomRequest& r, Waker& w, ClientCore life)
        : connection{&c}, id{number}, request{r}, waker{w}, core{life} {}
    RoomClient(const RoomClient&) = delete;
    RoomClient& operator=(const RoomClient&) = delete;

    /// Whether the id is its own, or that of its connection.
    [[nodiscard]] bool is(std::uint64_t other) const noexcept {
        return other == id || other == connection->id;
    }
    [[nodiscard]] Bytes write(const part::RoomMessage& message) const {
        return connection->ops->write(*connection, message);
    }
    /// Keeps its state vector, to be answered later.
    void hold_state_vector(Bytes theirs) {
        static_cast<void>(take_state_vector());
        count_held(theirs.size());
        backlog.state_vector = std::move(theirs);
    }
    /// Returns the held state vector, if there is one.
    std::optional<Bytes> take_state_vector() noexcept {
        if (backlog.state_vector) count_held(0 - backlog.state_vector->size());
        return std::exchange(backlog.state_vector, std::nullopt);
    }
    /// Updates the number of clients of its connection that wait for a check or a load.
    void update_checking() noexcept;

    ClientConnection* connection;
    const std::uint64_t id;    ///< that of its connection, unless the frames have addresses
    RoomRequest& request;      ///< likewise
    Waker& waker;              ///< likewise
    Ref<RoomFrame> address{};  ///< precedes its frames; null: none; empty: nothing is sent
    ClientRights rights{};
    RoomBase* room = nullptr;
    ClientCore core;
    std::error_code end_reason{};
    ClientBacklog backlog{};

private:
    void count_held(std::size_t bytes) noexcept;
};

/// Reads nothing from a client until its room is loaded. Frames with addresses are read and held.
inline void pause_reading(RoomClient& client) noexcept {
    if (!client.connection->has_addresses()) client.connection->rate.read_at = never;
}
/// Returns the user of a connection; empty if it is not known, or has no name.
[[nodiscard]] inline const std::string& user_of(const ClientConnection& connection) noexcept {
    static const std::string none{};
    for (const RoomClient* const client : connection.clients)
        if (!client->rights.grant.user.empty()) return client->rights.grant.user;
    return none;
}

inline void ClientConnection::drop_output(RoomClient& client) noexcept {
    if (output.answer.client == &client) output.answer.chunks.reset();
    output.drop(client.id);
    client.backlog.lag_from.reset();
    client.backlog.awareness.from.reset();
    static_cast<void>(client.take_state_vector());
    client.backlog.statuses = client.backlog.statuses_held = 0;
}

}}}  // namespace belay::detail
