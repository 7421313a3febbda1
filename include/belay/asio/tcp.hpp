// SPDX-License-Identifier: MIT
/// \file belay/asio/tcp.hpp
/// AsioTcp: a transport over TCP sockets of asio that carries whole messages.
#pragma once

#include <array>        // std::array
#include <concepts>     // std::same_as
#include <memory>       // std::make_shared, std::enable_shared_from_this
#include <new>          // std::bad_alloc
#include <string_view>  // std::string_view
#include <utility>      // std::move, std::exchange

#include <belay/asio/detail/asio_of.hpp>
#include <belay/asio/detail/dial.hpp>
#include <belay/link/detail/stream_connection.hpp>
#include <belay/link/framings.hpp>
#include <belay/link/transport_like.hpp>
#include <belay/posix/endpoint.hpp>
#include <belay/posix/resolver_like.hpp>

#if !defined(_WIN32)
#    include <belay/posix/detail/addresses.hpp>
#endif

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The connection of an AsioTcp: over TCP, unless its constructor receives something else.
struct OverTcp {
    using Where = posix::Endpoint;
    template <class Asio>
    using Socket = typename Asio::Tcp::socket;
    static constexpr bool is_tls = false;
    struct Trust {};
    struct Layer {
        Layer(Trust, const auto&, bool) noexcept {}
    };
};
struct OverUnix : OverTcp {
    using Where = posix::UnixPath;
    template <class Asio>
    using Socket = typename Asio::Local::socket;
};

