// SPDX-License-Identifier: MIT
/// \file belay/asio/tls.hpp
/// Lets AsioTcp use TLS; needs OpenSSL 1.1.1 or later. Link belay::openssl.
#pragma once

#include <concepts>  // std::convertible_to
#include <optional>  // std::optional
#include <string>    // std::string

#include <belay/asio/tcp.hpp>
#include <belay/openssl/detail/tls_session.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace detail {

/// An ssl::context of either asio.
template <class T>
concept TlsContextLike = requires(T& context) {
    { context.native_handle() } -> std::convertible_to<SSL_CTX*>;
};

/// An AsioTcp over TLS: `AsioTcp{context, tls, {"chat.example.org", 9443}, Lines{}}`. `tls` is an
/// ssl::context of the same asio, and outlives the transport.
struct OverTls : OverTcp {
    using Trust = SSL_CTX*;
    static constexpr bool is_tls = true;

    /// The TLS of one connection.
    struct Layer {
        Layer(SSL_CTX* trusted, const posix::Endpoint& endpoint, bool insecure)
            : context{trusted}, host{endpoint.host}, no_verify{insecure} {}

        SSL_CTX* context;
        std::string host;
        bool no_verify;
        std::optional<TlsSession> session{};  // from the time at which TCP is connected
    };
};

}  // namespace detail

template <class Context, detail::TlsContextLike Tls, FramingLike Framing = LengthPrefixed>
AsioTcp(Context&, Tls&, posix::Endpoint, Framing = {}, AsioTcpOptions = {})
    -> AsioTcp<Context, Framing, detail::OverTls>;
template <class Context, detail::TlsContextLike Tls>
AsioTcp(Context&, Tls&, posix::Endpoint, AsioTcpOptions)
    -> AsioTcp<Context, LengthPrefixed, detail::OverTls>;

}}  // namespace belay
