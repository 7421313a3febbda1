// SPDX-License-Identifier: MIT
// Goal: a host that asks for a wait gets no request meanwhile, then one, and then as many as it
// accepts. Method: servers with a rate limit in virtual time, with many callers.
#include <belay/http/http_calls.hpp>

#include <algorithm>
#include <string>
#include <vector>

#include <belay/budget/cubic_rate.hpp>
#include <belay/call/retry_task.hpp>

#include "support/catch.hpp"
#include "support/http/scripted_http.hpp"

using namespace belay;
using namespace std::chrono_literals;
using belay_test::AsyncSleeper;
using belay_test::ScriptedHttp;
using belay_test::status;
using Step = ScriptedHttp::Step;

namespace {

const std::string paced_url = "http://a.example/x";

/// A server that accepts `rate` requests in a second, and `burst` at once. It answers one too many,
/// and each one in the 2 s after that, with 429. If `is_strict`, each of these begins the 2 s anew.
struct LimitedServer {
    double rate = 10;
    double burst = 10;
    bool is_strict = true;
    double tokens = burst;
    Instant filled_at{};
    Instant banned_until = always;
    int accepted = 0;
    int bans = 0;
    int in_ban = 0;

    Step answer(Instant now) {
        const double seconds = std::chrono::duration<double>{elapsed(filled_at, now)}.count();
        tokens = std::min(burst, tokens + seconds * rate);
        filled_at = now;
        const bool is_banned = now < banned_until;
        if (!is_banned && tokens >= 1) {
            --tokens;
            ++accepted;
            return {status(200), 20ms};
        }
        ++(is_banned ? in_ban : bans);
        if (!is_banned || is_strict) banned_until = now + 2s;
        return {status(429, {{"Retry-After", "2"}}), 20ms};
    }
    /// The requests that it would have accepted in this time at most.
    [[nodiscard]] double allows(Duration time) const {
        return burst + rate * std::chrono::duration<double>{time}.count();
    }
};

/// Calls that begin regularly.
struct PacedCalls {
    explicit PacedCalls(HttpCallsOptions options = {}) : calls{http, sleeper, options} {}

    void begin(Duration deadline = 30s) {
        HttpRequest request{.url = paced_url, .deadline = deadline};
        tasks.push_back(calls.send(request));
        tasks.back().start();
    }
    void begin_each(Duration gap, Duration time) {
        const Instant end = after(sleeper.now(), time);
        for (Instant at = sleeper.now(); at < end; at = after(at, gap)) {
            sleeper.run_until(at);
            begin();
        }
        sleeper.run_until(end);
    }

    AsyncSleeper sleeper;
    ScriptedHttp http{sleeper};
    HttpCalls<ScriptedHttp, AsyncSleeper> calls;
    std::vector<Task<Outcome<HttpResponse>>> tasks{};
};

}  // namespace

TEST_CASE("HttpCalls sends no request while a host asks to wait, and then one",
          "[http][http_calls_pace][regression]") {
    for (const int code : {429, 503}) {
        INFO(code);
        PacedCalls rig;
        rig.http.script = {Step{status(code, {{"Retry-After", "2"}}), 10ms}, Step{status(200), 1s}};
        rig.begin();
        rig.sleeper.run_until(Instant{} + 100ms);
        for (int i = 0; i < 10; ++i) rig.begin();
        // It would wait beyond its deadline.
        rig.begin(1s);
        REQUIRE(rig.tasks.back().done());
        const auto late = rig.tasks.back().take();
        rig.tasks.pop_back();
        CHECK(late.error() == CallErrc::call_rejected);
        CHECK(late.retry_after() > 1s);
        rig.sleeper.run_until(Instant{} + 2s);
        CHECK(rig.http.seen.size() == 1);
        // The first one, and the others after its answer.
        rig.sleeper.run_until(Instant{} + 2900ms);
        CHECK(rig.http.seen.size() == 2);
        rig.sleeper.run();
        CHECK(rig.http.seen.size() == 12);
        for (auto& task : rig.tasks) CHECK(task.take());
    }
}

