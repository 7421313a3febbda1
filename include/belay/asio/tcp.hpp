// SPDX-License-Identifier: MIT
/// \file belay/asio/tcp.hpp
/// AsioTcp: a transport over TCP sockets of asio that carries whole messages.
#pragma once

#include <concepts>     // std::same_as
#include <memory>       // std::make_shared
#include <string_view>  // std::string_view
#include <utility>      // std::move

#include <belay/asio/detail/tcp_stream.hpp>
#include <belay/link/framings.hpp>
#include <belay/link/transport_like.hpp>
#include <belay/posix/endpoint.hpp>
#include <belay/posix/resolver_like.hpp>

namespace belay { inline namespace BELAY_ABI {

/// Options for the connections of AsioTcp.
struct AsioTcpOptions {
    /// The most output that may wait for the kernel before send() returns busy. If none waits, a
    /// message of any legal length is accepted.
    std::size_t output_bytes_max = std::size_t{1} << 20;
    /// How long an address of a name that did not answer is tried last. 0 ns: not at all.
    Duration silent_for = detail::DialMemory::default_time;
    /// The resolver of names, which must outlive the transport. Without one, all transports of the
    /// context share a posix::Resolver, or on Windows the resolver of asio.
    posix::ResolverRef resolver{};
    /// Whether TLS accepts any certificate, of any server, without verification. For tests.
    bool insecure_no_verify = false;
};

/// Connects to an endpoint through an io_context of Boost.Asio or of the standalone asio.
///
/// Include <belay/asio/boost.hpp> or <belay/asio/standalone.hpp>.
///
/// It does for an io_context what posix::Tcp does for a posix::Loop. It has the same framings
/// (`AsioTcp{context, server, Lines{}}`) and sends the same bytes. Names are looked up without
/// blocking, and their addresses race (RFC 8305). It neither reconnects nor queues: the Supervisor
/// does that. Wrap it in a Heartbeat: TCP alone does not notice a peer that is frozen or cut off.
///
/// With a path it connects to a Unix domain socket, as posix::Unix does:
/// `AsioTcp{context, posix::UnixPath{"/run/app.sock"}}`. With an ssl::context it uses TLS:
/// `AsioTcp{context, tls, server}`; include <belay/asio/tls.hpp>. `Over` follows from the
/// arguments.
///
/// Models:        TransportLike; its connections have close(), resume_reading(), limit_messages(),
///                limit_output(), and ping() where the framing has one.
/// Thread safety: the thread that runs the context. The context must outlive it.
template <class Context, FramingLike Framing = LengthPrefixed, class Over = detail::OverTcp>
class AsioTcp {
    static_assert(detail::known_asio<Context>());
    using Where = typename Over::Where;
    using Layer = typename Over::Layer;

public:
    using message_type = Bytes;

    /// One connection. Its destructor closes the socket and reports nothing.
    /// Models: ConnectionLike.
    class Connection {
        using Stream = detail::AsioTcpStream<Context, Framing, Over>;

    public:
        Connection(AsioTcp& owner, const Where& endpoint, const Link<Bytes>& link)
            : stream_{std::make_shared<Stream>(
                  *owner.context_, owner.framing_, owner.options_.output_bytes_max, link,
                  Layer{owner.trust_, endpoint, owner.options_.insecure_no_verify})} {
            stream_->dial(endpoint, link, owner.memory_, owner.options_.silent_for,
                          owner.options_.resolver);
        }
        Connection(const Connection&) = delete;
        Connection& operator=(const Connection&) = delete;
        ~Connection() { stream_->abandon(); }

        /// Sends a message, as posix::SocketConnection::send does.
        [[nodiscard]] SendResult send(const Bytes& message) noexcept {
            return stream_->send(message);
        }
        void ping() noexcept
            requires detail::PutsPing<Framing>
        {
            stream_->ping();
        }
        void limit_messages(std::size_t bytes) noexcept { stream_->limit_messages(bytes); }
        void limit_output(std::size_t bytes) noexcept { stream_->limit_output(bytes); }
        void resume_reading() noexcept { stream_->resume_reading(); }
        [[nodiscard]] Instant deadline() const noexcept { return stream_->deadline(); }
        /// Continues the dial of a name.
        void advance(Turn& turn) { stream_->advance(turn.now); }
        /// Writes what waits, ends the sending side, and reports Link::closed when the peer has
        /// ended, too.
        void close(const Failure& why) noexcept { stream_->close(why); }

    private:
        std::shared_ptr<Stream> stream_;
    };

    AsioTcp(Context& context, Where endpoint, Framing framing = {}, AsioTcpOptions options = {})
        : context_{&context},
          endpoint_{std::move(endpoint)},
          framing_{std::move(framing)},
          options_{options} {}
    AsioTcp(Context& context, Where endpoint, AsioTcpOptions options)
        requires(!Over::is_tls && std::default_initializable<Framing>)
        : AsioTcp{context, std::move(endpoint), Framing{}, options} {}
    /// Connects with TLS; see tls.hpp. `tls` must outlive the transport and its connections.
    template <class Tls>
        requires(Over::is_tls)
    AsioTcp(Context& context, Tls& tls, Where endpoint, Framing framing = {},
            AsioTcpOptions options = {})
        : context_{&context},
          trust_{tls.native_handle()},
          endpoint_{std::move(endpoint)},
          framing_{std::move(framing)},
          options_{options} {}
    template <class Tls>
        requires(Over::is_tls && std::default_initializable<Framing>)
    AsioTcp(Context& context, Tls& tls, Where endpoint, AsioTcpOptions options)
        : AsioTcp{context, tls, std::move(endpoint), Framing{}, options} {}

    /// Starts to connect; reports the result by `link`.   Throws: std::bad_alloc, and what asio
    /// throws.
    [[nodiscard]] Connection open(const Link<Bytes>& link) { return open(link, endpoint_); }
    /// Starts to connect to another endpoint.
    [[nodiscard]] Connection open(const Link<Bytes>& link, const Where& endpoint) {
        return Connection{*this, endpoint, link};
    }

    /// Returns the address that is dialled.
    [[nodiscard]] const Where& endpoint() const noexcept { return endpoint_; }
    /// Sets the endpoint of the next attempt.
    void set_endpoint(Where endpoint) noexcept { endpoint_ = std::move(endpoint); }
    /// Returns the addresses that the last dial of a name tried in vain, each with its own cause,
    /// as posix::Tcp::dial_report does.
    [[nodiscard]] std::string_view dial_report() const noexcept { return memory_.text(); }

private:
    Context* context_;
    [[no_unique_address]] typename Over::Trust trust_{};
    Where endpoint_;
    Framing framing_;
    AsioTcpOptions options_;
    detail::OwnDialMemory memory_{};
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
template <class Context>
AsioTcp(Context&, posix::UnixPath) -> AsioTcp<Context, LengthPrefixed, detail::OverUnix>;
template <class Context>
AsioTcp(Context&, posix::UnixPath, AsioTcpOptions)
    -> AsioTcp<Context, LengthPrefixed, detail::OverUnix>;
template <class Context, class Framing>
    requires(!std::same_as<Framing, AsioTcpOptions>)
AsioTcp(Context&, posix::UnixPath, Framing) -> AsioTcp<Context, Framing, detail::OverUnix>;
template <class Context, class Framing>
AsioTcp(Context&, posix::UnixPath, Framing, AsioTcpOptions)
    -> AsioTcp<Context, Framing, detail::OverUnix>;

}}  // namespace belay
