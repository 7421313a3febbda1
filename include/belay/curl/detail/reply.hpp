// SPDX-License-Identifier: MIT
/// \file belay/curl/detail/reply.hpp
/// Reads the header lines of a response, and maps libcurl's errors.
#pragma once

#include <string>       // std::string
#include <string_view>  // std::string_view
#include <utility>      // std::move

#include <curl/curl.h>

#include <belay/http/http_message.hpp>
#include <belay/openssl/tls_error.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Reads the header lines of a response, one at a time.
class HttpHead {
public:
    /// The limit of all lines together, with those after the body. libcurl itself limits one line.
    static constexpr std::size_t bytes_max = std::size_t{64} << 10;

    enum class Line : std::uint8_t { more, last, too_long };

    /// Throws: std::bad_alloc.
    [[nodiscard]] Line take(std::string_view line) {
        if (!count(line)) return Line::too_long;
        while (line.ends_with('\n') || line.ends_with('\r')) line.remove_suffix(1);
        if (line.empty()) return Line::last;
        // A new status line: the one before was an interim response such as "100 Continue".
        if (line.starts_with("HTTP/")) headers_ = {};
        const std::size_t colon = line.find(':');
        if (colon == line.npos || colon == 0 || line.starts_with("HTTP/")) return Line::more;
        headers_.add({trimmed(line.substr(0, colon)), trimmed(line.substr(colon + 1))});
        return Line::more;
    }
    /// Counts a line.   Returns: false if the limit is exceeded.
    [[nodiscard]] bool count(std::string_view line) noexcept {
        bytes_ += line.size();
        return bytes_ <= bytes_max;
    }
    [[nodiscard]] HttpHeaders take_headers() noexcept { return std::move(headers_); }
    [[nodiscard]] bool begun() const noexcept { return bytes_ != 0; }

private:
    [[nodiscard]] static std::string trimmed(std::string_view text) {
        while (text.starts_with(' ') || text.starts_with('\t')) text.remove_prefix(1);
        while (text.ends_with(' ') || text.ends_with('\t')) text.remove_suffix(1);
        return std::string{text};
    }

    HttpHeaders headers_;
    std::size_t bytes_ = 0;
};

