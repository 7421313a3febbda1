// SPDX-License-Identifier: MIT
/// \file belay/curl/detail/transfer.hpp
/// CurlTransfer: one request over libcurl, and its result.
#pragma once

#include <curl/curl.h>
#include <sys/socket.h>

#include <algorithm>    // std::min
#include <cerrno>       // errno
#include <cstddef>      // std::size_t
#include <cstdint>      // std::uint16_t
#include <cstring>      // std::memcpy
#include <memory>       // std::unique_ptr
#include <new>          // std::bad_alloc
#include <optional>     // std::optional
#include <string>       // std::string
#include <string_view>  // std::string_view
#include <utility>      // std::move, std::exchange
#include <vector>       // std::vector

#include <belay/core/clocks.hpp>
#include <belay/core/completion.hpp>
#include <belay/core/detail/scope_exit.hpp>
#include <belay/core/order.hpp>
#include <belay/http/detail/http_text.hpp>
#include <belay/http/http_message.hpp>
#include <belay/openssl/tls_error.hpp>
#include <belay/posix/detail/socket.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Reads the header lines of a response, one at a time.
class HttpHead {
public:
    /// The limit of all lines together, with those after the body. libcurl itself limits one line.
    static constexpr std::size_t bytes_max = std::size_t{64} << 10;

    /// Returns whether it is the last line.   Throws: std::bad_alloc.
    [[nodiscard]] bool take(std::string_view line) {
        while (line.ends_with('\n') || line.ends_with('\r')) line.remove_suffix(1);
        if (line.empty()) return true;
        // A new status line: the one before was an interim response such as "100 Continue".
        if (line.starts_with("HTTP/")) headers_ = {};
        const std::size_t colon = line.find(':');
        if (colon == line.npos || colon == 0 || line.starts_with("HTTP/")) return false;
        headers_.add({std::string{trimmed(line.substr(0, colon))},
                      std::string{trimmed(line.substr(colon + 1))}});
        return false;
    }
    /// Counts a line.   Returns: false if the limit is exceeded.
    [[nodiscard]] bool count(std::string_view line) noexcept {
        bytes_ += line.size();
        return bytes_ <= bytes_max;
    }
    [[nodiscard]] HttpHeaders take_headers() noexcept { return std::move(headers_); }
    [[nodiscard]] bool begun() const noexcept { return bytes_ != 0; }

private:
    HttpHeaders headers_;
    std::size_t bytes_ = 0;
};

/// Returns the reason why libcurl did not accept the certificate of a server. `result` is its
/// CURLINFO_SSL_VERIFYRESULT. Only OpenSSL and the libraries made from it set it. It is 0 or 1 if
/// only libcurl's own check of the name failed.
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
    const bool is_name = result == 0 || result == 1;
    return is_name ? tls::Errc::certificate_other_name : certificate_error(result);
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

/// A URL parsed by libcurl, so that checking a URL and sending its request interpret it in the same
/// way.
///
/// Thread safety: distinct objects safe.
/// Throws:        std::bad_alloc: if memory runs out, a URL is neither reported as bad nor as of
///                another origin.
class CurlUrl {
public:
    explicit CurlUrl(const std::string& text) : parsed_{curl_url()} {
        if (!parsed_) throw std::bad_alloc{};
        // Only for libcurl a NUL would end it early.
        valid_ = is_one_word(text) && has_authority(text) && set(text);
    }

    /// Whether it is an absolute URL of http or https without credentials.
    [[nodiscard]] bool is_http() const {
        if (!valid_) return false;
        const std::string scheme = part(CURLUPART_SCHEME);
        return is_same_name(scheme, "http") || is_same_name(scheme, "https");
    }
    /// Returns the port, which may be that of the scheme; 0 if the URL is not valid.
    [[nodiscard]] unsigned port() const {
        return valid_ ? detail::number_in(part(CURLUPART_PORT)).value_or(0) : 0;
    }
    /// Resolves a `Location` header against this URL.
    /// Returns: the absolute URL; empty if it is not valid, or of another scheme, host or port.
    [[nodiscard]] std::string within_origin(const std::string& location) {
        const std::string scheme = part(CURLUPART_SCHEME), host = part(CURLUPART_HOST),
                          port = part(CURLUPART_PORT);
        valid_ = valid_ && is_one_word(location) && set(location);
        const bool same = is_http() && is_same_name(scheme, part(CURLUPART_SCHEME)) &&
                          is_same_name(host, part(CURLUPART_HOST)) && port == part(CURLUPART_PORT);
        return same ? part(CURLUPART_URL) : std::string{};
    }

private:
    struct Free {
        void operator()(CURLU* url) const noexcept { curl_url_cleanup(url); }
    };

