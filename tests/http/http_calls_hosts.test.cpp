// SPDX-License-Identifier: MIT
// Goal: hosts that are gone for ever take no protection from the hosts that are in use. Method: a
// scripted client in virtual time, more dead hosts than there are places, and then hosts that work.
#include <belay/http/http_calls.hpp>

#include <string>
#include <vector>

#include "support/catch.hpp"
#include "support/http/scripted_http.hpp"

using namespace belay;
using namespace std::chrono_literals;
using belay_test::AsyncSleeper;
using belay_test::ScriptedHttp;
using belay_test::status;

namespace {

struct HostsRig {
    explicit HostsRig(HttpCallsOptions options) : calls{http, sleeper, options} {
        http.answer = [this](const ScriptedHttp::Seen& seen) {
            return ScriptedHttp::Step{status(seen.url.starts_with(broken) ? 500 : 200)};
        };
    }
    void get(const std::string& url) {
        auto task = calls.get(url);
        task.start();
        sleeper.run();
        REQUIRE(task.done());
        static_cast<void>(task.take());
    }
    [[nodiscard]] BreakerState state(const std::string& url) const {
        return calls.breaker_state(url);
    }

    std::string broken = "http://dead";
    AsyncSleeper sleeper;
    ScriptedHttp http{sleeper};
    HttpCalls<ScriptedHttp, AsyncSleeper> calls;
};
constexpr HttpCallsOptions four_hosts{.attempts_max = 1,
                                      .breaker = {.percent = 50, .min_calls = 2},
                                      .breaker_window = 30s,
                                      .breaker_open = 5s,
                                      .hosts_max = 4};

}  // namespace

TEST_CASE("HttpCalls lets hosts in use take the places of hosts that died long ago",
          "[http][http_calls_hosts][unit]") {
    HostsRig rig{four_hosts};
    for (int host = 0; host < 10; ++host) {
        const std::string url = "http://dead-" + std::to_string(host) + "/";
        for (int i = 0; i < 3; ++i) rig.get(url);
    }
    // Nobody calls the dead hosts any more.
    rig.sleeper.run_until(after(rig.sleeper.now(), 1h));
    for (int round = 0; round < 3; ++round) {
        rig.get("http://a/");
        rig.get("http://b/");
        rig.get("http://c/");
    }
    const std::uint64_t evicted = rig.calls.counters().hosts_evicted;
    rig.broken = "http://a";
    for (int i = 0; i < 4; ++i) {
        rig.get("http://a/");
        rig.get("http://b/");
        rig.get("http://c/");
    }
    // Each of the three has a place, so the breaker of the broken one sees all its failures.
    CHECK(rig.calls.counters().hosts_evicted == evicted);
    CHECK(rig.state("http://a/") == BreakerState::open);
    CHECK(rig.state("http://b/") == BreakerState::closed);
}

TEST_CASE("HttpCalls keeps an open breaker although new hosts arrive all the time",
          "[http][http_calls_hosts][unit]") {
    HostsRig rig{four_hosts};
    for (int i = 0; i < 3; ++i) rig.get("http://dead/");
    REQUIRE(rig.state("http://dead/") == BreakerState::open);
    const std::size_t before = rig.http.seen.size();
    // A call every 10 s probes the host: it is still in use, and no flood of names resets it.
    for (int i = 0; i < 100; ++i) {
        for (int n = 0; n < 8; ++n) {
            rig.get("http://new-" + std::to_string(i) + "-" + std::to_string(n) + "/");
        }
        rig.sleeper.run_until(after(rig.sleeper.now(), 10s));
        rig.get("http://dead/");
        CHECK(rig.state("http://dead/") == BreakerState::open);
    }
    CHECK(rig.http.seen.size() - before == 900);
}

TEST_CASE("HttpCalls keeps the breaker that a call of 300 s has opened at its end",
          "[http][http_calls_hosts][regression]") {
    AsyncSleeper sleeper;
    ScriptedHttp http{sleeper};
    HttpCallsOptions options = four_hosts;
    options.attempt_timeout = 1h;
    HttpCalls<ScriptedHttp, AsyncSleeper> calls{http, sleeper, options};
    http.answer = [](const ScriptedHttp::Seen& seen) {
        if (seen.url.starts_with("http://slow")) return ScriptedHttp::Step{status(500), 300s};
        return ScriptedHttp::Step{status(200)};
    };
    std::vector<Task<Outcome<HttpResponse>>> slow;
    for (int i = 0; i < 3; ++i) {
        HttpRequest request;
        request.url = "http://slow/";
        request.deadline = 1h;
        slow.push_back(calls.send(request));
        slow.back().start();
    }
    sleeper.run_until(after(sleeper.now(), 300s));
    for (auto& task : slow) REQUIRE(task.done());
    REQUIRE(calls.breaker_state("http://slow/") == BreakerState::open);
    // New hosts take the places of one another.
    for (int n = 0; n < 8; ++n) {
        auto task = calls.get("http://new-" + std::to_string(n) + "/");
        task.start();
        sleeper.run_until(sleeper.now());
        REQUIRE(task.done());
    }
    CHECK(calls.breaker_state("http://slow/") == BreakerState::open);
}

TEST_CASE(
    "HttpCalls counts a request that had no response for unanswered_after when its caller left",
    "[http][http_calls_hosts][unit]") {
    const Duration limit = GENERATE(Duration{1s}, forever);
    HttpCallsOptions options = four_hosts;
    options.unanswered_after = limit;
    options.attempts_max = 2;
    AsyncSleeper sleeper;
    ScriptedHttp http{sleeper};
    HttpCalls<ScriptedHttp, AsyncSleeper> calls{http, sleeper, options};
    bool fails = false;
    http.answer = [&fails](const ScriptedHttp::Seen&) {
        if (fails) return ScriptedHttp::Step{status(503, {{"Retry-After", "20"}})};
        return ScriptedHttp::Step{status(200), forever};
    };
    const auto leave_after = [&](Duration patience) {
        auto task = calls.get("http://a/");
        task.start();
        sleeper.run_until(after(sleeper.now(), patience));
        REQUIRE(!task.done());
    };
    const auto state = [&] { return calls.breaker_state("http://a/"); };
    for (int i = 0; i < 5; ++i) leave_after(999ms);
    CHECK(state() == BreakerState::closed);
    // The wait before a retry is no wait for a response.
    fails = true;
    leave_after(10s);
    fails = false;
    CHECK(state() == BreakerState::closed);
    sleeper.run_until(after(sleeper.now(), 1h));
    leave_after(1s);
    CHECK(state() == BreakerState::closed);
    leave_after(1s);
    CHECK(state() == (limit == forever ? BreakerState::closed : BreakerState::open));
    if (limit == forever) return;
    // A probe that is not answered either opens it again.
    sleeper.run_until(after(sleeper.now(), 6s));
    leave_after(1s);
    CHECK(state() == BreakerState::open);
    http.answer = [](const ScriptedHttp::Seen&) { return ScriptedHttp::Step{status(200)}; };
    sleeper.run_until(after(sleeper.now(), 6s));
    auto task = calls.get("http://a/");
    task.start();
    REQUIRE(task.done());
    CHECK(task.take().has_value());
    CHECK(state() == BreakerState::closed);
}
