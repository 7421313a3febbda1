// SPDX-License-Identifier: MIT
// Goal: a request reaches only its server: certificates are verified, redirections stay within
// their origin, and libcurl's own options can be set. Method: a real server, with a certificate
// of the test.
#include <belay/curl/http.hpp>

#include <string>
#include <string_view>

#include "support/catch.hpp"
#include "support/curl/http_rig.hpp"
#include "support/openssl/certificate.hpp"
#include "support/openssl/certificate_authority.hpp"

using namespace belay;
using belay_test::Certificate;
using belay_test::HttpServer;
using belay_test::RequestRecord;

namespace {

using OriginRig = belay_test::HttpRig<curl::Http>;

auto trusting_file(const std::string& file) {
    return [file](CURL* curl) { return curl_easy_setopt(curl, CURLOPT_CAINFO, file.c_str()); };
}
HttpRequest following(std::string url) { return {.url = std::move(url), .redirects = true}; }

}  // namespace

TEST_CASE("curl::Http verifies a server by its certificate, for its name",
          "[curl][http_origin][unit]") {
    const Certificate certificate{"DNS:localhost"};
    HttpServer server{certificate.arguments()};
    OriginRig trusts{trusting_file(certificate.file())};
    CHECK(trusts.get(server.tls_url("localhost", "/hello")).body == "hello");

    const auto refused = [](tls::Errc why) {
        return HttpResponse{.failure = Failure::from(why), .sent = false};
    };
    CHECK(trusts.get(server.tls_url("127.0.0.1", "/hello")) ==
          refused(tls::Errc::certificate_other_name));
    OriginRig other;
    CHECK(other.get(server.tls_url("localhost", "/hello")) ==
          refused(tls::Errc::certificate_self_signed));
    // Only a client with that option connects without verification.
    OriginRig trusts_all{
        [](CURL* curl) { return curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 0L); }};
    CHECK(trusts_all.get(server.tls_url("localhost", "/hello")).body == "hello");

    // TLS fails with a server without TLS, and a plain request fails with a TLS server.
    const HttpResponse no_tls =
        trusts.get("https://localhost:" + std::to_string(server.port) + "/hello");
    CHECK(no_tls.failure.error() == HttpErrc::tls_failed);
    CHECK_FALSE(no_tls.sent);
    const HttpResponse in_clear =
        trusts.get("http://localhost:" + std::to_string(server.tls) + "/hello");
    CHECK_FALSE(in_clear.complete());
    CHECK(in_clear.sent);
}

TEST_CASE("curl::Http names the reason why it does not accept a certificate",
          "[curl][http_origin][unit]") {
    const belay_test::CertificateCases cases;
    for (const belay_test::CertificateCase& c : cases.all) {
        INFO(c.what);
        HttpServer server{{c.server.certificates, c.server.key}};
        OriginRig rig{[&](CURL* curl) {
            if (c.trusted.empty()) return CURLE_OK;  // the default issuers of this machine
            const CURLcode code = curl_easy_setopt(curl, CURLOPT_CAINFO, c.trusted.c_str());
            if (code != CURLE_OK || !c.checks_revocation) return code;
            return curl_easy_setopt(curl, CURLOPT_CRLFILE, c.trusted.c_str());
        }};
        const HttpResponse page = rig.get(server.tls_url(c.host, "/hello"));
        // libcurl checks the name last.
        const bool dates_first = std::string_view{c.what} == "expired, and another name";
        CHECK(page.failure.error() ==
              (dates_first ? make_error_code(tls::Errc::certificate_expired) : c.error));
        CHECK(page.sent == !c.error);
        CHECK(page.status == (c.error ? 0 : 200));
    }
}

TEST_CASE("curl::Http's setup function cannot override its guarantees, and its errors count",
          "[curl][http_origin][unit]") {
    HttpServer server;
    OriginRig follows{
        [](CURL* curl) { return curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 1L); }};
    CHECK(follows.get(server.url("/redirect/302?" + server.other_url("/hello"))).status == 302);
    OriginRig refuses{[](CURL*) { return CURLE_UNKNOWN_OPTION; }};
    const HttpResponse refused = refuses.get(server.url("/hello"));
    CHECK(refused.failure == Failure::from(HttpErrc::client_failed));
    CHECK_FALSE(refused.sent);
    OriginRig no_such_file{trusting_file("no such file")};
    CHECK(no_such_file.get("https://127.0.0.1:" + std::to_string(server.port)).failure ==
          Failure::from(HttpErrc::client_failed));
}

