// SPDX-License-Identifier: MIT
// Goal: an AnyHttpCalls behaves like an HttpCalls over curl::Http. Method: a real server.
#include <belay/curl/any_http_calls.hpp>

#include <concepts>
#include <string>
#include <utility>

#include <belay/call/retry_outcome.hpp>

#include "support/catch.hpp"
#include "support/curl/http_rig.hpp"

using namespace belay;
using namespace std::chrono_literals;
using belay_test::HttpServer;

namespace {

HttpCallsOptions fast() { return {.first_wait = 10ms, .wait_max = 20ms}; }

}  // namespace

TEST_CASE("curl::AnyHttpCalls repeats requests like an HttpCalls, and counts them",
          "[curl][any_http_calls]") {
    HttpServer server;
    posix::Loop loop;
    curl::AnyHttpCalls calls{loop, fast()};
    const std::string url = server.url("/until/2/busy");
    const Outcome<HttpResponse> page = calls.send_blocking(loop, {.url = url});
    REQUIRE(page);
    CHECK(page->status == 200);
    CHECK(calls.counters().requests == 3);
    CHECK(calls.counters().succeeded == 1);
    CHECK(calls.options().first_wait == 10ms);
    CHECK(calls.breaker_state(url) == BreakerState::closed);
    CHECK(calls.breakers(BreakerState::closed) == 1);
    CHECK(calls.breakers(BreakerState::open) == 0);
}

TEST_CASE("curl::AnyHttpCalls sends requests of coroutines, and ends them by a stop",
          "[curl][any_http_calls]") {
    HttpServer server;
    posix::Loop loop;
    curl::AnyHttpCalls calls{loop, fast()};
    const StopSource stop;
    HttpRequest put{.url = server.url("/until/1/drop?any"), .method = "PUT", .body = "the body"};
    auto sending = calls.send(put);
    auto stoppable = calls.send(put, stop.token());
    auto getting = calls.get(server.url("/until/1/busy?any"));
    for (auto* task : {&sending, &stoppable, &getting}) {
        task->start();
        loop.run_until([&] { return task->done(); });
        const Outcome<HttpResponse> outcome = task->take();
        REQUIRE(outcome);
        CHECK(outcome->status == 200);
    }
    CHECK(put.body == "the body");

    stop.request_stop();
    auto stopped = calls.get(server.url("/never"), stop.token());
    stopped.start();
    loop.run_until([&] { return stopped.done(); });
    CHECK(stopped.take().error() == CallErrc::stopped);
    CHECK(calls.send_blocking(loop, {.url = server.url("/never")}, stop.token()).error() ==
          CallErrc::stopped);
    CHECK(calls.counters().rejected == 2);
}

TEST_CASE("curl::AnyHttpCalls passes its hooks and options of libcurl on",
          "[curl][any_http_calls]") {
    HttpServer server;
    posix::Loop loop;
    int configured = 0;
    HttpCallsOptions::Hooks hooks;
    hooks.classify = [](const HttpRequest&, const HttpResponse&, const HttpResponse::History&) {
        return std::optional{HttpResponse::Verdict{.repeats = false}};
    };
    curl::AnyHttpCalls calls{loop, fast(), std::move(hooks), [&](void* handle) {
                                 CHECK(handle != nullptr);
                                 ++configured;
                                 return 0;  // CURLE_OK
                             }};
    const auto outcome = calls.send_blocking(loop, {.url = server.url("/until/2/busy?hooks")});
    CHECK_FALSE(outcome);
    REQUIRE(outcome.last() != nullptr);
    CHECK(outcome.last()->status == 503);
    CHECK(calls.counters().requests == 1);
    CHECK(configured == 1);

    // An option that libcurl refuses is an error of the client.
    curl::AnyHttpCalls refused{loop, fast(), {}, [](void*) { return 48; }};  // unknown option
    CHECK(refused.send_blocking(loop, {.url = server.url("/")}).error() == HttpErrc::client_failed);
}
