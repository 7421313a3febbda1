// SPDX-License-Identifier: MIT
// Goal: the metrics of HTTP calls have all their numbers. Method: structured bindings that name
// each member; one call to a server that is busy once.
#include <belay/http/http_metrics.hpp>

#include "support/catch.hpp"
#include "support/http/scripted_http.hpp"
#include "support/metrics/collected.hpp"

using namespace belay;
using belay_test::Collected;

TEST_CASE("visit_metrics passes each member of HttpCallsCounters", "[http][metrics][unit]") {
    HttpCallsCounters counters;
    auto& [calls, succeeded, failed, rejected, dropped, unanswered, requests, retries, hedges,
           shared, not_repeated, over_budget, hosts, hosts_evicted, hosts_overflow] = counters;
    belay_test::check_each_member_visited(
        counters, calls, succeeded, failed, rejected, dropped, unanswered, requests, retries,
        hedges, shared, not_repeated, over_budget, hosts, hosts_evicted, hosts_overflow);
}

TEST_CASE("visit_metrics passes the counters of an HttpCalls", "[http][metrics][unit]") {
    belay_test::AsyncSleeper sleeper;
    belay_test::ScriptedHttp http{sleeper};
    http.script = {{belay_test::status(503)}, {belay_test::status(200)}};
    HttpCalls calls{http, sleeper};
    auto call = calls.get("http://a.example/x");
    call.start();
    sleeper.run();
    REQUIRE(call.done());
    const Collected collected{calls};
    CHECK(collected["http_calls.calls"] == 1);
    CHECK(collected["http_calls.succeeded"] == 1);
    CHECK(collected["http_calls.requests"] == 2);
    CHECK(collected["http_calls.retries"] == 1);
    CHECK(collected["http_calls.hosts"] == 1);
    CHECK(collected["http_calls.failed"] == 0);
}

TEST_CASE("visit_metrics passes the number of hosts with a breaker in each state",
          "[http][metrics][unit]") {
    belay_test::AsyncSleeper sleeper;
    belay_test::ScriptedHttp http{sleeper};
    http.script = {{belay_test::status(503)}, {belay_test::status(200)}};
    HttpCalls calls{http,
                    sleeper,
                    {.attempts_max = 1,
                     .breaker = {.percent = 100, .min_calls = 1},
                     .breaker_open = std::chrono::seconds{5}}};
    CHECK(Collected{calls}["http_calls.breakers.closed"] == 0);
    for (const char* const url : {"http://a.example/x", "http://b.example/x"}) {
        auto call = calls.get(url);
        call.start();
        sleeper.run();
        REQUIRE(call.done());
    }
    CHECK(Collected{calls}["http_calls.breakers.open"] == 1);
    CHECK(Collected{calls}["http_calls.breakers.closed"] == 1);
    CHECK(Collected{calls}["http_calls.breakers.half_open"] == 0);
    sleeper.time += std::chrono::seconds{5};
    CHECK(Collected{calls}["http_calls.breakers.open"] == 0);
    CHECK(Collected{calls}["http_calls.breakers.half_open"] == 1);
}

TEST_CASE("HttpCalls counts the breakers that its options switch off as closed",
          "[http][metrics][unit]") {
    belay_test::AsyncSleeper sleeper;
    belay_test::ScriptedHttp http{sleeper};
    http.script = {{belay_test::status(503)}};
    HttpCalls calls{http, sleeper, {.attempts_max = 1, .breaker = {.percent = 0}}};
    auto call = calls.get("http://a.example/x");
    call.start();
    sleeper.run();
    REQUIRE(call.done());
    CHECK(calls.breakers(BreakerState::closed) == 1);
    CHECK(calls.breakers(BreakerState::open) == 0);
}
