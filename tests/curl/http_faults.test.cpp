// SPDX-License-Identifier: MIT
// Goal: a fault of this side, or of its proxy, is reported as such, is neutral for the host, and is
// repeated only where that may help. Method: errors of connect(), which libcurl calls, options that
// libcurl cannot carry out, and proxies that refuse; every code of libcurl.
#include <belay/curl/http.hpp>
#include <belay/http/http_calls.hpp>

#include <cerrno>
#include <map>
#include <string>
#include <vector>

#include <arpa/inet.h>
#include <dlfcn.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <belay/drive.hpp>

#include "support/catch.hpp"
#include "support/curl/http_rig.hpp"
#include "support/openssl/certificate.hpp"

namespace {

/// The errors of connect() to addresses.
std::map<std::string, int> connect_errors;

}  // namespace

// This function replaces that of the C library, for libcurl, too.
extern "C" int connect(int socket, const sockaddr* to, socklen_t size) {
    if (to->sa_family == AF_INET && !connect_errors.empty()) {
        char text[INET_ADDRSTRLEN] = "";
        ::inet_ntop(AF_INET, &reinterpret_cast<const sockaddr_in*>(to)->sin_addr, text,
                    sizeof text);
        const auto error = connect_errors.find(text);
        if (error != connect_errors.end()) {
            errno = error->second;
            return -1;
        }
    }
    using Real = int (*)(int, const sockaddr*, socklen_t);
    static const auto real = reinterpret_cast<Real>(::dlsym(RTLD_NEXT, "connect"));
    return real(socket, to, size);
}

using namespace belay;
using namespace std::chrono_literals;
using belay_test::HttpServer;

namespace {

struct FaultsRig : belay_test::HttpRig<curl::Http> {
    explicit FaultsRig(detail::CurlConfigure configure = {})
        : belay_test::HttpRig<curl::Http>{std::move(configure)} {}
    ~FaultsRig() { connect_errors.clear(); }

    /// The results of 30 calls to a URL.
    struct Seen {
        std::error_code error;
        Failure::Origin origin = Failure::Origin::unset;
        std::uint64_t requests = 0;
        BreakerState breaker = BreakerState::closed;
    };
    Seen seen_at(const std::string& url) {
        LoopSleeper sleeper{loop};
        HttpCalls calls{http, sleeper, {.first_wait = 1ms, .wait_max = 2ms}};
        Seen seen;
        for (int i = 0; i < 30; ++i) {
            const auto out = calls.send_blocking(loop, {.url = url});
            if (out.last() == nullptr) break;  // the breaker is open
            seen.error = out.error();
            seen.origin = out.last()->failure.origin;
        }
        seen.requests = calls.counters().requests;
        seen.breaker = calls.breaker_state(url);
        return seen;
    }
    /// Checks that a failure of this side is neutral, and returns its error.
    std::error_code ours_at(const std::string& url, bool repeats) {
        const Seen seen = seen_at(url);
        CHECK(seen.origin == Failure::Origin::local);
        CHECK(seen.breaker == BreakerState::closed);
        CHECK(seen.requests == (repeats ? 120 : 30));
        return seen.error;
    }
};

/// Gives the name "two.test" two addresses, of which the first is dialled first.
detail::CurlConfigure with_addresses(const std::string& port, const std::string& addresses) {
    return [list = "two.test:" + port + ":" + addresses](CURL* curl) {
        static curl_slist* hosts = nullptr;
        curl_slist_free_all(std::exchange(hosts, nullptr));
        hosts = curl_slist_append(nullptr, list.c_str());
        // Else libcurl waits for 200 ms before it dials the second address.
        curl_easy_setopt(curl, CURLOPT_HAPPY_EYEBALLS_TIMEOUT_MS, 1L);
        return curl_easy_setopt(curl, CURLOPT_RESOLVE, hosts);
    };
}
template <class T>
detail::CurlConfigure option(CURLoption which, T value) {
    return [=](CURL* curl) {
        if constexpr (std::is_same_v<T, std::string>) {
            return curl_easy_setopt(curl, which, value.c_str());
        } else {
            return curl_easy_setopt(curl, which, value);
        }
    };
}

}  // namespace

