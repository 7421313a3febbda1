// SPDX-License-Identifier: MIT
// Goal: HttpCalls over curl::Http works with a server that is busy, killed, frozen, or cuts its
// responses, and never repeats a request that must be sent once. Method: a real server.
#include <belay/curl/http.hpp>
#include <belay/http/http_calls.hpp>

#include <optional>
#include <string>

#include <sys/resource.h>
#include <unistd.h>

#include <belay/drive.hpp>

#include "support/catch.hpp"
#include "support/curl/http_rig.hpp"

using namespace belay;
using namespace std::chrono_literals;
using belay_test::HttpServer;

namespace {

struct CallsFixture : belay_test::HttpRig<curl::Http> {
    explicit CallsFixture(HttpCallsOptions options = {}) : calls{http, sleeper, options} {}

    Outcome<HttpResponse> send(HttpRequest request) {
        auto task = calls.send(request);
        task.start();
        until([&] { return task.done(); });
        return task.take();
    }

    LoopSleeper<posix::Loop<>> sleeper{loop};
    HttpCalls<curl::Http, LoopSleeper<posix::Loop<>>> calls;
};

}  // namespace

TEST_CASE("HttpCalls repeats requests that a real server did not complete",
          "[curl][http_calls][fault]") {
    HttpServer server;
    CallsFixture rig{{.first_wait = 10ms,
                      .wait_max = 20ms,
                      .budget = TokenBudgetOptions::grpc(1000, 1000),
                      .breaker = {.percent = 0}}};
    for (const std::string fault : {"busy", "half", "half_chunked", "half_head", "drop"}) {
        INFO(fault);
        const std::string target = "/until/2/" + fault;
        const auto put =
            rig.send({.url = server.url(target), .method = "PUT", .body = "the whole body"});
        REQUIRE(put);
        CHECK(put->body.ends_with("the whole body"));
        CHECK(rig.requests_received(server, "PUT " + target) == 3);
        // The server may have executed the request.
        CHECK_FALSE(rig.send({.url = server.url(target + "?post"), .method = "POST", .body = "b"}));
        CHECK(rig.requests_received(server, "POST " + target + "?post") == 1);
        const auto keyed = rig.send({.url = server.url(target + "?key"),
                                     .method = "POST",
                                     .headers = {{"Idempotency-Key", "k1"}},
                                     .body = "b"});
        REQUIRE(keyed);
        CHECK(keyed->body.find("Idempotency-Key: k1") != std::string::npos);
        CHECK(rig.requests_received(server, "POST " + target + "?key") == 3);
    }
}

TEST_CASE("HttpCalls waits for the Retry-After of a real server", "[curl][http_calls][unit]") {
    HttpServer server;
    CallsFixture rig;
    const Instant begun = rig.loop.now();
    CHECK(rig.send({.url = server.url("/until/1/busy?once")}));
    CHECK(elapsed(begun, rig.loop.now()) >= 1s);
    // It does not wait if the time is too long: the caller gets the response.
    const auto long_wait = rig.send({.url = server.url("/status/503?Retry-After:%203600")});
    CHECK(long_wait.error() == std::error_code{503, http_category()});
    CHECK(http_failure(*long_wait.last()).retry_after == 1h);
    CHECK(rig.requests_received(server, "GET /status/503?Retry-After:%203600") == 1);
}

TEST_CASE("HttpCalls reaches a real server that was down and listens again",
          "[curl][http_calls][fault]") {
    HttpServer server;
    server.stop();
    CallsFixture rig{{.attempts_max = 50,
                      .first_wait = 20ms,
                      .wait_max = 40ms,
                      .budget = TokenBudgetOptions::grpc(1000, 1000),
                      .breaker = {.percent = 0}}};
    HttpRequest post{.url = server.url("/echo"), .method = "POST", .body = "once"};
    auto task = rig.calls.send(post);
    task.start();
    rig.until([&] { return rig.calls.counters().requests >= 3; });
    server.start();
    rig.until([&] { return task.done(); });
    // No byte was sent before, so a POST is repeated, too, and arrives once.
    CHECK(task.take());
    CHECK(rig.requests_received(server, "POST /echo") == 1);
}

TEST_CASE("HttpCalls ends when a real server is killed, and opens its breaker",
          "[curl][http_calls][fault]") {
    HttpServer server;
    CallsFixture rig{
        {.first_wait = 1ms, .wait_max = 2ms, .breaker = {.percent = 50, .min_calls = 5}}};
    const std::string url = server.url("/never");
    auto under_way = rig.calls.get(url);
    under_way.start();
    REQUIRE(rig.send({.url = server.url("/hello")}));
    server.kill();
    rig.until([&] { return under_way.done(); });
    CHECK(cause_of(under_way.take().error()) == Cause::refused);
    const auto refused = rig.send({.url = url});
    CHECK_FALSE(refused);
    CHECK(rig.calls.breaker_state(url) == BreakerState::open);
    CHECK(rig.send({.url = url}).error() == CallErrc::call_rejected);
}

