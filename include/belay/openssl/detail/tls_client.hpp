// SPDX-License-Identifier: MIT
/// \file belay/openssl/detail/tls_client.hpp
/// How a client verifies the server's certificate by OpenSSL.
#pragma once

#include <string>        // std::string
#include <system_error>  // std::error_code

#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>

#include <belay/link/link_errc.hpp>
#include <belay/openssl/tls_error.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Requires a certificate for this host that the context of `ssl` trusts.
///
/// The name is also sent to the server (SNI), unless it is an address.
[[nodiscard]] inline std::error_code prepare_tls(SSL* ssl, const std::string& host, bool is_address,
                                                 bool no_verify) {
    if (!is_address) {
        SSL_ctrl(ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
                 const_cast<char*>(host.c_str()));
    }
    // Not nullptr, which would leave a callback of the context in effect.
    const auto verdict_of_openssl = [](int is_right, X509_STORE_CTX*) { return is_right; };
    SSL_set_verify(ssl, no_verify ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, verdict_of_openssl);
    if (no_verify) return {};
    // No certificate has the interface of an address, "fe80::1%eth0".
    const std::string address = host.substr(0, host.find('%'));
    const int is_set = is_address
                           ? X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), address.c_str())
                           : SSL_set1_host(ssl, host.c_str());
    return is_set == 1 ? std::error_code{} : std::make_error_code(std::errc::invalid_argument);
}

/// Returns the failure of a client's handshake that has ended with `error`.
[[nodiscard]] inline Failure tls_failure(const SSL* ssl, const std::error_code& error) noexcept {
    const long result = SSL_get_verify_result(ssl);
    // OpenSSL verifies also if it then ignores the result.
    if (SSL_get_verify_mode(ssl) != SSL_VERIFY_NONE && result != X509_V_OK) {
        return Failure::from(certificate_error(result));
    }
    if (error && error.category() == std::system_category())
        return socket_failure(error, Cause::lost);
    return Failure::from(tls::Errc::handshake_failed);
}

}}}  // namespace belay::detail
