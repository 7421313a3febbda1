// SPDX-License-Identifier: MIT
/// \file belay/beast/any_websocket.hpp
/// beast::AnyWebSocket: a WebSocket client that is compiled in a source file of its own; needs
/// Boost 1.74 or later.
#pragma once

#include <memory>       // std::unique_ptr
#include <string>       // std::string
#include <string_view>  // std::string_view
#include <utility>      // std::move

#include <belay/asio/boost.hpp>
#include <belay/beast/detail/any_connection.hpp>
#include <belay/beast/websocket_options.hpp>
#include <belay/core/bytes.hpp>
#include <belay/link/link.hpp>
#include <belay/posix/endpoint.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// A beast::WebSocket. Null: the server of the transport, and no token.
class AnyDialler {
public:
    AnyDialler() = default;
    AnyDialler(const AnyDialler&) = delete;
    AnyDialler& operator=(const AnyDialler&) = delete;
    virtual ~AnyDialler() = default;

    virtual std::unique_ptr<AnyDialled> open(const Link<Bytes>& link, const posix::Endpoint* server,
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
/// Costs:         a virtual call for each call of a connection, and an allocation for each one.
class AnyWebSocket {
public:
    using message_type = Bytes;

    /// The connection that it opens.   Models: ConnectionLike.
    using Connection = detail::AnyHandle<detail::AnyDialled>;

    /// As WebSocket.   Throws: std::bad_alloc.
    AnyWebSocket(boost::asio::io_context& context, posix::Endpoint server,
                 WebSocketOptions options = {})
        : dialler_{detail::any_websocket_source_hpp_must_be_included_by_exactly_one_file(
              context, std::move(server), std::move(options))} {}

    /// As WebSocket::open.   Throws: std::bad_alloc, and what asio throws.
    [[nodiscard]] Connection open(const Link<Bytes>& link) {
        return Connection{dialler_->open(link, nullptr, nullptr)};
    }
    [[nodiscard]] Connection open(const Link<Bytes>& link, const std::string& token) {
        return Connection{dialler_->open(link, nullptr, &token)};
    }
    [[nodiscard]] Connection open(const Link<Bytes>& link, const posix::Endpoint& server) {
        return Connection{dialler_->open(link, &server, nullptr)};
    }
    [[nodiscard]] Connection open(const Link<Bytes>& link, const posix::Endpoint& server,
                                  const std::string& token) {
        return Connection{dialler_->open(link, &server, &token)};
    }

    /// As WebSocket::dial_report.
    [[nodiscard]] std::string_view dial_report() const noexcept { return dialler_->dial_report(); }

private:
    std::unique_ptr<detail::AnyDialler> dialler_;
};

}}}  // namespace belay::beast
