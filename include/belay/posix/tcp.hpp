// SPDX-License-Identifier: MIT
/// \file belay/posix/tcp.hpp
/// posix::Tcp: a transport over TCP that carries whole messages.
#pragma once

#include <utility>  // std::move

#include <belay/link/transport_like.hpp>
#include <belay/posix/detail/tcp_connection.hpp>

namespace belay::inline BELAY_ABI::posix {

/// Dials an endpoint; messages are Bytes, in frames with their length in front.
///
/// Non-blocking, but for the look-up of names. An endpoint with several addresses is tried at one
/// after the other. Every limit of TcpOptions holds in both directions: a peer that sends too
/// much in one frame, or garbage, is closed with Cause::protocol.
///
/// Wrap it in a Heartbeat: TCP alone does not notice a peer that is frozen or cut off.
///
/// Models:        TransportLike; its connections have close(), ping() and resume_reading().
/// Thread safety: the loop's thread. The loop must live as long as connections are opened.
/// Format:        docs/posix.md, "Frames".
class Tcp {
public:
    using message_type = Bytes;

    /// Pre: options.message_bytes_max fits 32 bits.
    Tcp(Poller& loop, Endpoint endpoint, TcpOptions options = {})
        : poller_{&loop}, endpoint_{std::move(endpoint)}, options_{options} {
        BELAY_PRECONDITION(options.message_bytes_max <= 0xFFFF'FFFFU,
                           "Tcp::Tcp: message_bytes_max must fit 32 bits");
    }

    /// Starts to connect; reports by `link`.   Throws: std::bad_alloc.
    [[nodiscard]] TcpConnection open(const Link<Bytes>& link) {
        return {*poller_, endpoint_, options_, link};
    }

    [[nodiscard]] const Endpoint& endpoint() const noexcept { return endpoint_; }
    /// Where the next attempt goes.
    void set_endpoint(Endpoint endpoint) noexcept { endpoint_ = std::move(endpoint); }

private:
    Poller* poller_;
    Endpoint endpoint_;
    TcpOptions options_;
};

}  // namespace belay::inline BELAY_ABI::posix