/// Returns the reason why libcurl did not accept the certificate of a server. `result` is its
/// CURLINFO_SSL_VERIFYRESULT. OpenSSL and the libraries made from it set it to a number of
/// X509_V_ERR_.... It is 0 or 1 if only libcurl's own check of the name failed.
[[nodiscard]] inline tls::Errc certificate_error_of(CURLcode code, long result) noexcept {
    const char* const library = curl_version_info(CURLVERSION_NOW)->ssl_version;
    const std::string_view name = library != nullptr ? library : "";
    constexpr auto is_of_openssl = [](std::string_view n) {
        return n.find("OpenSSL") != n.npos || n.find("LibreSSL") != n.npos ||
               n.find("BoringSSL") != n.npos || n.find("AWS-LC") != n.npos;
    };
    if (code != CURLE_PEER_FAILED_VERIFICATION || !is_of_openssl(name)) {
        return tls::Errc::certificate_rejected;
    }
    switch (result) {
        case 0:
        case 1:
            return tls::Errc::certificate_other_name;
        case 9:
            return tls::Errc::certificate_not_yet_valid;
        case 10:
            return tls::Errc::certificate_expired;
        case 18:
            return tls::Errc::certificate_self_signed;
        case 2:
        case 19:
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

/// Maps an error of libcurl to an HttpErrc. A number has a name from the version in its comment on.
[[nodiscard]] inline HttpErrc http_errc_of(CURLcode code) noexcept {
    switch (static_cast<int>(code)) {
        case CURLE_COULDNT_RESOLVE_PROXY:
            return HttpErrc::proxy_not_connected;
        case CURLE_COULDNT_RESOLVE_HOST:
            return HttpErrc::name_not_found;
        case CURLE_COULDNT_CONNECT:
        case 96:  // CURLE_QUIC_CONNECT_ERROR, 7.69
        case 97:  // CURLE_PROXY, 7.73
            return HttpErrc::not_connected;
        case CURLE_PEER_FAILED_VERIFICATION:
        case CURLE_SSL_ISSUER_ERROR:
        case CURLE_SSL_PINNEDPUBKEYNOTMATCH:
        case CURLE_SSL_INVALIDCERTSTATUS:
            return HttpErrc::certificate_rejected;
        case CURLE_SSL_CONNECT_ERROR:
        case 101:  // CURLE_ECH_REQUIRED, 8.8
            return HttpErrc::tls_failed;
        case CURLE_SSL_CERTPROBLEM:
        case 98:  // CURLE_SSL_CLIENTCERT, 7.77
            return HttpErrc::client_certificate;
        case CURLE_OPERATION_TIMEDOUT:
            return HttpErrc::timed_out;
        case CURLE_UNSUPPORTED_PROTOCOL:  // HTTP/0.9, which has no format
        case CURLE_WEIRD_SERVER_REPLY:
        case CURLE_BAD_CONTENT_ENCODING:
            return HttpErrc::not_http;
        case CURLE_URL_MALFORMAT:
            return HttpErrc::bad_url;
        case CURLE_FILESIZE_EXCEEDED:
        case 100:  // CURLE_TOO_LARGE, 8.6
            return HttpErrc::too_long;
        // A lack of memory, an option of this program, or a library that it names.
        case CURLE_OUT_OF_MEMORY:
        case CURLE_FAILED_INIT:
        case CURLE_NOT_BUILT_IN:
        case CURLE_FUNCTION_NOT_FOUND:
        case CURLE_BAD_FUNCTION_ARGUMENT:
        case CURLE_UNKNOWN_OPTION:
        case 49:  // CURLE_SETOPT_OPTION_SYNTAX, 7.78
        case CURLE_INTERFACE_FAILED:
        case CURLE_SSL_CIPHER:
        case CURLE_SSL_ENGINE_NOTFOUND:
        case CURLE_SSL_ENGINE_SETFAILED:
        case CURLE_SSL_ENGINE_INITFAILED:
        case CURLE_SSL_CACERT_BADFILE:
        case CURLE_SSL_CRL_BADFILE:
        case CURLE_NO_CONNECTION_AVAILABLE:
        case CURLE_RECURSIVE_API_CALL:
        case 94:  // CURLE_AUTH_ERROR, 7.66: no ticket, for example
        case 99:  // CURLE_UNRECOVERABLE_POLL, 7.84
            return HttpErrc::client_failed;
        default:
            return HttpErrc::lost;
    }
}

/// Maps the status with which a proxy rejects a CONNECT. One of 500 or more is about the server.
[[nodiscard]] inline HttpErrc http_errc_of_proxy(int status) noexcept {
    if (status >= 500) return HttpErrc::not_connected;
    return detail::verdict_of_status(status).repeats ? HttpErrc::proxy_not_connected
                                                     : HttpErrc::proxy_rejected;
}

#if LIBCURL_VERSION_NUM >= 0x074900
/// Maps the error of a SOCKS proxy.
[[nodiscard]] inline HttpErrc http_errc_of_proxy(CURLproxycode code) noexcept {
    switch (code) {
        // The proxy has tried to reach the server.
        case CURLPX_REPLY_CONNECTION_REFUSED:
        case CURLPX_REPLY_GENERAL_SERVER_FAILURE:
        case CURLPX_REPLY_HOST_UNREACHABLE:
        case CURLPX_REPLY_NETWORK_UNREACHABLE:
        case CURLPX_REPLY_TTL_EXPIRED:
        case CURLPX_REQUEST_FAILED:
            return HttpErrc::not_connected;
        case CURLPX_RESOLVE_HOST:
            return HttpErrc::name_not_found;
        case CURLPX_CLOSED:
        case CURLPX_RECV_ADDRESS:
        case CURLPX_RECV_AUTH:
        case CURLPX_RECV_CONNECT:
        case CURLPX_RECV_REQACK:
        case CURLPX_SEND_AUTH:
        case CURLPX_SEND_CONNECT:
        case CURLPX_SEND_REQUEST:
            return HttpErrc::proxy_not_connected;
        default:
            return HttpErrc::proxy_rejected;
    }
}
#endif

}}}  // namespace belay::detail
