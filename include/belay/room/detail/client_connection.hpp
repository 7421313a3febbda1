// SPDX-License-Identifier: MIT
/// \file belay/room/detail/client_connection.hpp
/// ClientConnection: a connection of one client, or of several, for any transport and protocol.
#pragma once

#include <cstddef>       // std::size_t
#include <cstdint>       // std::uint64_t
#include <span>          // std::span
#include <system_error>  // std::error_code
#include <utility>       // std::move
#include <vector>        // std::vector

#include <belay/core/machine_like.hpp>
#include <belay/core/order.hpp>
#include <belay/link/heartbeat_options.hpp>
#include <belay/link/status.hpp>
#include <belay/room/detail/connection_core.hpp>
#include <belay/room/detail/connection_outbox.hpp>
#include <belay/room/detail/read_rate.hpp>
#include <belay/room/room_options.hpp>
#include <belay/room/room_protocol_like.hpp>
#include <belay/room/room_request.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

class ChannelTable;
struct ClientConnection;
struct RoomChannel;
struct RoomClient;

/// The options and the counter of unsent answer bytes that all clients of a manager share.
struct SharedLimits {
    const RoomOptions& options;
    std::size_t& answers;
};

/// The calls that depend on the transport and the protocol of a connection. All connections with
/// the same types have the same table.
struct ConnectionOps {
    /// Opens the transport, which answers the upgrade: also of a rejected client.
    void (*open)(ClientConnection&);
    void (*close)(ClientConnection&, const std::error_code& why) noexcept;
    void (*abort)(ClientConnection&) noexcept;
    /// Sends a frame, after its address if there is one.
    SendResult (*send)(ClientConnection&, const RoomFrame* address, const Bytes& frame);
    Bytes (*write)(const ClientConnection&, const part::RoomMessage&);
    std::vector<Bytes> (*split)(const ClientConnection&, BytesView update, std::size_t bytes_max);
    bool (*disjoint)(const ClientConnection&, BytesView, BytesView);
    /// Runs the turn of one of its channels.
    void (*serve)(RoomChannel&);
    /// Destroys the connection: at once, or when its turn is over.
    void (*end)(ClientConnection&) noexcept;
};

/// When a connection without traffic is kept alive, and when a silent peer is lost.
struct ConnectionHeartbeat {
    explicit ConnectionHeartbeat(const HeartbeatOptions& options) : pulse{options} {}

    /// Something was sent: the next keepalive is a full interval away.
    void note_sent(Instant now) noexcept { keepalive_at = after(now, pulse.options().every); }
    void rest() noexcept {
        keepalive_at = never;
        pulse.rest();
    }
    [[nodiscard]] Instant deadline() const noexcept {
        return smaller(keepalive_at, pulse.deadline());
    }

    Pulse pulse;
    Instant keepalive_at = never;  ///< the next keepalive
};

/// How a connection ends.
struct ConnectionEnd {
    std::error_code why{};          ///< the reason of the close code
    std::uint64_t close_order = 0;  ///< its place among those that the manager has closed; 0: none
    bool arrived = false;           ///< it arrived, after frames that are not read yet
    bool failed = false;            ///< nothing more is sent on it; it is closed in this turn
    bool reaped = false;            ///< the connection is destroyed at the end of the turn
};

/// A connection, the output that waits for it, and its clients. If the frames of its protocol have
/// addresses, each of its documents is a client (RoomChannel). Otherwise it has one client for as
/// long as it lives, and the upgrade is answered when that client is admitted.
///
/// Thread safety: the manager's home thread.
struct ClientConnection {
    ClientConnection(const ConnectionOps& o, std::uint64_t number, RoomRequest r,
                     const SharedLimits& shared)
        : ops{&o},
          id{number},
          request{std::move(r)},
          core{shared.options},
          output{shared.answers},
          alive{shared.options.heartbeat} {}
    ClientConnection(const ClientConnection&) = delete;
    ClientConnection& operator=(const ClientConnection&) = delete;

    [[nodiscard]] bool has_addresses() const noexcept { return channels != nullptr; }
    /// The connection has accepted a frame.
    void note_sent(std::size_t bytes, Instant now) noexcept {
        output.pace.accept(bytes);
        alive.note_sent(now);
    }
    /// Ends all timers, and drops the output.
    void stop_waiting() noexcept {
        alive.rest();
        output.clear();
    }
    /// Drops everything that waits to be sent to a client.
    void drop_output(RoomClient& client) noexcept;

    const ConnectionOps* ops;
    const std::uint64_t id;  ///< what `accept` returned
    RoomRequest request;     ///< the request of the upgrade; its user has all clients
    Waker waker{};
    ConnectionCore core;
    ConnectionEnd end{};
    std::span<RoomClient*> clients{};  ///< in the RoomConnection
    ChannelTable* channels = nullptr;  ///< null: the frames have no addresses
    ConnectionOutbox output;
    ConnectionHeartbeat alive;
    ReadRate rate{};
};

}}}  // namespace belay::detail