TEST_CASE("HttpCalls rejects a call for whose host it would wait too long",
          "[http][http_calls_pace][unit]") {
    PacedCalls rig{{.retry_after_max = 5s}};
    rig.http.script = {Step{status(503, {{"Retry-After", "60"}})}, Step{status(200)}};
    rig.begin();
    CHECK(rig.tasks.back().take().error().value() == 503);
    rig.begin(forever);
    REQUIRE(rig.tasks.back().done());
    const auto rejected = rig.tasks.back().take();
    CHECK(rejected.error() == CallErrc::call_rejected);
    CHECK(rejected.retry_after() >= 60s);
    CHECK(rejected.retry_after() <= 68s);
    rig.tasks.clear();
    rig.sleeper.time += 68s;
    rig.begin();
    CHECK(rig.tasks.back().take());
}

TEST_CASE("HttpCalls: an abandoned first call after a wait lets the next one go first",
          "[http][http_calls_pace][unit]") {
    PacedCalls rig;
    rig.http.script = {Step{status(429, {{"Retry-After", "1"}})}, Step{status(200), forever},
                       Step{status(200)}};
    rig.begin();
    rig.sleeper.run_until(Instant{} + 2s);
    REQUIRE(rig.http.seen.size() == 2);
    rig.begin();
    rig.sleeper.run_until(Instant{} + 3s);
    CHECK(rig.http.seen.size() == 2);
    rig.tasks.erase(rig.tasks.begin());
    rig.sleeper.run();
    CHECK(rig.tasks.back().take());
}

TEST_CASE("HttpCalls: an endless stream that goes first after a wait does not block its host",
          "[http][http_calls_pace][regression]") {
    PacedCalls rig;
    rig.http.pieces = {"event"};
    rig.http.pieces_every = 1h;
    rig.http.script = {Step{status(503, {{"Retry-After", "5"}})}, Step{status(200)}};
    rig.begin();
    rig.tasks.clear();
    HttpRequest events{.url = paced_url, .deadline = forever};
    events.on_chunk = [](const HttpResponse&, std::string_view) noexcept {};
    auto stream = rig.calls.send(events);
    stream.start();
    rig.sleeper.run_until(Instant{} + 6s);
    REQUIRE(rig.http.seen.size() == 2);
    rig.begin();
    rig.sleeper.run_until(Instant{} + 7s);
    REQUIRE(rig.tasks.back().done());
    CHECK(rig.tasks.back().take());
    CHECK_FALSE(stream.done());
}

TEST_CASE("HttpCalls learns what a host accepts, and is seldom banned",
          "[http][http_calls_pace][property]") {
    for (const double rate : {5., 10.}) {
        for (const double load : {1.3, 4.}) {
            for (const bool is_strict : {true, false}) {
                INFO(rate << " per second, load " << load << (is_strict ? ", strict" : ""));
                PacedCalls rig;
                LimitedServer server{.rate = rate, .burst = rate, .is_strict = is_strict};
                rig.http.answer = [&](const auto& seen) { return server.answer(seen.at); };
                const Duration time = 300s;
                rig.begin_each(
                    std::chrono::nanoseconds{static_cast<std::int64_t>(1e9 / (rate * load))}, time);
                CHECK(server.accepted >= 0.9 * server.allows(time));
                // At most those that were under way at a ban.
                CHECK(server.in_ban <= 1);
                CHECK(rig.calls.breaker_state(paced_url) == BreakerState::closed);
            }
        }
    }
}

TEST_CASE("HttpCalls does not open the breaker of a host that rejects each second request",
          "[http][http_calls_pace][regression]") {
    PacedCalls rig;
    int n = 0;
    rig.http.answer = [&](const auto&) -> Step {
        return {++n % 2 == 0 ? status(429, {{"Retry-After", "1"}}) : status(200), 10ms};
    };
    int failed = 0;
    for (int i = 0; i < 200; ++i) {
        rig.begin();
        rig.sleeper.run();
        failed += rig.tasks.back().take() ? 0 : 1;
        rig.tasks.clear();
    }
    CHECK(failed == 0);
    CHECK(rig.calls.breaker_state(paced_url) == BreakerState::closed);
}