TEST_CASE("HttpCalls repeats a request to a real server that was frozen",
          "[curl][http_calls][fault]") {
    HttpServer server;
    CallsFixture rig{{.first_wait = 1ms, .wait_max = 2ms, .attempt_timeout = 200ms}};
    server.freeze();
    auto task = rig.calls.get(server.url("/hello"));
    task.start();
    rig.until([&] { return rig.calls.counters().requests == 2; });
    server.thaw();
    rig.until([&] { return task.done(); });
    CHECK(task.take());
    // The server may have executed a POST by then.
    server.freeze();
    const auto post = rig.send({.url = server.url("/hello"), .method = "POST", .deadline = 200ms});
    CHECK(post.error() == HttpErrc::timed_out);
    CHECK(rig.calls.counters().not_repeated == 1);
    server.thaw();
}

TEST_CASE("HttpCalls::send_blocking runs a posix::Loop", "[curl][http_calls][unit]") {
    HttpServer server;
    CallsFixture rig{{.deadline_header = "X-Timeout-Ms"}};
    const auto page = rig.calls.send_blocking(rig.loop, {.url = server.url("/echo")});
    REQUIRE(page);
    CAPTURE(page->body);
    CHECK(page->body.find("X-Timeout-Ms: 10000") != std::string::npos);
}

TEST_CASE("HttpCalls sends no hedged request through a client that was destroyed",
          "[curl][http_calls][regression]") {
    HttpServer server;
    posix::Loop<> loop;
    LoopSleeper sleeper{loop};
    std::optional<curl::Http> http;
    http.emplace(loop);
    HttpCalls calls{*http, sleeper, {.hedge_after = 1h}};
    auto task = calls.get(server.url("/never"));
    task.start();
    loop.post([&] { http.reset(); });
    REQUIRE(loop.run_until([&] { return task.done(); }, 40s));
    CHECK(task.take().error() == HttpErrc::client_failed);
    CHECK(calls.counters().requests == 1);
}

TEST_CASE("HttpCalls over curl::Http is neutral to faults of this program",
          "[curl][http_calls][regression]") {
    // The server is not asked, so it needs no TLS.
    HttpServer server;
    belay_test::HttpRig<curl::Http> rig{
        [](CURL* curl) { return curl_easy_setopt(curl, CURLOPT_SSLCERT, "/nowhere/client.pem"); }};
    LoopSleeper sleeper{rig.loop};
    HttpCalls calls{rig.http, sleeper};
    const std::string url = "https://127.0.0.1:" + std::to_string(server.port);
    for (int i = 0; i < 30; ++i) {
        const auto out = calls.send_blocking(rig.loop, {.url = url});
        CHECK(out.error() == HttpErrc::client_certificate);
    }
    CHECK(calls.counters().requests == 30);
    CHECK(calls.breaker_state(url) == BreakerState::closed);
}

TEST_CASE("curl::Http reports that this program has no descriptors",
          "[curl][http_calls][regression]") {
    HttpServer server;
    CallsFixture rig{{.attempts_max = 1}};
    REQUIRE(rig.send({.url = server.url("/hello")}));
    // Fills the table of descriptors, of which the loop and libcurl have theirs by now.
    rlimit old{};
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &old) == 0);
    const rlimit few{.rlim_cur = 64, .rlim_max = old.rlim_max};
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &few) == 0);
    std::vector<int> all;
    for (int fd = ::dup(0); fd >= 0; fd = ::dup(0)) all.push_back(fd);
    std::vector<std::error_code> seen;
    for (int i = 0; i < 30; ++i) {
        const auto out = rig.send({.url = server.other_url("/hello")});
        seen.push_back(out.error());
        // The C library, which cannot open its files, reports an unknown name.
        seen.push_back(rig.send({.url = "http://named.example/"}).error());
    }
    const BreakerState state = rig.calls.breaker_state(server.other_url("/"));
    for (const int fd : all) ::close(fd);
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &old) == 0);
    for (const std::error_code& error : seen) CHECK(error == std::errc::too_many_files_open);
    CHECK(state == BreakerState::closed);
    CHECK(rig.send({.url = server.other_url("/hello")}));
}

TEST_CASE("curl::Http reports a proxy that rejects this program's credentials",
          "[curl][http_calls][regression]") {
    HttpServer server;
    belay_test::HttpRig<curl::Http> rig{[proxy = server.url("")](CURL* curl) {
        return curl_easy_setopt(curl, CURLOPT_PROXY, proxy.c_str());
    }};
    LoopSleeper sleeper{rig.loop};
    HttpCalls calls{rig.http, sleeper};
    for (const std::string scheme : {"https", "http"}) {
        INFO(scheme);
        const std::string url = scheme + "://proxied.example:407/";
        const auto out = calls.send_blocking(rig.loop, {.url = url});
        if (scheme == "https") {
            CHECK(out.error() == HttpErrc::proxy_rejected);
        } else {
            CHECK(out.error() == std::error_code{407, http_category()});
        }
    }
    CHECK(calls.counters().requests == 2);
}
