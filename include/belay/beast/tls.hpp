// SPDX-License-Identifier: MIT
/// \file belay/beast/tls.hpp
/// Lets beast::WebSocket and beast::Listener use streams with TLS; needs OpenSSL.
/// Link belay::openssl.
#pragma once

#include <utility>  // before asio, which in Boost 1.74 uses std::exchange without

#include <boost/asio/ssl.hpp>
#include <boost/beast/ssl.hpp>
#include <boost/beast/websocket/ssl.hpp>

#include <belay/beast/websocket.hpp>
#include <belay/openssl/detail/tls_client.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

template <NeedsTls Stream>
struct BeastTls<Stream> {
    using Context = boost::asio::ssl::context;

    /// Requires a certificate for this name that the context trusts.
    [[nodiscard]] static std::error_code prepare(Stream& stream, const std::string& host,
                                                 bool no_verify) {
        boost::system::error_code no_address;
        boost::asio::ip::make_address(host, no_address);
        return prepare_tls(stream.native_handle(), host, !no_address, no_verify);
    }
    /// Returns whether the stream below has ended without the close_notify of TLS.
    [[nodiscard]] static bool is_cut(const boost::system::error_code& error) noexcept {
        return error == boost::asio::ssl::error::stream_truncated;
    }
    /// Returns whether it is an error of OpenSSL, which an alert or other bytes of the peer cause.
    [[nodiscard]] static bool is_alert(const boost::system::error_code& error) noexcept {
        return error.category() == boost::asio::error::get_ssl_category();
    }
    /// Returns the failure of a handshake as the client that has ended with `error`.
    [[nodiscard]] static Failure failure(Stream& stream, const std::error_code& error) noexcept {
        return tls_failure(stream.native_handle(), error);
    }
};

}}}  // namespace belay::detail
