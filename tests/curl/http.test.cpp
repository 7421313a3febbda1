// SPDX-License-Identifier: MIT
// Goal: a request returns the server's response, or the reason of its failure, within its
// limits. Method: a real server, good and bad.
#include <belay/curl/http.hpp>

#include <belay/core/clocks.hpp>

#include <stdexcept>
#include <string>

#include "support/catch.hpp"
#include "support/curl/http_rig.hpp"
#include "support/openssl/certificate.hpp"
#include "support/posix/inherited_sockets.hpp"

using namespace belay;
using namespace std::chrono_literals;
using belay_test::HttpServer;
using belay_test::RequestRecord;

namespace {

using CurlRig = belay_test::HttpRig<curl::Http>;
static_assert(explain::http_like<curl::Http>());

bool has_part(const std::string& text, const std::string& part) {
    return text.find(part) != text.npos;
}
Failure failure_by(HttpErrc e) { return Failure::from(e); }
/// A request that was sent must have no response, only an error.
HttpResponse ended_by(HttpErrc e, bool sent = true) {
    return {.failure = failure_by(e), .sent = sent};
}

CURLcode take_compressed(CURL* curl) { return curl_easy_setopt(curl, CURLOPT_ACCEPT_ENCODING, ""); }

}  // namespace

TEST_CASE("curl::Http fetches a page, and keeps the connection", "[curl][http][unit]") {
    HttpServer server;
    const int inherited = belay_test::inherited_sockets();
    CurlRig rig;
    const HttpResponse hello = rig.get(server.url("/hello"));
    CHECK(hello.complete());
    CHECK(hello.status == 200);
    CHECK(hello.body == "hello");
    CHECK(*hello.headers.find("content-length") == "5");
    CHECK(belay_test::inherited_sockets() == inherited);
    rig.get(server.url("/hello"));
    CHECK(has_part(rig.get(server.url("/log")).body, "GET /hello 1\nGET /hello 1"));
}