    /// Whether a host follows two slashes. libcurl also takes one slash and three.
    [[nodiscard]] static bool has_authority(std::string_view text) noexcept {
        text.remove_prefix(std::min(text.find(':'), text.size()));
        return text.starts_with("://") && !text.starts_with(":///");
    }
    [[nodiscard]] static bool is_ok(CURLUcode code) {
        if (code == CURLUE_OUT_OF_MEMORY) throw std::bad_alloc{};
        return code == CURLUE_OK;
    }
    [[nodiscard]] bool set(const std::string& text) {
        return is_ok(curl_url_set(parsed_.get(), CURLUPART_URL, text.c_str(),
                                  CURLU_DISALLOW_USER | CURLU_PATH_AS_IS));
    }
    [[nodiscard]] std::string part(CURLUPart which) const {
        char* text = nullptr;
        // Returns the default port if the URL has none.
        const unsigned flags = which == CURLUPART_PORT ? CURLU_DEFAULT_PORT : 0;
        if (!is_ok(curl_url_get(parsed_.get(), which, &text, flags))) return {};
        const ScopeExit freed{[text] { curl_free(text); }};
        return text;
    }

    std::unique_ptr<CURLU, Free> parsed_;
    bool valid_ = false;
};

/// The sockets that libcurl has used. It keeps those of idle connections, and may have closed any.
///
/// Thread safety: the loop's thread.
class CurlSockets {
public:
    /// A request uses this socket.   Throws: std::bad_alloc.
    void begin(curl_socket_t socket) {
        const auto i = static_cast<std::size_t>(socket);
        if (idle_ports_.size() <= i) idle_ports_.resize(i + 1);
        idle_ports_[i] = 0;
    }
    /// `last`, the last request that used this socket, does not use it any more. A connection of
    /// HTTP/2 has input at any time, and numbers its responses.
    void end(curl_socket_t socket, CURL* last) noexcept {
        const auto i = static_cast<std::size_t>(socket);
        long version = CURL_HTTP_VERSION_NONE;
        static_cast<void>(curl_easy_getinfo(last, CURLINFO_HTTP_VERSION, &version));
        const bool is_http1 = version == CURL_HTTP_VERSION_1_0 || version == CURL_HTTP_VERSION_1_1;
        if (is_http1 && i < idle_ports_.size()) idle_ports_[i] = local_port(socket);
    }
    /// Returns whether the idle connection of HTTP/1 from this local port has input. It was sent
    /// before the next request, so it is no response to that one.
    [[nodiscard]] bool has_input(int port) const noexcept {
        if (port <= 0) return false;
        for (std::size_t i = 0; i < idle_ports_.size(); ++i) {
            if (idle_ports_[i] != port) continue;
            const auto socket = static_cast<curl_socket_t>(i);
            char byte = 0;
            // The number may be that of another socket by now.
            if (local_port(socket) == port &&
                ::recv(socket, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0) {
                return true;
            }
        }
        return false;
    }

private:
    [[nodiscard]] static std::uint16_t local_port(curl_socket_t socket) noexcept {
        posix::detail::SocketAddress address;
        if (::getsockname(socket, address.as_sockaddr(), &address.size) != 0) return 0;
        return address.port();
    }

    std::vector<std::uint16_t>
        idle_ports_{};  // by the number of the socket; 0 if it is not checked
};

/// A function of the user that sets further options of libcurl.
using CurlConfigure = Function<CURLcode(CURL*)>;

/// The options of all requests of a client.
struct CurlSetup {
    CurlConfigure configure;
    Duration connection_age;  ///< the longest time for which requests use a kept connection
};

/// One request: the easy handle, its options and its callbacks.
///
/// Thread safety: the loop's thread.
class CurlTransfer : public Counted {
public:
    static constexpr int redirects_max = 3;
    static constexpr std::size_t nowhere = ~std::size_t{0};

