// SPDX-License-Identifier: MIT
/// \file belay/adapter/asio_tcp.hpp
/// AsioTcp: a transport over asio's TCP sockets that carries whole messages.
#pragma once

#include <concepts>  // std::same_as
#include <memory>    // std::make_shared
#include <utility>   // std::move

#include <belay/adapter/detail/asio_tcp_wire.hpp>
#include <belay/link/length_prefixed.hpp>
#include <belay/link/transport_like.hpp>

namespace belay { inline namespace BELAY_ABI {

/// How connections of AsioTcp are tuned.
struct AsioTcpOptions {
    /// Output that may wait for the kernel, before send() answers busy. When none waits, a message
    /// of any legal length is taken.
    std::size_t output_bytes_max = std::size_t{1} << 20;
};

/// Dials an endpoint by the sockets of an io_context, of Boost.Asio or of the standalone asio:
/// include <belay/adapter/boost_asio.hpp> or <belay/adapter/standalone_asio.hpp>.
///
/// What posix::Tcp is on a posix::Loop, with its framings (`AsioTcp{context, server, Lines{}}`)
/// and bytes on the wire; names are looked up without blocking. It neither reconnects nor queues:
/// that is the Supervisor's. Wrap it in a Heartbeat: TCP alone does not notice a peer that
/// is frozen or cut off. TLS and WebSockets: beast_websocket.hpp.
///
/// Models:        TransportLike; its connections have close(), resume_reading(), limit_messages(),
///                limit_output(), and ping() where the framing has one.
/// Thread safety: the thread that runs the context, which must outlive it.
template <class Context, FramingLike Framing = LengthPrefixed>
class AsioTcp {
    static_assert(detail::known_asio<Context>());

public:
    using message_type = Bytes;

    /// One connection. Its end closes the socket, and calls nobody.
    class Connection {
        using Wire = detail::AsioTcpWire<Context, Framing>;

    public:
        Connection(const AsioTcp& owner, const posix::Endpoint& endpoint, const Link<Bytes>& link)
            : wire_{std::make_shared<Wire>(*owner.context_, owner.framing_,
                                           owner.options_.output_bytes_max, link)} {
            wire_->dial(endpoint);
        }
        Connection(const Connection&) = delete;
        Connection& operator=(const Connection&) = delete;
        ~Connection() { wire_->abandon(); }

        /// As posix::TcpConnection::send.
        [[nodiscard]] SendResult send(const Bytes& message) noexcept {
            return wire_->send(message);
        }
        void ping() noexcept
            requires detail::PutsPing<Framing>
        {
            wire_->ping();
        }
        void limit_messages(std::size_t bytes) noexcept { wire_->limit_messages(bytes); }
        void limit_output(std::size_t bytes) noexcept { wire_->limit_output(bytes); }
        void resume_reading() noexcept { wire_->resume_reading(); }
        /// Writes what waits, says goodbye, and reports Link::closed when the peer has said so too.
        void close(const Failure& why) noexcept { wire_->close(why); }

    private:
        std::shared_ptr<Wire> wire_;
    };

    AsioTcp(Context& context, posix::Endpoint endpoint, Framing framing = {},
            AsioTcpOptions options = {})
        : context_{&context},
          endpoint_{std::move(endpoint)},
          framing_{std::move(framing)},
          options_{options} {}
    AsioTcp(Context& context, posix::Endpoint endpoint, AsioTcpOptions options)
        requires std::default_initializable<Framing>
        : AsioTcp{context, std::move(endpoint), Framing{}, options} {}

    /// Starts to connect; reports by `link`.   Throws: std::bad_alloc, and what asio throws.
    [[nodiscard]] Connection open(const Link<Bytes>& link) { return open(link, endpoint_); }
    /// The same to another endpoint.
    [[nodiscard]] Connection open(const Link<Bytes>& link, const posix::Endpoint& endpoint) {
        return Connection{*this, endpoint, link};
    }

    [[nodiscard]] const posix::Endpoint& endpoint() const noexcept { return endpoint_; }
    /// Where the next attempt goes.
    void set_endpoint(posix::Endpoint endpoint) noexcept { endpoint_ = std::move(endpoint); }

private:
    Context* context_;
    posix::Endpoint endpoint_;
    Framing framing_;
    AsioTcpOptions options_;
};

template <class Context>
AsioTcp(Context&, posix::Endpoint) -> AsioTcp<Context>;
template <class Context>
AsioTcp(Context&, posix::Endpoint, AsioTcpOptions) -> AsioTcp<Context>;
template <class Context, class Framing>
    requires(!std::same_as<Framing, AsioTcpOptions>)
AsioTcp(Context&, posix::Endpoint, Framing) -> AsioTcp<Context, Framing>;
template <class Context, class Framing>
AsioTcp(Context&, posix::Endpoint, Framing, AsioTcpOptions) -> AsioTcp<Context, Framing>;

}}  // namespace belay
