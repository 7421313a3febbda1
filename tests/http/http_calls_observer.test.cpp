// SPDX-License-Identifier: MIT
// Goal: an observer of an HttpCalls is notified of each attempt, with its
// status and its wait. Method: a scripted client in virtual time, a log, and
// counters.
#include <belay/http/http_calls.hpp>

#include <string>
#include <string_view>
#include <vector>

#include <belay/call/call_text.hpp>

#include "support/catch.hpp"
#include "support/http/scripted_http.hpp"

using namespace belay;
using namespace std::chrono_literals;
using belay_test::AsyncSleeper;
using belay_test::ScriptedHttp;
using belay_test::status;

namespace {

using Step = ScriptedHttp::Step;
const std::string observed_url = "http://a.example/x";

/// The failures and waits of a call.
struct SeenRetries {
    struct Seen {
        std::uint64_t attempt;
        int status;
        Duration wait;
    };
    std::vector<Seen> all{};

    void on_retry(const RetryPlanned& retry) {
        all.push_back({retry.attempt.number, retry.failure.code, retry.wait});
    }
};
template <class Calls>
Outcome<HttpResponse> observed(Calls& calls, AsyncSleeper& sleeper) {
    auto task = calls.get(observed_url);
    task.start();
    sleeper.run();
    REQUIRE(task.done());
    return task.take();
}

}  // namespace

TEST_CASE("HttpCalls notifies its observer of the attempt, the status and the wait",
          "[http][http_calls_observer][unit]") {
    AsyncSleeper sleeper;
    ScriptedHttp http{sleeper};
    http.script = {Step{status(503, {{"Retry-After", "7"}})}, Step{status(502)}, Step{status(200)}};
    SeenRetries seen;
    HttpCalls calls{http, sleeper, HttpCallsOptions{}, HttpCallsOptions::Hooks{}, std::ref(seen)};
    REQUIRE(observed(calls, sleeper));
    REQUIRE(seen.all.size() == 2);
    CHECK(seen.all[0].attempt == 1);
    CHECK(seen.all[0].status == 503);
    CHECK(seen.all[0].wait >= 7s);
    CHECK(seen.all[1].attempt == 2);
    CHECK(seen.all[1].status == 502);
    CHECK(seen.all[1].wait <= 200ms);
    CHECK(calls.counters().retries == 2);
}

TEST_CASE("A RetryLog writes the lines of an HttpCalls, hedges included",
          "[http][http_calls_observer][unit]") {
    AsyncSleeper sleeper;
    ScriptedHttp http{sleeper};
    http.script = {Step{status(200), 1s}, Step{status(503)}, Step{status(404)}};
    std::vector<std::string> lines;
    RetryLog log{[&](std::string_view line) { lines.emplace_back(line); }, "api"};
    HttpCalls calls{http, sleeper, HttpCallsOptions{.hedge_after = 100ms},
                    HttpCallsOptions::Hooks{}, std::move(log)};
    CHECK(observed(calls, sleeper));
    CHECK(lines ==
          std::vector<std::string>{"api: attempt 2 starts while another one is unanswered"});
    lines.clear();
    http.script = {Step{status(404)}};
    CHECK_FALSE(observed(calls, sleeper));
    REQUIRE(lines.size() == 1);
    CHECK(lines[0].starts_with("api: gave up after 1 attempts"));
    CHECK(lines[0].find("status 404") != std::string::npos);
}