/// One connection over asio. Every handler holds a reference, and does nothing after the
/// connection has ended: asio calls cancelled handlers later, and calls queued ones with success.
///
/// It waits until the socket is readable or writable, and then reads or writes by itself.
/// asio never holds a buffer, so messages may be added at any time.
///
/// Thread safety: the thread that runs the context.
template <class Context, FramingLike Framing, class Over>
class AsioTcpStream : public StreamConnection<AsioTcpStream<Context, Framing, Over>, Framing>,
                      public std::enable_shared_from_this<AsioTcpStream<Context, Framing, Over>> {
    using Stream = StreamConnection<AsioTcpStream, Framing>;
    friend Stream;
    using Asio = AsioOf<Context>;
    using Tcp = typename Asio::Tcp;
    using Error = typename Asio::Error;
    using Kind = StreamAnswer::Kind;
    using Dial = AsioDial<Context>;
    using Socket = typename Over::template Socket<Asio>;
    using Layer = typename Over::Layer;
    static constexpr bool is_unix = std::same_as<Over, OverUnix>;

public:
    AsioTcpStream(Context& context, const Framing& framing, std::size_t output_bytes_max,
                  const Link<Bytes>& link, Layer layer)
        : Stream{framing, output_bytes_max, link},
          context_{context},
          socket_{context},
          layer_{std::move(layer)} {}

    /// `memory` is that of the transport.
    void dial(const posix::Endpoint& endpoint, const Link<Bytes>& link, OwnDialMemory& memory,
              Duration silent_for, posix::ResolverRef resolver) {
        Error error;
        const auto address = Asio::address(endpoint.host, error);
        if (error) {
            dial_ = std::make_shared<Dial>(context_, link, memory.get(), silent_for);
            return dial_->begin(endpoint, resolver);
        }
        // An address needs no look-up, and no thread for it.
        const typename Tcp::endpoint to{address, endpoint.port};
        open_to_dial<Error>(socket_, to);
        socket_.async_connect(to, [self = this->shared_from_this()](const Error& e) {
            if (!self->over()) self->connected(e);
        });
    }
#if !defined(_WIN32)
    /// Connects to a Unix domain socket, which needs no waiting.
    void dial(const posix::UnixPath& path, const Link<Bytes>&, OwnDialMemory&, Duration,
              posix::ResolverRef) {
        posix::detail::SocketAddress address;
        posix::detail::Socket made;
        std::error_code error = posix::detail::unix_address(path, address);
        // Not async_connect: if the server's queue is full, it reports success.
        if (!error) made = posix::detail::start_to_connect(address, error);
        if (!made) return this->end(posix::detail::unix_failure(path, error));
        Error failed;
        socket_.assign(typename Asio::Local{}, made.get(), failed);
        if (failed) return this->end(Failure::from(Asio::standard(failed)));
        static_cast<void>(made.release());
        Asio::post(context_, [self = this->shared_from_this()] {
            if (!self->over()) self->connected({});
        });
    }
#endif
    [[nodiscard]] Instant deadline() const noexcept { return dial_ ? dial_->deadline() : never; }
    /// Continues the dial of a name.
    void advance(Instant now) {
        if constexpr (!is_unix) {
            if (!dial_ || !dial_->advance(now)) return;
            if (!dial_->socket()) return this->end(Failure{dial_->failure()});
            socket_ = std::move(*dial_->socket());
            end_dial();
            connected({});
        }
    }
    using Stream::abandon;

private:
    // ---- dialling ------------------------------------------------------------------------------

    void end_dial() noexcept {
        if (const std::shared_ptr<Dial> dial = std::exchange(dial_, nullptr)) dial->cancel();
    }
    void connected(const Error& error) {
        if constexpr (!is_unix) {
            const Failure failure = Dial::failure_of(socket_, error);
            if (failure.cause != Cause::none) return this->end(failure);
        }
        Error failed;
        socket_.non_blocking(true, failed);
        if (failed) return this->end(Failure::from(Asio::standard(failed)));
        Error ignored;
        // Without no_delay, small messages would wait for the peer's acknowledgement.
        if constexpr (!is_unix) socket_.set_option(typename Tcp::no_delay{true}, ignored);
        if constexpr (Over::is_tls) {
            with_memory([this] { secure(); });
        } else {
            this->begin();
        }
    }

    // ---- TLS -----------------------------------------------------------------------------------

    /// The socket, as a TlsSession uses it.
    struct Io {
        Socket& socket;

        [[nodiscard]] StreamAnswer read(std::span<std::byte> space) const noexcept {
            Error error;
            const std::size_t n = socket.read_some(Asio::buffer(space), error);
            return answer(n, error);
        }
        [[nodiscard]] StreamAnswer write(BytesView bytes) const noexcept {
            Error error;
            const std::size_t n = socket.write_some(Asio::buffer(bytes), error);
            return answer(n, error);
        }
    };

    /// Calls `f`. Without memory, the connection ends.
    void with_memory(auto&& f) noexcept {
        try {
            f();
        } catch (const std::bad_alloc&) {
            this->end(Failure::from(std::make_error_code(std::errc::not_enough_memory)));
        }
    }
    void secure() {
        Error no_address;
        static_cast<void>(Asio::address(layer_.host, no_address));
        layer_.session.emplace(layer_.context);
        const std::error_code error =
            layer_.session->prepare(layer_.host, !no_address, layer_.no_verify);
        error ? this->end(Failure::from(error)) : handshake();
    }
    void handshake() {
        using Step = typename decltype(layer_.session)::value_type::Step;
        const Step step = layer_.session->handshake(Io{socket_});
        if (step == Step::done) return this->begin();
        if (step == Step::failed) return this->end(Failure{layer_.session->failure()});
        const auto direction = step == Step::awaits_input ? Socket::wait_read : Socket::wait_write;
        socket_.async_wait(direction, [self = this->shared_from_this()](const Error&) {
            if (!self->over()) self->with_memory([&] { self->handshake(); });
        });
    }
    /// Writes the close_notify before the end of the output.
    void end_tls() {
        const bool waits = layer_.session->end_output(Io{socket_}).kind == Kind::would_block;
        if (!waits) return end_stream();
        socket_.async_wait(Socket::wait_write, [self = this->shared_from_this()](const Error&) {
            if (!self->over()) self->with_memory([&] { self->end_tls(); });
        });
    }

    // ---- what StreamConnection requires ---------------------------------------------------------

    void watch(bool input, bool output) {
        if (input && !awaits_input_) {
            const auto read = [self = this->shared_from_this()](const auto&...) {
                self->awaits_input_ = false;
                self->readable();
            };
            has_input() ? Asio::post(context_, read) : socket_.async_wait(Socket::wait_read, read);
            awaits_input_ = true;
        }
        if (output && !awaits_output_) {
            socket_.async_wait(Socket::wait_write, [self = this->shared_from_this()](const Error&) {
                self->awaits_output_ = false;
                self->writable();
            });
            awaits_output_ = true;
        }
    }
    /// Whether input waits that the socket does not have any more.
    [[nodiscard]] bool has_input() const noexcept {
        if constexpr (Over::is_tls) return layer_.session->has_more();
        return false;
    }
    void write_soon() {
        if (awaits_flush_) return;
        Asio::post(context_, [self = this->shared_from_this()] {
            self->awaits_flush_ = false;
            self->flush();
        });
        awaits_flush_ = true;
    }
    void end_output() noexcept {
        if constexpr (Over::is_tls) {
            with_memory([this] { end_tls(); });
        } else {
            end_stream();
        }
    }
    void end_stream() noexcept {
        Error ignored;
        socket_.shutdown(Socket::shutdown_send, ignored);
    }
    void hang_up() noexcept {
        end_dial();
        Error ignored;
        socket_.close(ignored);
    }
    [[nodiscard]] StreamAnswer read_some(std::span<std::byte> space) noexcept {
        if constexpr (Over::is_tls) {
            return layer_.session->read(space, Io{socket_});
        } else {
            return Io{socket_}.read(space);
        }
    }
    [[nodiscard]] StreamAnswer write_some(BytesView bytes) noexcept {
        if constexpr (Over::is_tls) {
            return layer_.session->write(bytes, Io{socket_});
        } else {
            return Io{socket_}.write(bytes);
        }
    }
    [[nodiscard]] StreamAnswer write_both(BytesView header, BytesView message) noexcept {
        if constexpr (Over::is_tls) {
            return {Kind::would_block};  // it encrypts a copy anyway
        } else {
            Error error;
            const std::array both{Asio::buffer(header), Asio::buffer(message)};
            const std::size_t n = socket_.write_some(both, error);
            return answer(n, error);
        }
    }
    [[nodiscard]] static StreamAnswer answer(std::size_t n, const Error& error) noexcept {
        if (Asio::would_block(error)) return {Kind::would_block};
        if (Asio::ended(error) || (!error && n == 0)) return {Kind::ended};
        if (error) return {Kind::failed, 0, Asio::standard(error)};
        return {Kind::moved, n};
    }

    Context& context_;
    bool awaits_input_ = false;
    bool awaits_output_ = false;
    bool awaits_flush_ = false;
    Socket socket_;
    [[no_unique_address]] Layer layer_;
    std::shared_ptr<Dial> dial_;  // of a name, until it is connected
};

}}}  // namespace belay::detail

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

template <class Context, FramingLike Framing = LengthPrefixed>
AsioTcp(Context&, posix::UnixPath, Framing = {}, AsioTcpOptions = {})
    -> AsioTcp<Context, Framing, detail::OverUnix>;
template <class Context>
AsioTcp(Context&, posix::UnixPath, AsioTcpOptions)
    -> AsioTcp<Context, LengthPrefixed, detail::OverUnix>;

}}  // namespace belay