TEST_CASE("HttpCalls sends as fast as it is called again, when a host accepts that",
          "[http][http_calls_pace][unit]") {
    PacedCalls rig;
    LimitedServer server{.rate = 10, .burst = 10, .is_strict = true};
    rig.http.answer = [&](const auto& seen) { return server.answer(seen.at); };
    rig.begin_each(50ms, 60s);
    server.rate = server.burst = 1000;
    rig.begin_each(50ms, 120s);
    rig.sleeper.run();
    const int before = server.accepted;
    rig.begin_each(50ms, 60s);
    CHECK(server.accepted - before >= 1190);
}

TEST_CASE("An HttpCalls behind a CubicRate sends what its host accepts, and follows a faster host",
          "[http][http_calls_pace][sim]") {
    // Both learn from the same host: the HttpCalls from each 429, and the CubicRate from the ends
    // of the calls. A call that the HttpCalls rejects or holds back is no word of the host.
    for (const double load : {1.3, 4.}) {
        for (const bool is_strict : {true, false}) {
            INFO("load " << load << (is_strict ? ", strict" : ""));
            PacedCalls rig;
            LimitedServer server{.rate = 10, .burst = 10, .is_strict = is_strict};
            rig.http.answer = [&](const auto& seen) { return server.answer(seen.at); };
            AdaptiveThrottle::CubicRate rate;
            const auto call = [&](Attempt a) {
                HttpRequest request{
                    .url = paced_url,
                    .deadline = std::min(elapsed(rig.sleeper.now(), a.deadline), Duration{30s})};
                return rig.calls.send(request);
            };
            const auto begin = [&](Duration gap, Duration time) {
                const Instant end = after(rig.sleeper.now(), time);
                for (Instant at = rig.sleeper.now(); at < end; at = after(at, gap)) {
                    rig.sleeper.run_until(at);
                    rig.tasks.push_back(
                        retry(Policy{Shared{rate, FailFast{}}, MaxAttempts{1}}, rig.sleeper, call));
                    rig.tasks.back().start();
                }
                rig.sleeper.run_until(end);
            };
            const Duration gap{static_cast<std::int64_t>(1e9 / (10 * load))};
            begin(gap, 300s);
            CHECK(server.accepted >= 0.9 * server.allows(300s));
            CHECK(server.in_ban <= 1);
            server.rate = server.burst = 1000;
            begin(gap, 120s);
            rig.sleeper.run();
            const int before = server.accepted;
            begin(gap, 60s);
            CHECK(server.accepted - before >= 0.99 * 60 * 10 * load);
        }
    }
}

TEST_CASE("A hedged call that waits for its host makes the other calls wait, too",
          "[http][http_calls_pace][regression]") {
    PacedCalls rig{{.hedge_after = 100ms}};
    rig.http.script = {Step{status(429, {{"Retry-After", "2"}}), 5ms}, Step{status(200), 20ms}};
    rig.begin();
    rig.sleeper.run_until(Instant{10ms});
    for (int i = 0; i < 10; ++i) rig.begin();
    rig.sleeper.run_until(Instant{2s});
    CHECK(rig.http.seen.size() == 1);
    rig.sleeper.run();
    for (auto& task : rig.tasks) CHECK(task.take());
}

// A loop that was busy, or a machine that was suspended.
TEST_CASE("A request that a wait of its host left too little time is no failure of the host",
          "[http][http_calls_pace][regression]") {
    PacedCalls rig{{.breaker = {.percent = 1, .min_calls = 1}}};
    rig.http.script = {Step{status(429, {{"Retry-After", "2"}}), 10ms}, Step{status(200), 1s}};
    rig.begin();
    rig.sleeper.run_until(Instant{} + 20ms);
    rig.tasks.clear();
    const Duration late = GENERATE(4500ms, 9980ms);
    rig.begin(10s);
    rig.sleeper.time = Instant{20ms} + late;
    rig.sleeper.run();
    CHECK(rig.http.seen.size() == 2);
    CHECK(rig.tasks.front().take().has_value() == (late == 4500ms));
    CHECK(rig.calls.breaker_state(paced_url) == BreakerState::closed);
}
