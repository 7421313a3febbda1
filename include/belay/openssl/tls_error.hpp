// SPDX-License-Identifier: MIT
/// \file belay/openssl/tls_error.hpp
/// tls::Errc: the errors of TLS, with the reason for which a certificate is not accepted.
#pragma once

#include <belay/core/failure.hpp>
#include <belay/http/http_errc.hpp>

namespace belay { inline namespace BELAY_ABI { namespace tls {

/// The errors of TLS connections of asio and Boost.Beast, and of certificates in curl::Http;
/// category "belay.tls".
///
/// All have Cause::refused, because people correct them while a program runs, so a policy tries
/// again. A certificate with several defects has the error of the first one, in this order: its
/// issuer, its name, its dates. libcurl checks the name last.
enum class Errc {
    handshake_failed = 1,            ///< no agreement on TLS, or the peer does not use it
    certificate_rejected = 2,        ///< for a reason other than those below
    certificate_expired = 3,         ///< of the server, or of an issuer
    certificate_not_yet_valid = 4,   ///< of the server, or of an issuer
    certificate_other_name = 5,      ///< is not for the name or address that was dialled
    certificate_unknown_issuer = 6,  ///< has no trusted issuer, or its chain is incomplete
    certificate_self_signed = 7,     ///< is signed by itself, and is not trusted
    certificate_revoked = 8          ///< is in a revocation list that your context checks
};

}}}  // namespace belay::tls

namespace belay { inline namespace BELAY_ABI { namespace detail {
inline constexpr ErrorText tls_error_texts[] = {
    {"TLS negotiation failed: check that the peer uses TLS at this port, and which versions",
     Cause::refused, FailureOrigin::answered},
    {"the server's certificate is not acceptable: check its purpose, key and signature",
     Cause::refused, FailureOrigin::answered},
    {"the server's certificate has expired: renew it, or correct the clock of this machine",
     Cause::refused, FailureOrigin::answered},
    {"the server's certificate is not valid yet: correct the clock of the server or of this "
     "machine",
     Cause::refused, FailureOrigin::answered},
    {"the server's certificate has another name: dial a name that it contains", Cause::refused,
     FailureOrigin::answered},
    {"the issuer of the server's certificate is not trusted: trust it, and let the server send "
     "the intermediate certificates",
     Cause::refused, FailureOrigin::answered},
    {"the server's certificate is self-signed: trust it, or use one of a trusted issuer",
     Cause::refused, FailureOrigin::answered},
    {"the server's certificate is revoked: replace it", Cause::refused, FailureOrigin::answered},
};

/// TableCategory, whose errors of certificates are equivalent to
/// HttpErrc::certificate_rejected.
class TlsCategory final : public TableCategory {
public:
    constexpr TlsCategory() noexcept : TableCategory{"belay.tls", tls_error_texts} {}

    bool equivalent(int value, const std::error_condition& condition) const noexcept override {
        if (condition == http_error_condition(HttpErrc::certificate_rejected)) {
            return value != static_cast<int>(tls::Errc::handshake_failed);
        }
        return TableCategory::equivalent(value, condition);
    }
};

/// Returns the category of tls::Errc.
[[nodiscard]] inline const std::error_category& tls_error_category() noexcept {
    static const TlsCategory category;
    return category;
}

/// Returns the error for a result of the verification of a certificate. The numbers are those of
/// X509_V_ERR_..., which OpenSSL and the libraries made from it have in common, so that this header
/// needs none of them.
[[nodiscard]] constexpr tls::Errc certificate_error(long result) noexcept {
    switch (result) {
        case 9:
            return tls::Errc::certificate_not_yet_valid;
        case 10:
            return tls::Errc::certificate_expired;
        case 18:
            return tls::Errc::certificate_self_signed;
        case 2:
        case 19:  // the server has sent its untrusted root, too
        case 20:
        case 21:
            return tls::Errc::certificate_unknown_issuer;
        case 23:
            return tls::Errc::certificate_revoked;
        case 62:
        case 64:
            return tls::Errc::certificate_other_name;
        default:
            return tls::Errc::certificate_rejected;
    }
}
}}}  // namespace belay::detail

namespace belay { inline namespace BELAY_ABI { namespace tls {

/// Makes a std::error_code of an Errc; the implicit conversion calls it.
[[nodiscard]] inline std::error_code make_error_code(Errc e) noexcept {
    return {static_cast<int>(e), detail::tls_error_category()};
}

}}}  // namespace belay::tls

template <>
struct std::is_error_code_enum<belay::tls::Errc> : std::true_type {};