TEST_CASE("curl::Http maps each code of libcurl, and charges no fault of this side to the host",
          "[curl][http_faults][golden]") {
    const std::map<HttpErrc, std::vector<int>> table = {
        {HttpErrc::bad_url, {3}},
        {HttpErrc::name_not_found, {6}},
        {HttpErrc::not_connected, {7, 96, 97}},
        {HttpErrc::certificate_rejected, {60, 83, 90, 91}},
        {HttpErrc::tls_failed, {35, 101}},
        {HttpErrc::timed_out, {28}},
        {HttpErrc::not_http, {1, 8, 61}},
        {HttpErrc::too_long, {63, 100}},
        {HttpErrc::client_certificate, {58, 98}},
        {HttpErrc::proxy_not_connected, {5}},
        {HttpErrc::client_failed,
         {2, 4, 27, 41, 43, 45, 48, 49, 53, 54, 59, 66, 77, 82, 89, 93, 94, 99}}};
    std::map<HttpErrc, std::vector<int>> mapped;
    for (int code = 1; code < 110; ++code) {
        const HttpErrc errc = belay::detail::http_errc_of(static_cast<CURLcode>(code));
        if (errc != HttpErrc::lost) mapped[errc].push_back(code);
    }
    CHECK(mapped == table);
#if LIBCURL_VERSION_NUM >= 0x074900
    using belay::detail::http_errc_of_proxy;
    CHECK(http_errc_of_proxy(CURLPX_REPLY_CONNECTION_REFUSED) == HttpErrc::not_connected);
    CHECK(http_errc_of_proxy(CURLPX_RESOLVE_HOST) == HttpErrc::name_not_found);
    CHECK(http_errc_of_proxy(CURLPX_CLOSED) == HttpErrc::proxy_not_connected);
    CHECK(http_errc_of_proxy(CURLPX_REPLY_NOT_ALLOWED) == HttpErrc::proxy_rejected);
    CHECK(http_errc_of_proxy(CURLPX_USER_REJECTED) == HttpErrc::proxy_rejected);
#endif
}

TEST_CASE("curl::Http reports an error of this side's connect() with its code",
          "[curl][http_faults][regression]") {
    FaultsRig rig;
    for (const int passes : {ENOBUFS, ENOMEM, EADDRNOTAVAIL, ENETDOWN, ENETUNREACH}) {
        connect_errors["127.8.0.1"] = passes;
        CHECK(rig.ours_at("http://127.8.0.1:9/", true).value() == passes);
    }
    for (const int lasts : {EACCES, EPERM, EAFNOSUPPORT, EINVAL}) {
        connect_errors["127.8.0.1"] = lasts;
        CHECK(rig.ours_at("http://127.8.0.1:9/", false).value() == lasts);
    }
    for (const int theirs : {ECONNREFUSED, EHOSTUNREACH, ECONNRESET}) {
        connect_errors["127.8.0.1"] = theirs;
        const FaultsRig::Seen seen = rig.seen_at("http://127.8.0.1:9/");
        CHECK(seen.error == HttpErrc::not_connected);
        CHECK(seen.breaker == BreakerState::open);
    }
}

TEST_CASE(
    "curl::Http charges a host that refuses, also if this side lacks a route to another "
    "of its addresses",
    "[curl][http_faults][regression]") {
    for (const std::string addresses : {"127.8.0.1,127.8.0.2", "127.8.0.2,127.8.0.1"}) {
        INFO(addresses);
        FaultsRig rig{with_addresses("9", addresses)};
        connect_errors = {{"127.8.0.1", ENETUNREACH}, {"127.8.0.2", ECONNREFUSED}};
        const FaultsRig::Seen seen = rig.seen_at("http://two.test:9/");
        CHECK(seen.error == HttpErrc::not_connected);
        CHECK(seen.breaker == BreakerState::open);
        connect_errors["127.8.0.2"] = ENETUNREACH;
        CHECK(rig.ours_at("http://two.test:9/", true) == std::errc::network_unreachable);
    }
}

TEST_CASE("curl::Http reports what its configuration names and libcurl cannot use as this side's",
          "[curl][http_faults][regression]") {
    HttpServer server;
    const std::string port = std::to_string(server.port);
    const auto ours = [&](detail::CurlConfigure configure, const std::string& scheme) {
        return FaultsRig{std::move(configure)}.ours_at(scheme + "://127.0.0.1:" + port + "/hello",
                                                       false);
    };
    using std::string;
    CHECK(ours(option(CURLOPT_SSL_CIPHER_LIST, string{"none such"}), "https") ==
          HttpErrc::client_failed);
    CHECK(ours(option(CURLOPT_SSL_EC_CURVES, string{"none such"}), "https") ==
          HttpErrc::client_failed);
    CHECK(ours(option(CURLOPT_CAINFO, string{"/nowhere/ca.pem"}), "https") ==
          HttpErrc::client_failed);
    CHECK(ours(option(CURLOPT_CRLFILE, string{"/nowhere/crl.pem"}), "https") ==
          HttpErrc::client_failed);
    CHECK(ours(option(CURLOPT_SSLCERT, string{"/nowhere/client.pem"}), "https") ==
          HttpErrc::client_certificate);
    CHECK(ours(option(CURLOPT_INTERFACE, string{"none0"}), "http") == HttpErrc::client_failed);
    CHECK(ours(option(CURLOPT_INTERFACE, string{"host!192.0.2.1"}), "http") ==
          HttpErrc::client_failed);
}

