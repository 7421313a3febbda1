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