TEST_CASE("curl::Http connects through a proxy, which may reject it", "[curl][http_origin][unit]") {
    HttpServer server;
    OriginRig rig{[proxy = server.url("")](CURL* curl) {
        return curl_easy_setopt(curl, CURLOPT_PROXY, proxy.c_str());
    }};
    // The server's pages are no proxy: "GET http://..." has no page, and neither has "CONNECT ...".
    CHECK(rig.get("http://elsewhere.invalid/hello").status == 404);
    const HttpResponse refused = rig.get("https://elsewhere.invalid/hello");
    CHECK(refused ==
          HttpResponse{.failure = Failure::from(HttpErrc::proxy_rejected), .sent = false});
    OriginRig nobody{
        [](CURL* curl) { return curl_easy_setopt(curl, CURLOPT_PROXY, "nobody.invalid:1"); }};
    CHECK(nobody.get("http://elsewhere.invalid/").failure ==
          Failure::from(HttpErrc::proxy_not_connected));
}

TEST_CASE("curl::Http follows no redirection unless the request allows it",
          "[curl][http_origin][unit]") {
    HttpServer server;
    OriginRig rig;
    const HttpResponse moved = rig.get(server.url("/redirect/302?/hello"));
    CHECK(moved.status == 302);
    CHECK(moved.body == "moved");
    CHECK(*moved.headers.find("Location") == "/hello");
    CHECK(http_failure(moved).cause == Cause::permanent);
    CHECK(rig.requests_received(server, "GET /hello") == 0);
}

TEST_CASE("curl::Http follows redirections within the origin, at most three",
          "[curl][http_origin][unit]") {
    HttpServer server;
    OriginRig rig;
    CHECK(rig.fetch(following(server.url("/redirect/302?/hello"))).body == "hello");
    CHECK(rig.fetch(following(server.url("/redirect/307?" + server.url("/hello")))).body ==
          "hello");
    // Only the last head and its body are passed on.
    RequestRecord record;
    HttpRequest in_pieces = following(server.url("/redirect/301?/hello"));
    in_pieces.on_chunk = record.on_chunk();
    rig.fetch(std::move(in_pieces));
    CHECK(record.pieces == std::vector<std::string>{"200:", "200:hello"});

    const HttpResponse last = rig.fetch(following(server.url("/loop")));
    CHECK(last.status == 302);
    CHECK(rig.requests_received(server, "GET /loop") == 4);
}

TEST_CASE("curl::Http follows no redirection to another origin", "[curl][http_origin][fault]") {
    const Certificate certificate{"DNS:localhost"};
    HttpServer server{certificate.arguments()};
    OriginRig rig{trusting_file(certificate.file())};
    const std::string port = std::to_string(server.port);
    for (const std::string& target :
         {server.other_url("/hello"), std::string{"http://localhost:"} + port + "/hello",
          std::string{"//localhost:"} + port + "/hello", server.tls_url("localhost", "/hello"),
          std::string{"ftp://127.0.0.1:"} + port + "/hello", std::string{"file:///etc/passwd"},
          std::string{"http://user:secret@127.0.0.1:"} + port + "/hello", std::string{},
          std::string{"http://127.0.0.1/hello"}}) {
        INFO(target);
        const HttpResponse moved = rig.fetch(following(server.url("/redirect/302?" + target)));
        CHECK(moved.complete());
        CHECK(moved.status == 302);
        CHECK(moved.body == "moved");
    }
    CHECK(rig.requests_received(server, "GET /hello") == 0);
    // The same host without TLS is another origin, too.
    const std::string down = "http://localhost:" + port + "/hello";
    CHECK(rig.fetch(following(server.tls_url("localhost", "/redirect/302?" + down))).status == 302);
    CHECK(rig.fetch(following(server.tls_url("localhost", "/redirect/302?/hello"))).body ==
          "hello");
    CHECK(rig.fetch(following(server.tls_url(
                        "LOCALHOST", "/redirect/302?" + server.tls_url("localhost", "/hello"))))
              .body == "hello");
}

TEST_CASE("curl::Http repeats the method and body as the redirection requires",
          "[curl][http_origin][unit]") {
    HttpServer server;
    OriginRig rig;
    const auto post = [&](const std::string& status) {
        return rig
            .fetch({.url = server.url("/redirect/" + status + "?/echo"),
                    .method = "POST",
                    .headers = {{"X-Mine", "1"}},
                    .body = "body",
                    .redirects = true})
            .body;
    };
    for (const std::string status : {"307", "308"}) {
        CHECK(post(status).starts_with("POST /echo"));
        CHECK(post(status).ends_with("\nbody"));
    }
    for (const std::string status : {"301", "302", "303"}) {
        const std::string echo = post(status);
        CHECK(echo.starts_with("GET /echo"));
        CHECK(echo.find("X-Mine: 1") != echo.npos);
        CHECK(echo.find("body") == echo.npos);
        CHECK(echo.find("Content-Length") == echo.npos);
    }
    // 304 and similar statuses are no redirections.
    CHECK(rig.fetch(following(server.url("/redirect/300?/hello"))).status == 300);
}