TEST_CASE("curl::Http sends method, headers and body as they are", "[curl][http][unit]") {
    HttpServer server;
    CurlRig rig;
    const std::string body = "{\"a\":\"\r\n\"}" + std::string(100'000, 'x') + std::string(1, '\0');
    const HttpResponse echo = rig.fetch(
        {.url = server.url("/echo/a/../b?c=%20#no"),
         .method = "POST",
         .headers = {{"Content-Type", "application/json"}, {"X-Empty", ""}, {"X-Tab", "a\tb"}},
         .body = body});
    // Dots in a path are passed to the server.
    CHECK(echo.body.starts_with("POST /echo/a/../b?c=%20\n"));
    CHECK(echo.body.ends_with("\n" + body));
    CHECK(has_part(echo.body, "\nContent-Type: application/json\n"));
    CHECK(has_part(echo.body, "\nX-Empty:\n"));
    CHECK(has_part(echo.body, "\nX-Tab: a\tb\n"));
    CHECK(has_part(echo.body, "\nContent-Length: " + std::to_string(body.size()) + "\n"));
    CHECK_FALSE(has_part(echo.body, "\nExpect:"));

    CHECK(rig.fetch({.url = server.url("/echo"), .method = "DELETE"})
              .body.starts_with("DELETE /echo"));
    const HttpResponse patch =
        rig.fetch({.url = server.url("/echo"), .method = "PATCH", .body = "p"});
    CHECK(patch.body.starts_with("PATCH /echo"));
    CHECK(patch.body.ends_with("\np"));
    // Without a Content-Type in the request, none is added.
    CHECK_FALSE(has_part(patch.body, "Content-Type"));
    const HttpResponse empty = rig.fetch({.url = server.url("/echo"), .method = "POST"});
    CHECK(has_part(empty.body, "\nContent-Length: 0\n"));
    const HttpResponse get = rig.fetch({.url = server.url("/echo"), .body = "of a GET"});
    CHECK(get.body.starts_with("GET /echo"));
    CHECK(get.body.ends_with("\nof a GET"));
    const HttpResponse head = rig.fetch({.url = server.url("/echo"), .method = "HEAD"});
    CHECK(head.status == 200);
    CHECK(head.body.empty());
}

TEST_CASE("curl::Http reads headers in any case, and of the last response only",
          "[curl][http][unit]") {
    HttpServer server;
    CurlRig rig;
    const HttpResponse page = rig.get(server.url("/headers"));
    CHECK(page.headers == HttpHeaders{{"Content-Length", "0"},
                                      {"X-One", "1"},
                                      {"x-one", "2"},
                                      {"X-Empty", ""},
                                      {"X-Colon", "a:b"}});
    CHECK(*page.headers.find("X-ONE") == "1");
    const HttpResponse hinted = rig.get(server.url("/interim"));
    CHECK(hinted.status == 200);
    CHECK(hinted.headers.find("X-Hint") == nullptr);
    CHECK(*hinted.headers.find("X-Real") == "1");
    // Trailers after the body are no headers, and do not change the status.
    const HttpResponse trailed = rig.get(server.url("/trailer"));
    CHECK(trailed.status == 200);
    CHECK(trailed.body == "body");
    CHECK(trailed.headers.find("X-Trailer") == nullptr);
}

TEST_CASE("curl::Http returns each status unchanged, with its cause and Retry-After",
          "[curl][http][unit]") {
    HttpServer server;
    CurlRig rig;
    const HttpResponse busy = rig.get(server.url("/status/503?Retry-After:%207"));
    CHECK(busy.complete());
    CHECK(busy.status == 503);
    CHECK(busy.body == "no");
    CHECK(http_failure(busy).cause == Cause::overloaded);
    CHECK(http_failure(busy).retry_after == 7s);
    CHECK(http_failure(rig.get(server.url("/status/503"))).retry_after == 0s);
    CHECK(http_failure(rig.get(server.url("/status/401"))).cause == Cause::unauthorized);
    CHECK(http_failure(rig.get(server.url("/nowhere"))).cause == Cause::permanent);
}

TEST_CASE("curl::Http rejects invalid requests without sending them", "[curl][http][unit]") {
    HttpServer server;
    CurlRig rig;
    const auto refused = [&](HttpRequest request) {
        RequestRecord record;
        const auto handle = rig.http.request(std::move(request), record.completion());
        // The rejection needs no loop.
        REQUIRE(record.response);
        return *record.response;
    };
    for (const std::string url :
         {"", "127.0.0.1", "/hello", "ftp://127.0.0.1/", "file:///etc/passwd", "http://",
          "http://user:secret@127.0.0.1/", "http://user@127.0.0.1/", "http://127.0.0.1/a b",
          "http:///127.0.0.1/", "http:/127.0.0.1/", "http:127.0.0.1/", "http://127.0.0.1/\r\nX: y",
          "http://127.0.0.1:99999/", "gopher://127.0.0.1/"}) {
        INFO(url);
        CHECK(refused({.url = url}) == ended_by(HttpErrc::bad_url, false));
    }
    CHECK(refused({.url = std::string{"http://127.0.0.1/\0/b", 20}}) ==
          ended_by(HttpErrc::bad_url, false));
    const std::string url = server.url("/hello");
    const HttpResponse bad = ended_by(HttpErrc::bad_text, false);
    for (const std::string method : {"", "GET /", "GET\r\n", "G(T", "\x7F"}) {
        CHECK(refused({.url = url, .method = method}) == bad);
    }
    const auto with = [&](std::string name, std::string value) {
        return refused({.url = url, .headers = {{std::move(name), std::move(value)}}});
    };
    CHECK(with("X", "a\r\nAuthorization: stolen") == bad);
    CHECK(with("X", "a\nb") == bad);
    CHECK(with("X", std::string{"a\0b", 3}) == bad);
    CHECK(with("X\r\nY", "a") == bad);
    CHECK(with("X:", "a") == bad);
    CHECK(with("", "a") == bad);
    CHECK(with("X", std::string(40'000, 'a')) == bad);
    CHECK(with("content-length", "3") == bad);
    CHECK(with("Transfer-Encoding", "chunked") == bad);
    CHECK(bad.failure.message() ==
          "permanent: the method or a header is not allowed: it is too long, contains a control "
          "character, or sets the length of the request; or a HEAD request has a body");
    CHECK(refused({.url = url, .method = "HEAD", .body = "a"}) == bad);
    CHECK(rig.requests_received(server, "GET /hello") == 0);
}

TEST_CASE("curl::Http whose configure throws drops the completion of that request, and continues",
          "[curl][http][fault]") {
    HttpServer server;
    bool throws = true;
    posix::Loop<> loop;
    curl::Http http{loop, [&](CURL*) -> CURLcode {
                        if (throws) throw std::runtime_error{"configure"};
                        return CURLE_OK;
                    }};
    RequestRecord first;
    CHECK_THROWS_AS(
        static_cast<void>(http.request({.url = server.url("/hello")}, first.completion())),
        std::runtime_error);
    CHECK(first.reported);
    CHECK_FALSE(first.response);
    throws = false;
    RequestRecord second;
    const auto call = http.request({.url = server.url("/hello")}, second.completion());
    REQUIRE(loop.run_until([&] { return second.reported; }));
    REQUIRE(second.response);
    CHECK(second.response->body == "hello");
}

TEST_CASE("curl::Http reports that a request was never sent", "[curl][http][unit]") {
    HttpServer server;
    CurlRig rig;
    CHECK(rig.get("http://does-not-exist.invalid/") == ended_by(HttpErrc::name_not_found, false));
    server.stop();
    CHECK(rig.get(server.url("/hello")) == ended_by(HttpErrc::not_connected, false));
    CHECK(ended_by(HttpErrc::not_connected).failure.cause == Cause::refused);
}

TEST_CASE("curl::Http does not accept an incomplete response", "[curl][http][fault]") {
    HttpServer server;
    CurlRig rig;
    for (const std::string path : {"/half", "/half-chunked"}) {
        const HttpResponse half = rig.get(server.url(path));
        CHECK(half.failure == failure_by(HttpErrc::lost));
        CHECK(half.status == 200);
        CHECK(half.body == "half");
        CHECK(half.sent);
    }
    CHECK(rig.get(server.url("/drop")) == ended_by(HttpErrc::lost));
    CHECK(rig.get(server.url("/half-head")) == ended_by(HttpErrc::lost));
    CHECK(rig.get(server.url("/garbage")) == ended_by(HttpErrc::not_http));
}

TEST_CASE("curl::Http accepts compressed bodies only if it is configured to",
          "[curl][http][unit]") {
    HttpServer server;
    CurlRig plain;
    // libcurl reports a truncated compressed body as complete.
    CHECK_FALSE(has_part(plain.get(server.url("/echo")).body, "Accept-Encoding"));
    const HttpResponse packed = plain.get(server.url("/gzip"));
    CHECK(packed.body.starts_with("\x1f\x8b"));
    CHECK(*packed.headers.find("Content-Encoding") == "gzip");
    CurlRig rig{take_compressed};
    CHECK(has_part(rig.get(server.url("/echo")).body, "Accept-Encoding: "));
    const HttpResponse unpacked = rig.get(server.url("/bad-gzip"));
    CHECK(unpacked.failure == failure_by(HttpErrc::not_http));
    CHECK(unpacked.body.empty());
}

TEST_CASE("curl::Http limits the decompressed body", "[curl][http][fault]") {
    HttpServer server;
    CurlRig rig{take_compressed};
    CHECK(rig.get(server.url("/gzip")).body.size() == 5000);
    CHECK(rig.fetch({.url = server.url("/gzip"), .body_bytes_max = 5000}).complete());
    const HttpResponse over = rig.fetch({.url = server.url("/gzip"), .body_bytes_max = 4999});
    CHECK(over.failure == failure_by(HttpErrc::too_long));
    CHECK(over.body.size() <= 4999);
    const HttpResponse bomb = rig.get(server.url("/bomb"));
    CHECK(bomb.failure == failure_by(HttpErrc::too_long));
    CHECK(bomb.body.size() <= HttpRequest{}.body_bytes_max);
    CHECK(rig.fetch({.url = server.url("/endless"), .body_bytes_max = 100'000}).failure ==
          failure_by(HttpErrc::too_long));
    CHECK(rig.fetch({.url = server.url("/hello"), .body_bytes_max = 0}).failure ==
          failure_by(HttpErrc::too_long));
    CHECK(rig.fetch({.url = server.url("/status/204"), .method = "HEAD", .body_bytes_max = 0})
              .complete());
}

TEST_CASE("curl::Http limits headers, too", "[curl][http][fault]") {
    HttpServer server;
    CurlRig rig;
    CHECK(rig.get(server.url("/long-line")) == ended_by(HttpErrc::too_long));
    CHECK(rig.get(server.url("/many-lines")) == ended_by(HttpErrc::too_long));
    const HttpResponse trailed = rig.get(server.url("/many-trailers"));
    CHECK(trailed.failure == failure_by(HttpErrc::too_long));
    CHECK(trailed.status == 200);
}

TEST_CASE("curl::Http ends a request at its deadline in every phase of it", "[curl][http][fault]") {
    HttpServer server;
    CurlRig watcher;
    ManualClock clock;
    posix::Loop loop{clock.view()};
    curl::Http http{loop};
    const auto round = [&] { REQUIRE(loop.run_until([] { return true; })); };
    RequestRecord record;

    SECTION("the server never answers") {
        const auto handle =
            http.request({.url = server.url("/never"), .deadline = 10s}, record.completion());
        while (watcher.requests_received(server, "GET /never") == 0) round();
        clock.advance(10s - 1ns);
        round();
        CHECK_FALSE(record.reported);
        clock.advance(1ns);
        round();
        REQUIRE(record.response);
        CHECK(*record.response == ended_by(HttpErrc::timed_out));
    }
    SECTION("the server sends all the time, and never ends") {
        const auto handle = http.request({.url = server.url("/endless"),
                                          .deadline = 10s,
                                          .body_bytes_max = HttpRequest::no_limit,
                                          .on_chunk = record.on_chunk()},
                                         record.completion());
        while (record.pieces.size() < 2) round();
        clock.advance(10s);
        round();
        REQUIRE(record.response);
        CHECK(record.response->failure == failure_by(HttpErrc::timed_out));
        CHECK(record.response->status == 200);
    }
}

TEST_CASE("curl::Http does not send a request whose deadline has passed", "[curl][http][fault]") {
    HttpServer server;
    CurlRig rig;
    const Duration rest = GENERATE(as<Duration>{}, 0s, -1ns, Duration::min());
    CHECK(rig.fetch({.url = server.url("/hello"), .deadline = rest}) ==
          ended_by(HttpErrc::timed_out, false));
    CHECK(rig.requests_received(server, "GET /hello") == 0);
}

TEST_CASE("curl::Http ends a request to a frozen server", "[curl][http][fault]") {
    HttpServer server;
    CurlRig rig;
    // The kernel of the server accepts the connection, and the request.
    server.freeze();
    const HttpResponse frozen = rig.fetch({.url = server.url("/hello"), .deadline = 50ms});
    CHECK(frozen.failure == failure_by(HttpErrc::timed_out));
    server.thaw();
    CHECK(rig.get(server.url("/hello")).body == "hello");
    // A request that the server has received is never reported as unsent.
    if (rig.requests_received(server, "GET /hello") == 2) CHECK(frozen.sent);
}

TEST_CASE("curl::Http keeps the deadline when the server's TLS hangs", "[curl][http][fault]") {
    HttpServer server;
    server.freeze();
    CurlRig rig;
    // No byte of the request was sent yet.
    CHECK(rig.fetch({.url = "https://127.0.0.1:" + std::to_string(server.port),
                     .deadline = 50ms}) == ended_by(HttpErrc::timed_out, false));
}

TEST_CASE("curl::Http never sends a body again on its own", "[curl][http][regression]") {
    HttpServer server;
    CurlRig rig;
    const auto ask_twice = [&](HttpRequest second) {
        CHECK(rig.get(server.url("/once")).body == "once");
        return rig.fetch(std::move(second));
    };
    // The server has read the body, and closes the kept connection without a response.
    const std::string url = server.url("/echo");
    CHECK(ask_twice({.url = url, .method = "POST", .body = "pay"}) == ended_by(HttpErrc::lost));
    CHECK(rig.requests_received(server, "POST /echo") == 1);
    // A request without a body uses a connection of its own.
    CHECK(ask_twice({.url = url, .method = "POST"}).complete());
    CHECK(rig.requests_received(server, "POST /echo") == 2);
    // A request that changes nothing is sent again.
    CHECK(ask_twice({.url = server.url("/hello")}).body == "hello");
    CHECK(rig.requests_received(server, "GET /hello") == 2);
}

TEST_CASE("curl::Http gives no request a response that came on an idle connection",
          "[curl][http][regression]") {
    HttpServer server;
    CurlRig rig;
    CHECK(rig.get(server.url("/kept")).body == "kept");
    // A request on another connection, so that the server sends two responses to one request.
    CHECK(rig.fetch({.url = server.url("/unasked"), .method = "POST"}).body == "done");
    for (int i = 0; i < 3; ++i) CHECK(rig.get(server.url("/hello")).body == "hello");
    // It was not sent twice, and a body goes over a good connection, too.
    CHECK(rig.requests_received(server, "GET /hello") == 3);
    CHECK(rig.get(server.url("/kept")).body == "kept");
    CHECK(rig.fetch({.url = server.url("/unasked"), .method = "POST"}).body == "done");
    const HttpResponse paid =
        rig.fetch({.url = server.url("/echo"), .method = "POST", .body = "pay"});
    CHECK(has_part(paid.body, "pay"));
    CHECK(rig.requests_received(server, "POST /echo") == 1);
}

TEST_CASE("curl::Http returns the last response if libcurl authenticates in two steps",
          "[curl][http][regression]") {
    HttpServer server;
    CurlRig rig{[](CURL* curl) {
        const CURLcode code = curl_easy_setopt(curl, CURLOPT_HTTPAUTH, CURLAUTH_DIGEST);
        return code != CURLE_OK ? code : curl_easy_setopt(curl, CURLOPT_USERPWD, "me:secret");
    }};
    for (const char* const method : {"GET", "POST", "PUT"}) {
        INFO(method);
        const std::string body = method == std::string{"GET"} ? "" : "pay";
        const HttpResponse page =
            rig.fetch({.url = server.url("/digest"), .method = method, .body = body});
        CHECK(page.complete());
        CHECK(page.status == 200);
        CHECK(page.headers.find("X-First") == nullptr);
        CHECK(page.body.starts_with(method + std::string{" /digest"}));
        CHECK(page.body.ends_with(body));
    }
    RequestRecord record;
    HttpRequest request{.url = server.url("/digest")};
    request.on_chunk = record.on_chunk();
    const auto handle = rig.http.request(std::move(request), record.completion());
    rig.until([&] { return record.ended(); });
    REQUIRE(record.response);
    CHECK(record.response->status == 200);
    CHECK(record.pieces.back().starts_with("200:GET /digest"));
}

TEST_CASE("curl::Http accepts no protocol that a server switches to", "[curl][http][fault]") {
    HttpServer server;
    CurlRig rig;
    CHECK(rig.get(server.url("/switch")) == ended_by(HttpErrc::not_http));
    RequestRecord record;
    HttpRequest request{.url = server.url("/switch")};
    request.on_chunk = record.on_chunk();
    const auto handle = rig.http.request(std::move(request), record.completion());
    rig.until([&] { return record.ended(); });
    CHECK(record.pieces.empty());
    CHECK(record.response == ended_by(HttpErrc::not_http));
    CHECK(rig.get(server.url("/hello")).body == "hello");
}
