// SPDX-License-Identifier: MIT
/// \file belay/posix/tcp.hpp
/// posix::Tcp: a transport over TCP that carries whole messages.
#pragma once

#include <concepts>  // std::same_as
#include <utility>   // std::move

#include <belay/link/transport_like.hpp>
#include <belay/posix/detail/tcp_connection.hpp>

namespace belay::inline BELAY_ABI::posix {

/// Dials an endpoint; messages are Bytes, framed as `Framing` says: with their length in front, or
/// `Tcp{loop, server, Lines{.bytes_max = 4096}}`.
///
/// Non-blocking, but for the look-up of names. An endpoint with several addresses is tried at one
/// after the other. Limits hold in both directions: a peer that sends too much in one message, or
/// garbage, is closed with Cause::protocol.
///
/// Wrap it in a Heartbeat: TCP alone does not notice a peer that is frozen or cut off.
///
/// Models:        TransportLike; its connections have close(), resume_reading(), limit_messages(),
///                and ping() where the framing has one.
/// Thread safety: the loop's thread. The loop must live as long as connections are opened.
/// Format:        docs/posix.md, "Frames".
template <FramingLike Framing = LengthPrefixed>
class Tcp {
public:
    using message_type = Bytes;

    Tcp(Poller& loop, Endpoint endpoint, Framing framing = {}, TcpOptions options = {})
        : poller_{&loop},
          endpoint_{std::move(endpoint)},
          framing_{std::move(framing)},
          options_{options} {}
    Tcp(Poller& loop, Endpoint endpoint, TcpOptions options)
        requires std::default_initializable<Framing>
        : Tcp{loop, std::move(endpoint), Framing{}, options} {}

    /// Starts to connect; reports by `link`.   Throws: std::bad_alloc.
    [[nodiscard]] TcpConnection<Framing> open(const Link<Bytes>& link) {
        return {*poller_, endpoint_, framing_, options_, link};
    }

    [[nodiscard]] const Endpoint& endpoint() const noexcept { return endpoint_; }
    /// Where the next attempt goes.
    void set_endpoint(Endpoint endpoint) noexcept { endpoint_ = std::move(endpoint); }

private:
    Poller* poller_;
    Endpoint endpoint_;
    Framing framing_;
    TcpOptions options_;
};

template <class Loop>
Tcp(Loop&, Endpoint) -> Tcp<>;
template <class Loop>
Tcp(Loop&, Endpoint, TcpOptions) -> Tcp<>;
template <class Loop, class Framing>
    requires(!std::same_as<Framing, TcpOptions>)
Tcp(Loop&, Endpoint, Framing) -> Tcp<Framing>;
template <class Loop, class Framing>
Tcp(Loop&, Endpoint, Framing, TcpOptions) -> Tcp<Framing>;

}  // namespace belay::inline BELAY_ABI::posix