    CurlTransfer(HttpRequest request, Completion<HttpResponse> completion)
        : request_{std::move(request)}, completion_{std::move(completion)} {}
    CurlTransfer(const CurlTransfer&) = delete;
    CurlTransfer& operator=(const CurlTransfer&) = delete;
    ~CurlTransfer() { release(); }

    /// Makes the easy handle.   Returns: why it cannot be sent.   Throws: what `configure` throws.
    [[nodiscard]] std::optional<HttpErrc> prepare(CurlSetup& setup, const CurlSockets& sockets) {
        sockets_ = &sockets;
        const CurlUrl url{request_.url};
        if (!url.is_http()) return HttpErrc::bad_url;
        url_port_ = url.port();
        if (!is_sendable()) return HttpErrc::bad_text;
        // libcurl would send another method.
        if (request_.method == "HEAD" && !request_.body.empty()) return HttpErrc::bad_text;
        if (request_.deadline <= Duration::zero()) return HttpErrc::timed_out;
        easy_ = curl_easy_init();
        if (easy_ == nullptr || !put_lines()) return HttpErrc::client_failed;
        CURLcode code = set_defaults(setup.connection_age);
        if (code == CURLE_OK && setup.configure) code = setup.configure(easy_);
        if (code == CURLE_OK) code = set_ours();
        if (code == CURLE_OK) code = set_request();
        return code == CURLE_OK ? std::nullopt : std::optional{HttpErrc::client_failed};
    }
    /// Returns whether libcurl, which ended with `code`, must run again: to follow a redirection,
    /// or because nothing was sent over a connection with unread input.
    [[nodiscard]] bool continues(CURLcode code) {
        if (code == CURLE_ABORTED_BY_CALLBACK) return std::exchange(stale_, false);
        return code == CURLE_OK && prepare_redirect();
    }
    /// Returns the response of a request that ended with `code`, or with `error` before libcurl
    /// started it.
    [[nodiscard]] HttpResponse conclude(CURLcode code, std::optional<HttpErrc> error) {
        if (!error) error = error_;
        // Older versions also report this for a header line beyond their limit.
        const bool in_head = head_.begun() && response_.status == 0;
        if (!error && code == CURLE_OUT_OF_MEMORY && in_head) error = HttpErrc::too_long;
        if (!error && code != CURLE_OK) error = http_errc_of(code);
        // libcurl accepts a head that breaks off as complete.
        if (!error && response_.status == 0) error = HttpErrc::lost;
        HttpResponse response = std::move(response_);
        if (!error) return response;
        if (easy_ != nullptr) note_errno(static_cast<int>(info<long>(CURLINFO_OS_ERRNO)));
        response.failure = easy_ != nullptr ? failure_of(code, *error) : Failure::from(*error);
        // libcurl counts the bytes anew after a redirection, which followed a request that was
        // sent. If a proxy refuses to connect, the server has not seen the request.
        response.sent =
            redirects_ != 0 || (easy_ != nullptr && info<long>(CURLINFO_REQUEST_SIZE) != 0 &&
                                info<long>(CURLINFO_HTTP_CONNECTCODE) < 300);
        return response;
    }
    /// Frees the large members. A user may keep the handle of an ended request.
    void release() noexcept {
        request_ = {};
        curl_easy_cleanup(std::exchange(easy_, nullptr));
        curl_slist_free_all(std::exchange(lines_, nullptr));
    }

    [[nodiscard]] CURL* easy() const noexcept { return easy_; }
    /// Returns whether it has no connection yet.
    [[nodiscard]] bool is_connecting() const noexcept {
        return info<curl_off_t>(CURLINFO_CONNECT_TIME_T) == 0 &&
               info<long>(CURLINFO_REQUEST_SIZE) == 0;
    }
    [[nodiscard]] Duration limit() const noexcept { return request_.deadline; }
    void answer(HttpResponse&& response) {
        std::optional<Completion<HttpResponse>> last = std::exchange(completion_, std::nullopt);
        if (last) (*last)(std::move(response));
    }
    /// Drops the completion: nothing is reported any more.
    void reject() noexcept {
        dropped = true;
        const std::optional<Completion<HttpResponse>> last =
            std::exchange(completion_, std::nullopt);
    }

