// SPDX-License-Identifier: MIT
/// \file belay/room/detail/room_client.hpp
/// RoomClient and MultiplexedBase: a client of a room, and a connection of several, for any
/// transport.
#pragma once

#include <cstddef>       // std::size_t
#include <cstdint>       // std::uint64_t
#include <optional>      // std::optional
#include <string>        // std::string
#include <system_error>  // std::error_code
#include <utility>       // std::exchange, std::move
#include <vector>        // std::vector

#include <belay/core/completion.hpp>
#include <belay/core/detail/memory.hpp>
#include <belay/core/order.hpp>
#include <belay/room/access.hpp>
#include <belay/room/detail/client_backlog.hpp>
#include <belay/room/detail/client_connection.hpp>
#include <belay/room/detail/client_core.hpp>
#include <belay/room/detail/connection_core.hpp>
#include <belay/room/detail/user_shares.hpp>
#include <belay/room/room_options.hpp>
#include <belay/room/room_protocol_like.hpp>
#include <belay/room/room_request.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

struct RoomClient;

/// The options and the counter of unsent answer bytes that all clients of a manager share.
struct SharedLimits {
    const RoomOptions& options;
    std::size_t& answers;
};

/// The calls that depend on a client's transport and protocol.
struct RoomClientOps {
    /// Opens the transport, which answers the upgrade: also of a rejected client.
    void (*open)(RoomClient&);
    void (*close)(RoomClient&, const std::error_code& why) noexcept;
    void (*abort)(RoomClient&) noexcept;
    Bytes (*write)(const RoomClient&, const part::RoomMessage&);
    std::vector<Bytes> (*split)(const RoomClient&, BytesView update, std::size_t bytes_max);
    bool (*disjoint)(const RoomClient&, BytesView, BytesView);
    /// Destroys the client: at once, or when its turn is over.
    void (*end)(RoomClient&) noexcept;
};

/// The end of a client or of a multiplexed connection, which may wait until its transport is open.
struct PendingEnd {
    /// Sends the close code for `why` when the transport is open.
    void close_with(const std::error_code& why) noexcept {
        reason = why;
        waits = true;
    }
    /// Returns the reason.   Pre: waits.
    [[nodiscard]] std::error_code take() noexcept {
        waits = false;
        return reason;
    }

    std::error_code reason{};
    bool waits = false;             ///< the close code was not sent yet
    bool reaped = false;            ///< destroyed at the end of the turn
    std::uint64_t close_order = 0;  ///< its place among those that the manager has closed; 0: none
};

/// The work that the clients of a multiplexed connection cause.
struct MultiplexedBacklog {
    std::size_t checking = 0;    ///< the number of clients that wait for a check or a load
    std::size_t held_bytes = 0;  ///< the bytes of held frames and held state vectors
};
/// The next checks of a multiplexed connection that is not read.
struct UnreadPolls {
    Instant send_at = always;  ///< the next try to send
    Instant look_at = always;  ///< the next check for its end
};
/// How RoomAdmission counts a multiplexed connection.
struct AdmissionCount {
    bool empty = false;  ///< as one without clients
    bool waits = false;  ///< as one that waits for its admission
};

/// The part of a MultiplexedConnection that depends on no transport and protocol.
struct MultiplexedBase {
    struct Ops {
        void (*open)(MultiplexedBase&);
        void (*close)(MultiplexedBase&, const std::error_code& why) noexcept;
        void (*abort)(MultiplexedBase&) noexcept;
        void (*end)(MultiplexedBase&) noexcept;
    };

    MultiplexedBase(const Ops& o, RoomSend how, std::uint64_t number, RoomRequest r,
                    const SharedLimits& shared)
        : io{how, shared.options.heartbeat, shared.answers},
          ops{&o},
          id{number},
          request{std::move(r)},
          core{shared.options} {
        io.multiplexed = this;
        io.wake = &waker;
    }

    ClientConnection io;  ///< its clients, its outbox, its rate and its heartbeat
    const Ops* ops;
    const std::uint64_t id;
    RoomRequest request;  ///< the request of the upgrade; its user has all clients
    Waker waker{};
    ConnectionCore core;
    PendingEnd end{};
    UnreadPolls polls{};
    MultiplexedBacklog backlog{};
    AdmissionCount counted{};
    bool pings = false;       ///< the client answers pings
    bool peer_ended = false;  ///< the end arrived, after frames that are not read yet
};

struct RoomBase;

/// How a client counts for its user, for as long as this lives.
struct ClientShare {
    ClientShare(UserShares::Reservation of_all, UserShares::Reservation of_room) noexcept
        : all{std::move(of_all)}, in_room{std::move(of_room)} {}

