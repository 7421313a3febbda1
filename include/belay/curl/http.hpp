// SPDX-License-Identifier: MIT
/// \file belay/curl/http.hpp
/// curl::Http: makes HTTP requests by libcurl on a posix::Loop. Link belay::curl or -lcurl.
#pragma once

#include <concepts>  // std::derived_from, std::invocable
#include <utility>   // std::move, std::exchange

#include <belay/curl/detail/core.hpp>
#include <belay/http/http_message.hpp>

namespace belay { inline namespace BELAY_ABI { namespace curl {

/// Makes HTTP requests by libcurl, which provides TLS, HTTP/2, proxies and persistent connections.
///
///     posix::Loop loop;
///     Http http{loop};
///     auto handle = http.request({.url = "https://example.com/"},
///                                [&](auto response) noexcept {
///                                    if (response) show(*response);
///                                    loop.stop();
///                                });
///     loop.run();
///
/// Certificates are verified. No redirection is followed unless the request asks for it. For other
/// features of libcurl, pass a function. It is called with each new handle, and returns the error
/// of the options that it sets:
///
///     Http http{loop, [](CURL* curl) {
///                       return curl_easy_setopt(curl, CURLOPT_CAINFO, "ca.pem");
///                   }};
///
/// The client asks for no compression, because libcurl reports a compressed body that breaks off as
/// complete. With CURLOPT_ACCEPT_ENCODING, bodies are decompressed, and limits apply to the result.
///
/// The client never sends a body again by itself. libcurl would do so if a persistent connection
/// ends without an answer. The response then reports HttpErrc::lost, and the caller decides.
///
/// Each new connection looks its name up, and no connection is used for longer than
/// Options::connection_age. So requests find a server that has moved. CURLOPT_DNS_CACHE_TIMEOUT
/// makes libcurl keep the addresses of names.
///
/// A kept connection of HTTP/1 on which bytes have arrived since its last response is closed, and
/// not used again. Before libcurl 7.80, the next request gets these bytes as its response. So does
/// any request whose bytes arrive after it was sent. Not checked: a Unix socket
/// (CURLOPT_UNIX_SOCKET_PATH), and the second request of an authentication.
///
/// With CURLOPT_HTTPAUTH, libcurl may send a request twice. The response is the last one.
/// `on_chunk` also receives the head of each earlier one, with an empty piece.
///
/// Models:        HttpLike; movable, not copyable.
/// Thread safety: the loop's thread, or any while it is not running. The first client initialises
///                libcurl for the process, on any thread.
/// Errors:        the response's; client_failed where libcurl has no memory or refuses an option.
/// Blocks:        never, if libcurl looks up names in a thread (`curl --version`: AsynchDNS), as
///                that of distributions does. Before libcurl 7.87, dropping a request waits for its
///                lookup.
/// Needs:         libcurl 7.66 or later.
class Http {
public:
    /// Keeps its request running; its destructor aborts the request. May outlive the client.
    class Handle {
    public:
        Handle(Handle&&) noexcept = default;
        Handle& operator=(Handle&& other) noexcept {
            if (this != &other) {
                drop();
                core_ = std::move(other.core_);
                transfer_ = std::move(other.transfer_);
            }
            return *this;
        }
        ~Handle() { drop(); }

    private:
        friend class Http;
        Handle(detail::Ref<detail::CurlCore> core, detail::Ref<detail::CurlTransfer> transfer)
            : core_{std::move(core)}, transfer_{std::move(transfer)} {}
        void drop() noexcept {
            if (transfer_) core_->drop(*transfer_);
        }

        detail::Ref<detail::CurlCore> core_;
        detail::Ref<detail::CurlTransfer> transfer_;
    };

    struct Options {
        /// The longest time for which requests use a kept connection after it was made, in whole
        /// seconds. `forever`: no limit. Before libcurl 7.80, there is none.   Pre: > 0ns.
        Duration connection_age = std::chrono::minutes{5};
    };

    /// Constructs a client. `loop` must live as long as requests are made.
    ///
    /// Throws: std::bad_alloc.
    template <std::derived_from<posix::Poller> Loop>
    explicit Http(Loop& loop) : Http{loop, detail::CurlConfigure{}, Options{}} {}
    /// Constructs a client that calls `configure(curl) -> CURLcode` with the handle of each
    /// request.
    template <std::derived_from<posix::Poller> Loop>
    Http(Loop& loop, detail::CurlConfigure configure)
        : Http{loop, std::move(configure), Options{}} {}
    template <std::derived_from<posix::Poller> Loop>
    Http(Loop& loop, detail::CurlConfigure configure, Options options)
        : core_{detail::Ref<detail::CurlCore>::make(
              loop, detail::CurlSetup{std::move(configure), options.connection_age})} {
        BELAY_OPTION(options.connection_age > Duration::zero(),
                     "curl::Http: connection_age must be > 0ns");
        loop.attach(*core_);
    }
    Http(Http&&) noexcept = default;
    Http& operator=(Http&& other) noexcept {
        if (this != &other) {
            close();
            core_ = std::move(other.core_);
        }
        return *this;
    }
    ~Http() { close(); }

    /// Starts a request; see HttpLike.
    ///
    /// Throws: std::bad_alloc, and what `configure` throws; the Completion then reports a failure.
    [[nodiscard]] Handle request(HttpRequest request, Completion<HttpResponse> completion) {
        BELAY_PRECONDITION(static_cast<bool>(core_),
                           "curl::Http::request: the client must not be moved from");
        return {core_, core_->begin(std::move(request), std::move(completion))};
    }

private:
    void close() noexcept {
        if (const detail::Ref<detail::CurlCore> core = std::move(core_)) core->close();
    }

    detail::Ref<detail::CurlCore> core_;
};

}}}  // namespace belay::curl