    std::size_t place = nowhere;  ///< index among those under way
    Instant due = never;
    bool started = false;  ///< libcurl has it
    bool dropped = false;  ///< the user dropped it

private:
    [[nodiscard]] bool prepare_redirect() {
        if (next_url_.empty()) return false;
        const int status = response_.status;
        const bool as_get = (status == 303 && request_.method != "HEAD") ||
                            (status <= 302 && request_.method == "POST");
        if (as_get) {
            request_.method = "GET";
            request_.body.clear();
        }
        request_.url = std::exchange(next_url_, {});
        forget_response();
        body_sent_ = 0;
        ++redirects_;
        // A half-made request could have another method, so an error ends the transfer.
        return set_request() == CURLE_OK || fail(HttpErrc::client_failed);
    }
    [[nodiscard]] bool is_sendable() const noexcept {
        if (!is_header_name(request_.method)) return false;
        for (const HttpHeaders::Field& f : request_.headers) {
            if (!is_header_name(f.name) || !is_header_value(f.value)) return false;
            // Two different lengths of a request allow request smuggling.
            if (is_same_name(f.name, "Content-Length") || is_same_name(f.name, "Transfer-Encoding"))
                return false;
        }
        return true;
    }
    [[nodiscard]] bool put_lines() {
        for (const HttpHeaders::Field& f : request_.headers) {
            // libcurl writes a header without a value if it ends in a semicolon. "Name:" would
            // remove it.
            if (!put_line(f.value.empty() ? f.name + ';' : f.name + ": " + f.value)) return false;
        }
        // Removes what libcurl would add: a form's type, and a wait of one second for a "100
        // Continue".
        const bool typed = request_.headers.find("Content-Type") != nullptr;
        const bool expects = request_.headers.find("Expect") != nullptr;
        return (typed || put_line("Content-Type:")) && (expects || put_line("Expect:"));
    }
    [[nodiscard]] bool put_line(const std::string& line) {
        curl_slist* const longer = curl_slist_append(lines_, line.c_str());
        if (longer != nullptr) lines_ = longer;
        return longer != nullptr;
    }
    /// Sets the options that `configure` may change.
    [[nodiscard]] CURLcode set_defaults([[maybe_unused]] Duration connection_age) {
        Options set{easy_};
        // No CURLOPT_ACCEPT_ENCODING: libcurl reports a compressed body that breaks off as
        // complete.
        set(CURLOPT_SSL_VERIFYPEER, 1L)(CURLOPT_SSL_VERIFYHOST, 2L);
        // Each new connection looks its name up, so a server that has moved is found.
        set(CURLOPT_DNS_CACHE_TIMEOUT, 0L);
        // libcurl gives an address half of the time that is left if another one follows it. Without
        // this limit, which would be 300 s, the next address is tried only after our deadline.
        constexpr Duration usual = std::chrono::seconds{300};
        const auto limit =
            std::chrono::ceil<std::chrono::milliseconds>(smaller(request_.deadline, usual)).count();
        set(CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(limit));
#if LIBCURL_VERSION_NUM >= 0x075000
        const bool has_age = curl_version_info(CURLVERSION_NOW)->version_num >= 0x075000;
        if (has_age && connection_age != forever) {
            const auto age = std::chrono::ceil<std::chrono::seconds>(connection_age).count();
            set(CURLOPT_MAXLIFETIME_CONN, static_cast<long>(larger(age, decltype(age){1})));
        }
#endif
        using Open = curl_socket_t (*)(void*, curlsocktype, curl_sockaddr*);
        set(CURLOPT_OPENSOCKETFUNCTION, Open{&on_open})(CURLOPT_OPENSOCKETDATA, this);
        return set.code;
    }
    /// Sets the options that belay's promises depend on.
    [[nodiscard]] CURLcode set_ours() {
        using Move = std::size_t (*)(char*, std::size_t, std::size_t, void*);
        using Seek = int (*)(void*, curl_off_t, int);
        void* const self = this;
        Options set{easy_};
        set(CURLOPT_PRIVATE, self);
        set(CURLOPT_HEADERFUNCTION, Move{&on_header})(CURLOPT_HEADERDATA, self);
        set(CURLOPT_WRITEFUNCTION, Move{&on_body})(CURLOPT_WRITEDATA, self);
        set(CURLOPT_READFUNCTION, Move{&on_read})(CURLOPT_READDATA, self);
        set(CURLOPT_SEEKFUNCTION, Seek{&on_seek})(CURLOPT_SEEKDATA, self);
        // Before 7.88, a write over TLS to a closed connection raises SIGPIPE. libcurl suppresses
        // the signal only without this option, which is meant for look-ups without a thread.
        const curl_version_info_data& curl = *curl_version_info(CURLVERSION_NOW);
        const bool signals =
            curl.version_num < 0x075800 && (curl.features & CURL_VERSION_ASYNCHDNS) != 0;
        set(CURLOPT_NOSIGNAL, signals ? 0L : 1L);
        set(CURLOPT_FOLLOWLOCATION, 0L)(CURLOPT_PATH_AS_IS, 1L);
        set(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L)(CURLOPT_HTTP09_ALLOWED, 0L);
        set(CURLOPT_HTTPHEADER, lines_);
#if LIBCURL_VERSION_NUM >= 0x075500
        set(CURLOPT_PROTOCOLS_STR, "http,https");
#else
        set(CURLOPT_PROTOCOLS, static_cast<long>(CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
#if LIBCURL_VERSION_NUM >= 0x075000
        using Connected = int (*)(void*, char*, char*, int, int);
        set(CURLOPT_PREREQFUNCTION, Connected{&on_connected})(CURLOPT_PREREQDATA, self);
#endif
#if LIBCURL_VERSION_NUM >= 0x075700
        // Without it the end of a request would wait for a look-up that is under way.
        set(CURLOPT_QUICK_EXIT, 1L);
#endif
        return set.code;
    }
    /// Sets the options that change with a redirection.
    [[nodiscard]] CURLcode set_request() {
        const std::string& method = request_.method;
        const auto is = [&](auto... names) { return ((method == names) || ...); };
        // libcurl repeats a request that got no answer over a reused connection. on_seek rejects
        // that for a request with a body. A request without one that changes something gets a new
        // connection.
        const bool repeatable =
            !request_.body.empty() || is("GET", "HEAD", "PUT", "DELETE", "OPTIONS");
        const bool fresh = request_.fresh_connection || !repeatable;
        Options set{easy_};
        set(CURLOPT_URL, request_.url.c_str())(CURLOPT_HTTPGET, 1L);
        set(CURLOPT_NOBODY, is("HEAD") ? 1L : 0L)(CURLOPT_FRESH_CONNECT, fresh ? 1L : 0L);
        if (!request_.body.empty() || is("POST", "PUT", "PATCH")) {
            const auto size = static_cast<curl_off_t>(request_.body.size());
            set(CURLOPT_POST, 1L)(CURLOPT_POSTFIELDSIZE_LARGE, size);
        }
        set(CURLOPT_CUSTOMREQUEST, method.c_str());
        return set.code;
    }
    template <class T>
    [[nodiscard]] T info(CURLINFO which) const noexcept {
        T value{};
        static_cast<void>(curl_easy_getinfo(easy_, which, &value));
        return value;
    }

    /// Sets options one after the other, until libcurl refuses one.
    struct Options {
        template <class T>
        Options& operator()(CURLoption option, T value) noexcept {
            if (code == CURLE_OK) code = curl_easy_setopt(easy, option, value);
            return *this;
        }
        CURL* easy;
        CURLcode code = CURLE_OK;
    };

    // ---- what libcurl calls: nothing may be thrown ---------------------------------------------

    static std::size_t on_header(char* data, std::size_t, std::size_t size, void* self) noexcept {
        return of(self).taken(size, [&](CurlTransfer& t) { return t.take_header({data, size}); });
    }
    static std::size_t on_body(char* data, std::size_t, std::size_t size, void* self) noexcept {
        // libcurl ends the transfer if fewer bytes are taken than it passed. With no bytes there is
        // no smaller number.
        if (size == 0) return 0;
        return of(self).taken(size, [&](CurlTransfer& t) { return t.take_body({data, size}); });
    }
    static std::size_t on_read(char* to, std::size_t, std::size_t space, void* self) noexcept {
        CurlTransfer& t = of(self);
        const std::size_t size = std::min(space, t.request_.body.size() - t.body_sent_);
        std::memcpy(to, t.request_.body.data() + t.body_sent_, size);
        t.body_sent_ += size;
        return size;
    }
    /// Does not rewind a body that was sent: it must not be sent twice without the user's
    /// knowledge.
    static int on_seek(void* self, curl_off_t, int) noexcept {
        return of(self).body_sent_ == 0 ? CURL_SEEKFUNC_OK : CURL_SEEKFUNC_FAIL;
    }
    /// Sends nothing over a kept connection with unread input, which libcurl would take for the
    /// response. libcurl closes that connection. A new connection is not asked, so this ends.
    static int on_connected(void* self, char*, char*, int, int local_port) noexcept {
        CurlTransfer& t = of(self);
        t.stale_ = t.info<long>(CURLINFO_NUM_CONNECTS) == 0 && t.sockets_->has_input(local_port);
        return t.stale_ ? 1 : 0;
    }
    /// Opens a socket that programs do not get that this process starts.
    static curl_socket_t on_open(void* self, curlsocktype, curl_sockaddr* to) noexcept {
        CurlTransfer& t = of(self);
        // That of the address before, which the next one may overwrite.
        t.note_errno(static_cast<int>(t.info<long>(CURLINFO_OS_ERRNO)));
        posix::detail::SocketAddress address;
        address.size = std::min(to->addrlen, static_cast<unsigned>(sizeof address.storage));
        std::memcpy(&address.storage, &to->addr, address.size);
        t.dialled_port_ = address.port();
        const int socket = ::socket(to->family, to->socktype | SOCK_CLOEXEC, to->protocol);
        if (socket < 0) t.note_errno(errno);
        return socket;
    }
    [[nodiscard]] static CurlTransfer& of(void* self) noexcept {
        return *static_cast<CurlTransfer*>(self);
    }
    /// Returns how many bytes libcurl should consider taken: all if `f` returns true, else none.
    template <class F>
    [[nodiscard]] std::size_t taken(std::size_t size, F f) noexcept {
        try {
            return f(*this) ? size : 0;
        } catch (...) {
            error_ = HttpErrc::client_failed;  // no memory
            return 0;
        }
    }
    /// Notes why an address was not reached. An error of this side counts only if all are.
    void note_errno(int error) noexcept {
        if (error == 0) return;
        is_all_ours_ = is_all_ours_ && meaning_of_errno(error).origin == FailureOrigin::local;
        errno_ = error;
    }
    /// Returns whether the new connection is one to a proxy.
    [[nodiscard]] bool dials_proxy() const noexcept {
        return dialled_port_ != 0 && dialled_port_ != url_port_;
    }
    /// Returns the failure for an error, with the most exact reason that libcurl has.
    [[nodiscard]] Failure failure_of(CURLcode code, HttpErrc error) const noexcept {
        const auto of_proxy = static_cast<int>(info<long>(CURLINFO_HTTP_CONNECTCODE));
        if (of_proxy >= 300) return Failure::from(http_errc_of_proxy(of_proxy));
#if LIBCURL_VERSION_NUM >= 0x074900
        if (code == CURLE_PROXY) {
            const auto why = static_cast<CURLproxycode>(info<long>(CURLINFO_PROXY_ERROR));
            return Failure::from(http_errc_of_proxy(why));
        }
#endif
        if (error == HttpErrc::certificate_rejected) {
            if (info<long>(CURLINFO_PROXY_SSL_VERIFYRESULT) != 0)
                return Failure::from(HttpErrc::proxy_rejected);
            return Failure::from(certificate_error_of(code, info<long>(CURLINFO_SSL_VERIFYRESULT)));
        }
        // Without descriptors, the C library cannot open its own files, and reports an unknown
        // name.
        if (error == HttpErrc::name_not_found && !posix::detail::Socket::stream(AF_UNIX))
            return Failure::from(posix::detail::errno_code());
        if (error == HttpErrc::not_connected) {
            if (errno_ != 0 && is_all_ours_)
                return Failure::from({errno_, std::generic_category()});
            if (dials_proxy()) return Failure::from(HttpErrc::proxy_not_connected);
        }
        Failure failure = Failure::from(error);
        const bool is_connected = info<curl_off_t>(CURLINFO_CONNECT_TIME_T) != 0;
        if (error == HttpErrc::timed_out && !is_connected && dials_proxy()) {
            failure.origin = Failure::Origin::local;
        }
        return failure;
    }
    void forget_response() noexcept {
        response_ = {};
        head_ = {};
        body_bytes_ = 0;
        next_url_.clear();
    }
    [[nodiscard]] bool fail(HttpErrc e) noexcept {
        error_ = e;
        return false;
    }

    [[nodiscard]] bool take_header(std::string_view line) {
        // One call of libcurl continues several requests, so on_chunk of another one may have
        // dropped this one.
        if (dropped) return false;
        // libcurl may have sent the request again, to authenticate. Only the last response counts.
        if (response_.status != 0 && line.starts_with("HTTP/") &&
            info<long>(CURLINFO_REQUEST_SIZE) > asked_bytes_) {
            forget_response();
        }
        if (!head_.count(line)) return fail(HttpErrc::too_long);
        // A trailer is counted and not kept.
        const bool ends = response_.status == 0 && head_.take(line);
        return !ends || take_head();
    }
    [[nodiscard]] bool take_head() {
        const auto status = static_cast<int>(info<long>(CURLINFO_RESPONSE_CODE));
        if (status < 200) return true;  // an interim response: more follows
        asked_bytes_ = info<long>(CURLINFO_REQUEST_SIZE);
        response_.status = status;
        response_.headers = head_.take_headers();
        if (response_.headers.find("Date") == nullptr) response_.received = SystemClock{}.now();
        const bool redirects =
            status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
        const std::string* const location = response_.headers.find("Location");
        if (redirects && request_.redirects && redirects_ < redirects_max && location != nullptr) {
            next_url_ = CurlUrl{request_.url}.within_origin(*location);
            if (!next_url_.empty()) return true;
        }
        if (request_.on_chunk) request_.on_chunk(response_, {});
        return !dropped;
    }
    [[nodiscard]] bool take_body(std::string_view piece) {
        if (dropped) return false;
        // After "101 Switching Protocols", which was not asked for.
        if (response_.status == 0) return fail(HttpErrc::not_http);
        if (piece.size() > request_.body_bytes_max - body_bytes_) return fail(HttpErrc::too_long);
        body_bytes_ += piece.size();
        if (!next_url_.empty()) return true;
        if (request_.on_chunk) {
            request_.on_chunk(response_, piece);
        } else {
            response_.body += piece;
        }
        return !dropped;
    }

    HttpRequest request_;
    std::optional<Completion<HttpResponse>> completion_;
    HttpHead head_;
    HttpResponse response_;
    const CurlSockets* sockets_ = nullptr;
    CURL* easy_ = nullptr;
    curl_slist* lines_ = nullptr;
    std::size_t body_sent_ = 0;
    std::size_t body_bytes_ = 0;
    long asked_bytes_ = 0;  ///< of all requests that were sent before the head
    int redirects_ = 0;
    int errno_ = 0;                             ///< the last error of the system while it connected
    bool is_all_ours_ = true;                   ///< each such error is of this side
    unsigned url_port_ = 0, dialled_port_ = 0;  ///< of the URL, and of a new connection
    bool stale_ = false;                        ///< the kept connection had unread input
    std::string next_url_;                      ///< the target of the redirection that is followed
    std::optional<HttpErrc> error_;
};

}}}  // namespace belay::detail