    UserShares::Reservation all;      ///< among all clients
    UserShares::Reservation in_room;  ///< among those of its room
};
/// The access of a client: what was granted, and the question that is under way.
struct ClientRights {
    /// The check that RoomManager::reauthorize requests.
    enum class Recheck : std::uint8_t { none, queued, under_way };

    [[nodiscard]] bool may_edit() const noexcept { return grant.access == Access::edit; }

    Grant grant{};
    driver::Question<Grant> check;
    std::optional<ClientShare> share{};  ///< of the user; none before the grant, and when it ends
    Instant since = always;              ///< when the client arrived
    Recheck recheck = Recheck::none;
    bool counted = false;  ///< among those of its connection that wait (MultiplexedBacklog)
};

/// One client: one attachment of one user to one room.
///
/// Thread safety: the manager's home thread.
struct RoomClient {
    RoomClient(const RoomClientOps& o, ClientConnection& c, std::uint64_t number, RoomRequest r,
               ClientCore life)
        : ops{&o}, connection{&c}, id{number}, request{std::move(r)}, core{life} {}
    RoomClient(const RoomClient&) = delete;
    RoomClient& operator=(const RoomClient&) = delete;

    /// Returns the id that `accept` returned: its own, or that of its connection.
    [[nodiscard]] std::uint64_t accepted_id() const noexcept {
        return connection->multiplexed != nullptr ? connection->multiplexed->id : id;
    }
    [[nodiscard]] bool is(std::uint64_t other) const noexcept {
        return other == id || other == accepted_id();
    }
    [[nodiscard]] Instant timers() const noexcept {
        return smaller(core.deadline(), backlog.retry_at);
    }
    /// Updates the number of clients of its connection that wait for a check or a load.
    void update_checking() noexcept {
        MultiplexedBase* const shared = connection->multiplexed;
        if (shared == nullptr) return;
        const bool counts = core.takes_check();
        if (std::exchange(rights.counted, counts) == counts) return;
        shared->backlog.checking =
            counts ? shared->backlog.checking + 1 : shared->backlog.checking - 1;
        shared->waker.touch();
    }

    const RoomClientOps* ops;
    ClientConnection* connection;
    const std::uint64_t id;
    RoomRequest request;
    Ref<RoomFrame> address{};  ///< precedes its frames; null: none; empty: nothing is sent
    ClientRights rights{};
    Waker waker{};
    RoomBase* room = nullptr;
    ClientCore core;
    PendingEnd end{};
    ClientBacklog backlog{};
};

/// Returns the key under which the user of a client is counted.
[[nodiscard]] inline std::string share_owner(const RoomClient& client) {
    return share_owner(client.rights.grant.user, client.request.ip);
}

/// Returns the key under which users take turns: the share owner, or else the connection. It is
/// never empty.
[[nodiscard]] inline std::string turn_owner(std::string owner, std::uint64_t accepted_id) {
    return owner.empty() ? "connection " + std::to_string(accepted_id) : owner;
}
[[nodiscard]] inline std::string turn_owner(const RoomClient& client) {
    return turn_owner(share_owner(client), client.accepted_id());
}
[[nodiscard]] inline std::string turn_owner(const MultiplexedBase& connection) {
    return turn_owner(share_owner({}, connection.request.ip), connection.id);
}

inline void ClientConnection::drop_output(RoomClient& client) noexcept {
    if (answer.client == &client) answer.chunks.reset();
    output.drop(client.id);
    client.backlog.lag_from.reset();
    client.backlog.awareness.from.reset();
    static_cast<void>(take_state_vector(client));
    client.backlog.statuses = client.backlog.statuses_held = 0;
}
inline void ClientConnection::hold_state_vector(RoomClient& client, Bytes theirs) {
    static_cast<void>(take_state_vector(client));
    client.backlog.state_vector = std::move(theirs);
    count_held(client.backlog.state_vector->size());
}
inline std::optional<Bytes> ClientConnection::take_state_vector(RoomClient& client) noexcept {
    if (client.backlog.state_vector) count_held(0 - client.backlog.state_vector->size());
    return std::exchange(client.backlog.state_vector, std::nullopt);
}
/// Held state vectors count like held frames, if the connection is multiplexed.
inline void ClientConnection::count_held(std::size_t bytes) noexcept {
    if (multiplexed == nullptr) return;
    multiplexed->backlog.held_bytes += bytes;
    multiplexed->waker.touch();
}

}}}  // namespace belay::detail
