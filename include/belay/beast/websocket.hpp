// SPDX-License-Identifier: MIT
/// \file belay/beast/websocket.hpp
/// beast::WebSocket: a transport over WebSockets of Boost.Beast; needs Boost 1.74 or later.
#pragma once

#include <memory>       // std::make_shared
#include <string>       // std::string
#include <string_view>  // std::string_view
#include <utility>      // std::move; before asio, which in Boost 1.74 uses std::exchange without

#include <belay/beast/detail/connection.hpp>
#include <belay/beast/detail/connector.hpp>
#include <belay/link/transport_like.hpp>

namespace belay { inline namespace BELAY_ABI { namespace beast {

/// Connects to a WebSocket server over a stream of the given type.
///
/// Each attempt uses a new stream. The type is `boost::beast::tcp_stream`, or with
/// <belay/beast/tls.hpp> `boost::beast::ssl_stream<boost::beast::tcp_stream>`.
///
///     WebSocket<> plain{context, {"127.0.0.1", 8080}, {.target = "/feed"}};
///     WebSocket<Tls> secure{context, tls_context, {"feed.example.org", 443}};
///
/// Each message is one WebSocket message, of the kind that the options select. The code of a peer's
/// close becomes the failure of websocket_failure. A rejected upgrade becomes the failure of its
/// status, with the wait of its Retry-After. A status such as 404 is final only after some time
/// (WebSocketOptions::patience), because the proxy of a server that restarts sends it, too. The
/// function close(failure) sends the code of a failure of websocket_category, and 1000 for any
/// other.
///
/// If a name has several addresses, they race (RFC 8305), also those of a proxy.
///
/// It neither reconnects nor queues. It uses none of the pings and timeouts of Beast, except the
/// timeout for a close that this end began. Wrap it in a Heartbeat, whose pings are control frames.
///
/// With TLS, it verifies the chain of the certificate, by what the context trusts, and its name. A
/// token is sent only over TLS or to this machine itself. No Failure contains it.
///
/// Models:        TransportLike; its connections have close(), ping(), resume_reading(),
///                limit_messages(), limit_output(). For WithToken: open(link, token), the token a
///                std::string.
/// Thread safety: the thread that runs the context, which must outlive it.
/// Costs:         10 to 20 seconds, and 1 GB, to compile: keep it in one file.
template <class Stream = boost::beast::tcp_stream>
class WebSocket {
    using Context = boost::asio::io_context;
    using TlsContext = typename detail::TlsContextOf<Stream>::Type;

public:
    using message_type = Bytes;

    /// The connection that it opens.   Models: ConnectionLike.
    using Connection = detail::BeastConnection<Stream, detail::BeastConnector<Stream>>;

    /// Pre: options.too_large_code is a close code that may be sent.
    WebSocket(Context& context, posix::Endpoint server, WebSocketOptions options = {})
        requires(!detail::NeedsTls<Stream>)
        : context_{&context}, server_{std::move(server)}, options_{checked(std::move(options))} {}
    /// Constructs a transport with TLS. `tls` defines the trusted certificates, for example by
    /// `tls.set_default_verify_paths()`.
    WebSocket(Context& context, TlsContext& tls, posix::Endpoint server,
              WebSocketOptions options = {})
        requires detail::NeedsTls<Stream>
        : context_{&context},
          tls_{&tls},
          server_{std::move(server)},
          options_{checked(std::move(options))} {}

    /// Starts to connect; reports the result by `link`.   Throws: std::bad_alloc, and what asio
    /// throws.
    [[nodiscard]] Connection open(const Link<Bytes>& link) { return dial(link, server_, nullptr); }
    [[nodiscard]] Connection open(const Link<Bytes>& link, const std::string& token) {
        return dial(link, server_, &token);
    }
    /// Starts to connect to another server.
    [[nodiscard]] Connection open(const Link<Bytes>& link, const posix::Endpoint& server) {
        return dial(link, server, nullptr);
    }
    [[nodiscard]] Connection open(const Link<Bytes>& link, const posix::Endpoint& server,
                                  const std::string& token) {
        return dial(link, server, &token);
    }

    /// Returns the addresses that the last dial of a name tried in vain, each with its own cause,
    /// as posix::Tcp::dial_report does. If there is a proxy, the name is its name.
    [[nodiscard]] std::string_view dial_report() const noexcept { return memory_.text(); }

private:
    [[nodiscard]] static std::shared_ptr<const WebSocketOptions> checked(WebSocketOptions options) {
        BELAY_OPTION(
            detail::BeastFailure::is_sendable(options.too_large_code),
            "WebSocketOptions: too_large_code must be a close code that may be sent, such as 1009");
        return std::make_shared<const WebSocketOptions>(std::move(options));
    }
    [[nodiscard]] Connection dial(const Link<Bytes>& link, const posix::Endpoint& server,
                                  const std::string* token) {
        auto connector = make_connector(link);
        connector->dial(server, token, link, memory_, history_);
        return Connection{std::move(connector)};
    }
    [[nodiscard]] auto make_connector(const Link<Bytes>& link) const {
        using Connector = detail::BeastConnector<Stream>;
        if constexpr (detail::NeedsTls<Stream>) {
            return std::make_shared<Connector>(*context_, options_, link, *tls_);
        } else {
            return std::make_shared<Connector>(*context_, options_, link);
        }
    }

    Context* context_;
    TlsContext* tls_ = nullptr;
    posix::Endpoint server_;
    /// Shared, because asio may hold a connection longer than the transport lives.
    std::shared_ptr<const WebSocketOptions> options_;
    detail::OwnDialMemory memory_{};
    detail::BeastHistory history_{};
};

}}}  // namespace belay::beast
