// SPDX-License-Identifier: MIT
/// \file belay/adapter/detail/tls_client.hpp
/// How a client verifies the server's certificate by OpenSSL, for streams of either asio.
#pragma once

#include <string>        // std::string
#include <system_error>  // std::error_code

#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>

#include <belay/adapter/tls_error.hpp>
#include <belay/core/failure.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// A verification of a name by asio that also tells OpenSSL about another name. Otherwise the
/// result of the verification would be "unspecified".
template <class HostName>
struct TlsVerification {
    HostName name;

    template <class Certificates>
    bool operator()(bool is_trusted, Certificates& certificates) const {
        if (!is_trusted || name(is_trusted, certificates)) return is_trusted;
        X509_STORE_CTX_set_error(certificates.native_handle(), X509_V_ERR_HOSTNAME_MISMATCH);
        return false;
    }
};

/// Requires a certificate for this host that the stream's context trusts.
///
/// The name is also sent to the server (SNI), unless it is an address.   Throws: std::bad_alloc.
template <class HostName, class Stream, class Error>
void prepare_tls(Stream& stream, const std::string& host, bool is_address, bool no_verify,
                 Error& error) {
    if (!is_address) {
        SSL_ctrl(stream.native_handle(), SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
                 const_cast<char*>(host.c_str()));
    }
    stream.set_verify_mode(no_verify ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, error);
    if (error || no_verify) return;
    stream.set_verify_callback(TlsVerification<HostName>{HostName{host}}, error);
}

/// Returns the error for a result of the verification of a certificate (X509_V_ERR_...).
[[nodiscard]] inline tls::Errc certificate_error(long result) noexcept {
    switch (result) {
        case X509_V_ERR_CERT_HAS_EXPIRED:
            return tls::Errc::certificate_expired;
        case X509_V_ERR_CERT_NOT_YET_VALID:
            return tls::Errc::certificate_not_yet_valid;
        case X509_V_ERR_HOSTNAME_MISMATCH:
        case X509_V_ERR_IP_ADDRESS_MISMATCH:
            return tls::Errc::certificate_other_name;
        case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
            return tls::Errc::certificate_self_signed;
        case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:  // the server has sent its untrusted root, too
        case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
        case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
        case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
            return tls::Errc::certificate_unknown_issuer;
        case X509_V_ERR_CERT_REVOKED:
            return tls::Errc::certificate_revoked;
        default:
            return tls::Errc::certificate_refused;
    }
}

/// Returns the failure of a client's handshake that has ended with `error`.
[[nodiscard]] inline Failure tls_failure(const SSL* ssl, const std::error_code& error) noexcept {
    const long result = SSL_get_verify_result(ssl);
    // OpenSSL verifies also if it then ignores the result.
    if (SSL_get_verify_mode(ssl) != SSL_VERIFY_NONE && result != X509_V_OK) {
        return Failure::from(certificate_error(result));
    }
    if (error.category() == std::system_category()) return Failure::from(error);
    return Failure::from(tls::Errc::handshake_failed);
}

}}}  // namespace belay::detail
