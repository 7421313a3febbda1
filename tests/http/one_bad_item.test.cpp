// SPDX-License-Identifier: MIT
// Goal: among calls over HTTP, one bad item does not hold the others for ever, and
// docs/reference/one-bad-item.md states what happens. Method: as tests/e2e/one_bad_item.test.cpp, with
// responses from a script.
#include <deque>
#include <string>
#include <utility>
#include <vector>

#include <belay/http/http_calls.hpp>

#include "support/catch.hpp"
#include "support/http/scripted_http.hpp"
#include "support/one_bad_item.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

/// The bad URL has a response of its own, and the others are answered.
struct OneBadUrl {
    explicit OneBadUrl(ScriptedHttp::Step bad, HttpCallsOptions options = {})
        : calls{http, sleeper, options} {
        http.answer = [this, bad](const ScriptedHttp::Seen& seen) {
            if (seen.url == url("good")) return ScriptedHttp::Step{status(200)};
            ++bad_requests;
            return bad_requests > bad_most ? ScriptedHttp::Step{status(200)} : bad;
        };
    }
    static std::string url(std::string_view name) { return "http://h/" + std::string{name}; }

    /// Posts these one after the other, as docs/how-to/webhooks.md does.
    Task<Result<void>> post(std::vector<std::string> names) {
        for (const std::string& name : names) {
            HttpRequest request{.url = url(name),
                                .method = "POST",
                                .headers = {{"Idempotency-Key", name}},
                                .deadline = 5min};
            const auto done = co_await calls.send(request);
            ended_calls.emplace_back(name, done ? std::error_code{} : done.error());
        }
        co_return Result<void>{};
    }
    /// The errors of the bad and the good one, in this order.
    std::pair<std::error_code, std::error_code> run() {
        auto task = post({"bad", "good"});
        task.start();
        sleeper.run();
        REQUIRE(ended_calls.size() == 2);
        return {ended_calls[0].second, ended_calls[1].second};
    }

    AsyncSleeper sleeper{};
    ScriptedHttp http{sleeper};
    HttpCalls<ScriptedHttp, AsyncSleeper> calls;
    int bad_requests = 0;
    int bad_most = 1'000'000;
    std::vector<std::pair<std::string, std::error_code>> ended_calls{};
};
/// As in docs/how-to/webhooks.md.
constexpr HttpCallsOptions webhook_options{
    .attempts_max = 1000,
    .wait_max = 30s,
    .budget = {.retry_cost_milli = 0, .timeout_cost_milli = 0},
    .breaker = {.percent = 0}};
const std::pair<std::error_code, std::error_code> both_delivered{};

// ---- webhooks ------------------------------------------------------------------------------------

std::string webhooks_unreadable() {
    OneBadUrl rig{{ended(HttpErrc::not_http)}, webhook_options};
    CHECK(rig.run() == std::pair{make_error_code(HttpErrc::not_http), std::error_code{}});
    return "An answer that is not HTTP ends the event, and the next event is sent.";
}
std::string webhooks_unprocessable() {
    OneBadUrl rejected{{status(400)}, webhook_options};
    CHECK(rejected.run().second == std::error_code{});
    CHECK(rejected.bad_requests == 1);
    OneBadUrl rig{{status(200), forever}, webhook_options};
    CHECK(rig.run() == std::pair{make_error_code(HttpErrc::timed_out), std::error_code{}});
    CHECK(elapsed(always, rig.sleeper.now()) >= 5min);
    return "A rejected event is discarded immediately, and an unanswered event after 5 minutes. "
           "Then the next event is sent.";
}
std::string webhooks_medium() {
    OneBadUrl rig{{status(503)}, webhook_options};
    rig.bad_most = 1;
    CHECK(rig.run() == both_delivered);
    return "The event is sent again, with the same key.";
}
std::string webhooks_too_large() {
    OneBadUrl rig{{status(413)}, webhook_options};
    CHECK(rig.run().second == std::error_code{});
    CHECK(rig.bad_requests == 1);
    return "The service rejects the event (413), and the event is discarded. Above 1,000 pending "
           "events, new events are dropped and counted.";
}

// ---- calls ---------------------------------------------------------------------------------------

std::string calls_unreadable() {
    OneBadUrl rig{{ended(HttpErrc::not_http)}};
    CHECK(rig.run() == std::pair{make_error_code(HttpErrc::not_http), std::error_code{}});
    CHECK(rig.bad_requests == 1);
    return "The call ends with `not_http`, and is not repeated. Other calls are served.";
}
std::string calls_unprocessable() {
    OneBadUrl rejected{{status(400)}};
    for (int i = 0; i < 30; ++i) {
        rejected.ended_calls.clear();
        CHECK(rejected.run().second == std::error_code{});
    }
    CHECK(rejected.bad_requests == 30);
    // A request that takes all time of the host counts as a failure of it.
    OneBadUrl rig{{status(200), forever}};
    std::size_t failed = 0;
    for (int i = 0; i < 60; ++i) {
        rig.ended_calls.clear();
        if (rig.run().second) ++failed;
    }
    CHECK(failed == 0);
    return "A rejected call ends immediately, and does not count as a failure of its host. An "
           "unanswered call ends at its deadline, and counts. If half of the calls fail, the "
           "breaker of that host opens.";
}
std::string calls_medium() {
    OneBadUrl rig{{ended(HttpErrc::lost)}};
    rig.bad_most = 1;
    CHECK(rig.run() == both_delivered);
    CHECK(rig.bad_requests == 2);
    return "If the request may be repeated, it is repeated, and the call succeeds.";
}
std::string calls_too_large() {
    OneBadUrl rig{{ended(HttpErrc::too_long)}};
    for (int i = 0; i < 30; ++i) {
        rig.ended_calls.clear();
        CHECK(rig.run() == std::pair{make_error_code(HttpErrc::too_long), std::error_code{}});
    }
    CHECK(rig.bad_requests == 30);
    return "The call ends with `too_long`, and does not count as a failure of its host.";
}

constexpr BadItemRow http_rows[] = {
    {"[webhooks](../how-to/webhooks.md)", webhooks_unreadable, webhooks_unprocessable,
     webhooks_medium, webhooks_too_large},
    {"`HttpCalls`", calls_unreadable, calls_unprocessable, calls_medium, calls_too_large},
};

}  // namespace

TEST_CASE("docs/reference/one-bad-item.md states what one bad item does to calls over HTTP",
          "[http][one_bad_item]") {
    check_bad_item_rows(http_rows);
}
