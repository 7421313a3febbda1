// SPDX-License-Identifier: MIT
/// \file belay/beast/any_websocket.hpp
/// beast::AnyWebSocket: a WebSocket client that is compiled in a source file of its own; needs
/// Boost 1.74 or later.
#pragma once

#include <memory>       // std::shared_ptr, std::unique_ptr
#include <string>       // std::string
#include <string_view>  // std::string_view
#include <utility>      // std::move

#include <belay/asio/boost.hpp>
#include <belay/beast/websocket_options.hpp>
#include <belay/core/bytes.hpp>
#include <belay/core/failure.hpp>
#include <belay/core/random.hpp>
#include <belay/link/link.hpp>
#include <belay/link/status.hpp>
#include <belay/posix/endpoint.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// A connection, of a stream of any type. BeastConnection describes the functions.
class AnyConnection {
public:
    virtual ~AnyConnection() = default;

    virtual SendResult send(const Bytes& message) noexcept = 0;
    virtual void ping() noexcept = 0;
    virtual void limit_messages(std::size_t bytes) noexcept = 0;
    virtual void limit_output(std::size_t bytes) noexcept = 0;
    virtual void resume_reading() noexcept = 0;
    virtual void close(const Failure& why) noexcept = 0;
    /// Closes the socket without a callback.
    virtual void abandon() noexcept = 0;
};

/// A connection of a client.
class AnyDialled : public AnyConnection {
public:
    [[nodiscard]] virtual Instant deadline() const noexcept = 0;
    virtual void advance(Turn& turn) = 0;
};

/// One connection, dialled or accepted. `Impl` is AnyDialled or AnyConnection; null is a connection
/// that is down: there was no stream, and its link has been notified. The destructor closes the
/// socket without a callback. asio may hold the `Impl` longer.
template <class Impl>
class BeastConnection {
    static constexpr bool dials = requires(Impl& impl, Turn& turn) { impl.advance(turn); };

public:
    /// Called by open().
    explicit BeastConnection(std::shared_ptr<Impl> impl) noexcept : impl_{std::move(impl)} {}
    BeastConnection(BeastConnection&&) noexcept = default;
    BeastConnection& operator=(BeastConnection&& other) noexcept {
        BeastConnection{std::move(other)}.impl_.swap(impl_);
        return *this;
    }
    ~BeastConnection() {
        if (impl_) impl_->abandon();
    }

    /// Sends `message`.
    ///
    /// Errors: busy, after which Link::writable follows once; rejected if text frames are sent and
    /// `message` is not UTF-8; down unless the connection is open.
    [[nodiscard]] SendResult send(const Bytes& message) noexcept {
        return impl_ ? impl_->send(message) : SendResult::down;
    }
    /// Sends a ping frame. The peer's answer is reported by Link::pong.
    void ping() noexcept {
        if (impl_) impl_->ping();
    }
    void limit_messages(std::size_t bytes) noexcept {
        if (impl_) impl_->limit_messages(bytes);
    }
    void limit_output(std::size_t bytes) noexcept {
        if (impl_) impl_->limit_output(bytes);
    }
    void resume_reading() noexcept {
        if (impl_) impl_->resume_reading();
    }
    [[nodiscard]] Instant deadline() const noexcept
        requires dials
    {
        return impl_->deadline();
    }
    /// Continues the dial of a name.
    void advance(Turn& turn)
        requires dials
    {
        impl_->advance(turn);
    }
    /// Writes the queued messages, sends a close frame, and reports Link::closed when the peer has
    /// answered it.
    void close(const Failure& why) noexcept {
        if (impl_) impl_->close(why);
    }

private:
    std::shared_ptr<Impl> impl_;
};

/// A beast::WebSocket. Null: the server of the transport, and no token.
class AnyDialler {
public:
    virtual ~AnyDialler() = default;

    virtual BeastConnection<AnyDialled> open(const Link<Bytes>& link, const posix::Endpoint* server,
                                             const std::string* token) = 0;
    [[nodiscard]] virtual std::string_view dial_report() const noexcept = 0;
};

/// Makes the client. Defined in belay/beast/any_websocket_source.hpp; the linker reports this name
/// if no file of the program includes it, or more than one.
[[nodiscard]] std::unique_ptr<AnyDialler>
any_websocket_source_hpp_must_be_included_by_exactly_one_file(boost::asio::io_context& context,
                                                              posix::Endpoint server,
                                                              beast::WebSocketOptions options);

}}}  // namespace belay::detail

namespace belay { inline namespace BELAY_ABI { namespace beast {

/// A WebSocket whose code is compiled once, in a source file of its own.
///
/// A change of your program then compiles without Beast. That source file has one line:
///
///     #include <belay/beast/any_websocket_source.hpp>
///
/// Compile it with the same compiler, options and macros as the others.
///
/// Options, failures and guarantees are those of WebSocket, without TLS: use WebSocket for TLS.
///
/// Models:        TransportLike, move-only; its connections have what those of WebSocket have.
/// Thread safety: as WebSocket.
/// Costs:         a virtual call for each attempt.
class AnyWebSocket {
public:
    using message_type = Bytes;

    /// The connection that it opens.   Models: ConnectionLike.
    using Connection = detail::BeastConnection<detail::AnyDialled>;

    /// As WebSocket.   Throws: std::bad_alloc.
    AnyWebSocket(boost::asio::io_context& context, posix::Endpoint server,
                 WebSocketOptions options = {})
        : dialler_{detail::any_websocket_source_hpp_must_be_included_by_exactly_one_file(
              context, std::move(server), std::move(options))} {}

    /// As WebSocket::open.   Throws: std::bad_alloc, and what asio throws.
    [[nodiscard]] Connection open(const Link<Bytes>& link) {
        return dialler_->open(link, nullptr, nullptr);
    }
    [[nodiscard]] Connection open(const Link<Bytes>& link, const std::string& token) {
        return dialler_->open(link, nullptr, &token);
    }
    [[nodiscard]] Connection open(const Link<Bytes>& link, const posix::Endpoint& server) {
        return dialler_->open(link, &server, nullptr);
    }
    [[nodiscard]] Connection open(const Link<Bytes>& link, const posix::Endpoint& server,
                                  const std::string& token) {
        return dialler_->open(link, &server, &token);
    }

    /// As WebSocket::dial_report.
    [[nodiscard]] std::string_view dial_report() const noexcept { return dialler_->dial_report(); }

private:
    std::unique_ptr<detail::AnyDialler> dialler_;
};

}}}  // namespace belay::beast
