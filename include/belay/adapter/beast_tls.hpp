// SPDX-License-Identifier: MIT
/// \file belay/adapter/beast_tls.hpp
/// Lets beast::WebSocket and beast::Listener use streams with TLS; needs OpenSSL.
#pragma once

#include <utility>  // std::forward; before asio, which in Boost 1.74 uses std::exchange without

#include <boost/asio/ssl.hpp>
#include <boost/beast/ssl.hpp>
#include <boost/beast/websocket/ssl.hpp>

#include <belay/adapter/beast_websocket.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

template <NeedsTls Stream>
struct BeastTls<Stream> {
    using Context = boost::asio::ssl::context;

    /// Requires a certificate for this name that the context trusts.
    ///
    /// The name is also sent to the server (SNI), unless it is an address.
    [[nodiscard]] static std::error_code prepare(Stream& stream, const std::string& host,
                                                 bool no_verify) {
        namespace ssl = boost::asio::ssl;
        boost::system::error_code error;
        boost::system::error_code no_address;
        boost::asio::ip::make_address(host, no_address);
        if (no_address) {
            SSL_ctrl(stream.native_handle(), SSL_CTRL_SET_TLSEXT_HOSTNAME,
                     TLSEXT_NAMETYPE_host_name, const_cast<char*>(host.c_str()));
        }
        stream.set_verify_mode(no_verify ? ssl::verify_none : ssl::verify_peer, error);
        if (!error && !no_verify) {
            stream.set_verify_callback(ssl::host_name_verification{host}, error);
        }
        return error;
    }
    template <class F>
    static void handshake(Stream& stream, F&& f) {
        stream.async_handshake(boost::asio::ssl::stream_base::client, std::forward<F>(f));
    }
    /// Starts the handshake as the server.
    template <class F>
    static void accept(Stream& stream, F&& f) {
        stream.async_handshake(boost::asio::ssl::stream_base::server, std::forward<F>(f));
    }
    /// Sends the end of the data (close_notify), and reads until the peer has sent its own. Without
    /// it, a receiver could not distinguish the end of an answer from a cut.
    template <class F>
    static void goodbye(Stream& stream, F&& f) {
        stream.async_shutdown(std::forward<F>(f));
    }
    /// Returns whether the stream below has ended without the close_notify of TLS.
    [[nodiscard]] static bool is_cut(const boost::system::error_code& error) noexcept {
        return error == boost::asio::ssl::error::stream_truncated;
    }
    [[nodiscard]] static Failure failure(Stream& stream) noexcept {
        const bool certificate = SSL_get_verify_result(stream.native_handle()) != X509_V_OK;
        return Failure::from(make_error_code(certificate ? beast::WebSocketErrc::certificate_refused
                                                         : beast::WebSocketErrc::tls_failed));
    }
};

}}}  // namespace belay::detail
