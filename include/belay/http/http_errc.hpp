// SPDX-License-Identifier: MIT
/// \file belay/http/http_errc.hpp
/// HttpErrc: the reasons why a request has no response, or not a whole one.
#pragma once

#include <belay/core/failure.hpp>

namespace belay { inline namespace BELAY_ABI {

/// Errors of an HTTP request that has no whole response; category "belay.http". Statuses have their
/// own category; see http_category().
enum class HttpErrc {
    bad_url = 1,   ///< the URL is malformed, not of http or https, or has credentials in it
    bad_text = 2,  ///< a method or header that may not be sent, because it has a control character,
                   ///< is too long, or defines where a request ends; or a HEAD with a body
    name_not_found = 3,        ///< the name of the server is not known
    not_connected = 4,         ///< no connection to the server
    certificate_rejected = 5,  ///< the server's certificate is not for its name, or not trusted;
                               ///< curl::Http returns the tls::Errc of the reason instead
    tls_failed = 6,            ///< the server and the client do not agree on TLS
    timed_out = 7,             ///< the response was not whole at the deadline
    lost = 8,                  ///< the connection ended before the response did
    not_http = 9,              ///< the server's answer is not HTTP, or is not what it declares
    too_long = 10,             ///< the body is longer than `body_bytes_max`, or the headers are too
                               ///< long
    client_failed = 11,        ///< this program could not send it: no memory, or a file, an
                               ///< interface or a cipher of its configuration is not there
    client_certificate = 12,   ///< this program's own certificate or key cannot be used
    proxy_rejected = 13,       ///< the proxy does not accept the credentials of this program (407),
                               ///< does not permit the request, or is not trusted
    proxy_not_connected = 14,  ///< no connection to the proxy, or its name is not known
    no_token = 15              ///< HttpCallsOptions::Hooks::new_token returned nothing in time, so
                               ///< nothing was sent
};

namespace detail {
inline constexpr ErrorText http_error_texts[] = {
    {"the URL is not an http or https URL without credentials", Cause::permanent,
     FailureOrigin::local},
    {"the method or a header is not allowed: it is too long, contains a control character, or sets "
     "the length of the request; or a HEAD request has a body",
     Cause::permanent, FailureOrigin::local},
    {"the server's name was not found", Cause::refused},
    {"the connection to the server failed", Cause::refused},
    {"the server's certificate is not trusted or has another name", Cause::refused,
     FailureOrigin::answered},
    {"TLS negotiation with the server failed", Cause::refused, FailureOrigin::answered},
    {"the response did not arrive in time", Cause::timed_out},
    {"the connection ended before the response did", Cause::lost},
    {"the response is not HTTP", Cause::protocol, FailureOrigin::answered},
    {"the response is longer than allowed", Cause::permanent, FailureOrigin::answered},
    {"this program could not send the request: it has no memory, or lacks what its configuration "
     "names",
     Cause::overloaded, FailureOrigin::local},
    {"this program's own certificate cannot be used: check its file, its key, and whether the "
     "server asks for another one",
     Cause::permanent, FailureOrigin::local},
    {"the proxy rejects the request: check its rules, its certificate, and the credentials for it",
     Cause::permanent, FailureOrigin::local},
    {"the connection to the proxy failed: check its address, and whether it runs", Cause::refused,
     FailureOrigin::local},
    {"new_token returned no token in time: check the server that issues tokens", Cause::timed_out,
     FailureOrigin::local},
};

/// Returns the category of HttpErrc.
[[nodiscard]] inline const std::error_category& http_error_category() noexcept {
    static const TableCategory category{"belay.http", http_error_texts};
    return category;
}
/// Returns the condition of an HttpErrc. A binding's own error is equivalent to it if the binding
/// knows a more exact reason.
[[nodiscard]] inline std::error_condition http_error_condition(HttpErrc errc) noexcept {
    return {static_cast<int>(errc), http_error_category()};
}
}  // namespace detail

/// Makes a std::error_code of an HttpErrc; the implicit conversion calls it.
[[nodiscard]] inline std::error_code make_error_code(HttpErrc e) noexcept {
    return {static_cast<int>(e), detail::http_error_category()};
}

}}  // namespace belay

template <>
struct std::is_error_code_enum<belay::HttpErrc> : std::true_type {};