TEST_CASE("curl::Http reports a proxy that is not there as this side's",
          "[curl][http_faults][regression]") {
    HttpServer server;
    server.stop();
    const auto proxy = [](const std::string& url) { return option(CURLOPT_PROXY, url); };
    for (const std::string url : {"http://elsewhere.test:9/", "https://elsewhere.test:9/"}) {
        INFO(url);
        FaultsRig nameless{proxy("http://nobody.invalid:3128")};
        // Once, because a name server may be slow.
        CHECK(nameless.get(url).failure == Failure::from(HttpErrc::proxy_not_connected));
        for (const std::string scheme : {"http", "socks5h", "socks4a"}) {
            FaultsRig refused{proxy(scheme + server.url("").substr(4))};
            CHECK(refused.ours_at(url, true) == HttpErrc::proxy_not_connected);
        }
    }
}

TEST_CASE(
    "curl::Http reports a proxy that rejects the request as this side's, and a host that the "
    "proxy does not reach as the host's",
    "[curl][http_faults][regression]") {
    const belay_test::Certificate certificate{"DNS:localhost"};
    HttpServer server{certificate.arguments()};
    const auto seen = [&](const std::string& status) {
        FaultsRig rig{option(CURLOPT_PROXY, server.url(""))};
        return rig.seen_at("https://proxied.example:" + status + "/");
    };
    const auto ours = [&](const std::string& status, bool repeats) {
        FaultsRig rig{option(CURLOPT_PROXY, server.url(""))};
        return rig.ours_at("https://proxied.example:" + status + "/", repeats);
    };
    CHECK(ours("403", false) == HttpErrc::proxy_rejected);
    CHECK(ours("407", false) == HttpErrc::proxy_rejected);
    CHECK(ours("429", true) == HttpErrc::proxy_not_connected);
    for (const std::string theirs : {"502", "503", "504"}) {
        CHECK(seen(theirs).error == HttpErrc::not_connected);
        CHECK(seen(theirs).breaker == BreakerState::open);
    }
    FaultsRig distrusted{option(CURLOPT_PROXY, "https://localhost:" + std::to_string(server.tls))};
    CHECK(distrusted.ours_at("http://elsewhere.test/", false) == HttpErrc::proxy_rejected);
}

TEST_CASE("curl::Http reports a proxy that is silent as this side's",
          "[curl][http_faults][regression]") {
    // Its backlog is full, so the kernel does not answer.
    const int full = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof at;
    REQUIRE(::bind(full, reinterpret_cast<sockaddr*>(&at), size) == 0);
    REQUIRE(::getsockname(full, reinterpret_cast<sockaddr*>(&at), &size) == 0);
    REQUIRE(::listen(full, 0) == 0);
    std::vector<int> waiting;
    for (int i = 0; i < 4; ++i) {
        waiting.push_back(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
        static_cast<void>(::connect(waiting.back(), reinterpret_cast<sockaddr*>(&at), size));
    }
    const std::string silent = "127.0.0.1:" + std::to_string(ntohs(at.sin_port));
    FaultsRig proxied{option(CURLOPT_PROXY, "http://" + silent)};
    const HttpResponse ours = proxied.fetch({.url = "http://elsewhere.test:9/", .deadline = 100ms});
    CHECK(ours.failure.error() == HttpErrc::timed_out);
    CHECK(ours.failure.origin == Failure::Origin::local);
    CHECK(ours.verdict({}) == HttpResponse::Verdict{true, HttpResponse::Verdict::Host::neutral});
    FaultsRig direct;
    const HttpResponse theirs = direct.fetch({.url = "http://" + silent, .deadline = 100ms});
    CHECK(theirs.failure == Failure::from(HttpErrc::timed_out));
    for (const int socket : waiting) ::close(socket);
    ::close(full);
}
