// SPDX-License-Identifier: MIT
// Goal: calls to one origin get a token, and renew it together after a 401. Method: a scripted
// client in virtual time, which accepts the newest token only.
#include <belay/http/http_calls.hpp>

#include <algorithm>
#include <new>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "support/aborts.hpp"
#include "support/catch.hpp"
#include "support/http/scripted_http.hpp"

using namespace belay;
using namespace std::chrono_literals;
using belay_test::AsyncSleeper;
using belay_test::ScriptedHttp;
using belay_test::status;

namespace {

using Step = ScriptedHttp::Step;
const std::string token_url = "https://api.example/x";

/// A client whose server accepts one token, and a source of tokens that takes 50 ms.
struct TokenRig {
    explicit TokenRig(HttpCallsOptions options = {})
        : calls{http, sleeper, options,
                HttpCallsOptions::Hooks{.new_token = [this] { return make_token(); },
                                        .token_origin = "HTTPS://API.example:443/ignored"}} {
        http.answer = [this](const ScriptedHttp::Seen& seen) {
            const std::string* const token = seen.headers.find("Authorization");
            tokens.push_back(token != nullptr ? *token : "none");
            return Step{status(tokens.back() == accepted ? 200 : 401), answers_after};
        };
    }

    Task<Result<std::string>> make_token() {
        ++made;
        co_await sleeper.async_sleep_until(after(sleeper.now(), takes));
        if (fails) co_return make_error_code(std::errc::connection_refused);
        co_return "token " + std::to_string(made);
    }
    /// Returns how many of `count` calls at the same time succeed.
    int send_many(int count, Duration deadline) {
        std::vector<HttpRequest> requests(static_cast<std::size_t>(count));
        std::vector<Task<Outcome<HttpResponse>>> tasks;
        for (HttpRequest& request : requests) {
            request.url = token_url;
            request.deadline = deadline;
            tasks.push_back(calls.send(request));
        }
        for (auto& task : tasks) task.start();
        sleeper.run();
        return static_cast<int>(
            std::ranges::count_if(tasks, [](auto& task) { return task.take().has_value(); }));
    }
    Outcome<HttpResponse> send(HttpRequest request) {
        auto task = calls.send(request);
        task.start();
        sleeper.run();
        REQUIRE(task.done());
        return task.take();
    }

    AsyncSleeper sleeper;
    ScriptedHttp http{sleeper};
    int made = 0;
    Duration takes = 50ms;
    bool fails = false;
    std::string accepted = "token 1";
    Duration answers_after = 10ms;
    std::vector<std::string> tokens{};
    HttpCalls<ScriptedHttp, AsyncSleeper> calls;
};

using Tokens = std::vector<std::string>;

}  // namespace

TEST_CASE("HttpCalls sends a token to its origin only", "[http][http_calls][token]") {
    TokenRig rig;
    CHECK(rig.send({.url = token_url}));
    CHECK(rig.send({.url = "https://api.example:443/y", .method = "POST"}));
    CHECK(rig.tokens == Tokens{"token 1", "token 1"});
    CHECK(rig.made == 1);
    for (const char* const other :
         {"http://api.example/x", "https://api.example:8443/x", "https://www.api.example/x",
          "https://api.example.evil.example/x"}) {
        rig.tokens.clear();
        CHECK(rig.send({.url = other}).error() == std::error_code{401, http_category()});
        CHECK(rig.tokens == Tokens{"none"});
    }
    // The request of a user that has its own.
    rig.tokens.clear();
    CHECK_FALSE(rig.send({.url = token_url, .headers = {{"authorization", "mine"}}}));
    CHECK(rig.tokens == Tokens{"mine"});
    CHECK(rig.made == 1);
}

TEST_CASE("HttpCalls renews a token after a 401, once for all calls, also of a POST",
          "[http][http_calls][token]") {
    TokenRig rig;
    CHECK(rig.send({.url = token_url}));
    rig.accepted = "token 2";
    rig.tokens.clear();
    std::vector<HttpRequest> requests(5);
    std::vector<Task<Outcome<HttpResponse>>> tasks;
    for (HttpRequest& request : requests) {
        request.url = token_url;
        request.method = "POST";
        tasks.push_back(rig.calls.send(request));
    }
    for (auto& task : tasks) task.start();
    rig.sleeper.run();
    for (auto& task : tasks) CHECK(task.take());
    CHECK(rig.made == 2);
    CHECK(rig.tokens.size() == 10);
    CHECK(rig.calls.counters().requests == 11);
    CHECK(rig.calls.counters().retries == 0);
}

TEST_CASE("HttpCalls ends a call whose new token is not accepted, or not made",
          "[http][http_calls][token]") {
    TokenRig rig;
    rig.accepted = "none of them";
    CHECK(rig.send({.url = token_url}).error() == std::error_code{401, http_category()});
    CHECK(rig.tokens == Tokens{"token 1", "token 2"});
    rig.fails = true;
    const auto late = rig.send({.url = token_url});
    CHECK(late.error() == std::error_code{401, http_category()});
    CHECK(rig.tokens.size() == 3);
    CHECK(rig.made == 3);
}

TEST_CASE("HttpCalls sends nothing without a token, and charges the host for nothing",
          "[http][http_calls][token]") {
    TokenRig rig{{.breaker = {.percent = 1, .min_calls = 1}}};
    rig.fails = true;
    const auto page = rig.send({.url = token_url});
    CHECK(page.error() == std::errc::connection_refused);
    CHECK(rig.made == 4);  // it may pass, and is tried again as an attempt
    CHECK(rig.http.seen.empty());
    CHECK(rig.calls.counters().requests == 0);
    CHECK(rig.calls.breaker_state(token_url) == BreakerState::closed);
    rig.fails = false;
    rig.accepted = "token 5";
    CHECK(rig.send({.url = token_url}));
}

TEST_CASE("HttpCalls ends a wait for a token by a stop, a deadline, or the end of its Task",
          "[http][http_calls][token]") {
    TokenRig rig;
    SECTION("a stop") {
        StopSource stop;
        HttpRequest request{.url = token_url};
        auto task = rig.calls.send(request, stop.token());
        task.start();
        stop.request_stop();
        rig.sleeper.run_until(Instant{49ms});
        REQUIRE(task.done());
        CHECK(task.take().error() == CallErrc::stopped);
    }
    SECTION("a deadline") {
        const auto page = rig.send({.url = token_url, .deadline = 20ms});
        CHECK(page.error() == HttpErrc::no_token);
        CHECK(page.error().message().find("new_token") != std::string::npos);
    }
    SECTION("the end of one of two Tasks") {
        HttpRequest one{.url = token_url}, two{.url = token_url};
        auto first = rig.calls.send(one);
        auto second = rig.calls.send(two);
        first.start();
        second.start();
        { const auto gone = std::move(first); }
        rig.sleeper.run();
        CHECK(second.take());
        CHECK(rig.made == 1);
    }
    rig.accepted = "token " + std::to_string(std::max(rig.made, 2));
    CHECK(rig.send({.url = token_url}));
}

// The case: a login server that needs as long as an attempt may take.
TEST_CASE("The wait for a token takes nothing from the limit of a request",
          "[http][http_calls][token]") {
    TokenRig rig;
    rig.answers_after = 1s;
    rig.takes = GENERATE(9500ms, 12s, 25s);
    SECTION("the first token") {
        CHECK(rig.send_many(30, 60s) == 30);
        CHECK(rig.made == 1);
        CHECK(rig.calls.counters().requests == 30);
    }
    SECTION("a token after a 401") {
        const Duration slow = std::exchange(rig.takes, 50ms);
        CHECK(rig.send({.url = token_url}));
        rig.takes = slow;
        rig.accepted = "token 2";
        CHECK(rig.send_many(30, 60s) == 30);
        CHECK(rig.made == 2);
        CHECK(rig.calls.counters().requests == 61);
    }
    CHECK(rig.calls.counters().retries == 0);
    CHECK(rig.calls.breaker_state(token_url) == BreakerState::closed);
}

TEST_CASE("A request that a token leaves too little time is no failure of the host",
          "[http][http_calls][token]") {
    TokenRig rig{{.breaker = {.percent = 1, .min_calls = 1}}};
    rig.answers_after = 4s;
    rig.takes = 7s;
    CHECK(rig.send_many(5, 10s) == 0);
    CHECK(rig.http.seen.size() == 5);
    CHECK(rig.calls.breaker_state(token_url) == BreakerState::closed);
    // It is one if the host has had enough time.
    rig.answers_after = 11s;
    CHECK(rig.send_many(5, 10s) == 0);
    CHECK(rig.calls.breaker_state(token_url) == BreakerState::open);
}

TEST_CASE("A call without a deadline does not wait for ever for a token",
          "[http][http_calls][token]") {
    TokenRig rig;
    rig.takes = 24h;
    HttpRequest request{.url = token_url, .deadline = forever};
    auto task = rig.calls.send(request);
    task.start();
    rig.sleeper.run_until(Instant{5min});
    REQUIRE(task.done());
    CHECK(task.take().error() == HttpErrc::no_token);
    CHECK(rig.http.seen.empty());
}

// The case: a hedge that doubles the load of a host which has no request yet.
TEST_CASE("A call that waits for a token is not hedged", "[http][http_calls][token]") {
    TokenRig rig{{.hedge_after = 100ms}};
    rig.takes = 7s;
    CHECK(rig.send_many(30, 60s) == 30);
    CHECK(rig.http.seen.size() == 30);
    // A token after a 401, too.
    rig.accepted = "token 2";
    CHECK(rig.send_many(30, 60s) == 30);
    CHECK(rig.http.seen.size() == 90);
    CHECK(rig.made == 2);
    CHECK(rig.calls.counters().hedges == 0);
    // A slow host still is, from when it has the request.
    rig.answers_after = 1s;
    CHECK(rig.send_many(1, 60s) == 1);
    CHECK(rig.calls.counters().hedges == 1);
}

TEST_CASE("A hedge follows the request that waited for a token, after its delay",
          "[http][http_calls][token]") {
    TokenRig rig{{.hedge_after = 100ms}};
    rig.takes = GENERATE(1ms, 70ms, 99ms, 100ms, 101ms, 950ms);
    rig.answers_after = 1s;
    CHECK(rig.send_many(1, 60s) == 1);
    REQUIRE(rig.http.seen.size() == 2);
    CHECK(rig.http.seen[0].at == Instant{rig.takes});
    CHECK(rig.http.seen[1].at == Instant{rig.takes + 100ms});
}

// The case: a call a minute, each with less time than the login server takes.
TEST_CASE("Calls with less time than a token takes get the one of an earlier call",
          "[http][http_calls][token]") {
    TokenRig rig;
    rig.takes = 12s;
    CHECK(rig.send_many(1, 5s) == 0);
    CHECK(rig.send_many(1, 5s) == 1);
    CHECK(rig.made == 1);
    CHECK(rig.http.seen.size() == 1);
}

TEST_CASE("A source of tokens that hangs is called again, also while calls wait for it",
          "[http][http_calls][token]") {
    TokenRig rig;
    rig.takes = 24h;
    std::vector<HttpRequest> requests(60);
    std::vector<Task<Outcome<HttpResponse>>> tasks;
    for (HttpRequest& request : requests) {
        request.url = token_url;
        request.deadline = 10s;
        tasks.push_back(rig.calls.send(request));
        tasks.back().start();
        rig.sleeper.run_until(rig.sleeper.now() + 1s);
        rig.takes = 50ms;  // it hangs once
        rig.accepted = "token 2";
    }
    CHECK(rig.made == 2);
    // It is given up after 30 s. Calls that then have half the time of an attempt try again.
    for (std::size_t i = 0; i < tasks.size(); ++i) {
        CAPTURE(i);
        if (i < 20) CHECK(tasks[i].take().error() == HttpErrc::no_token);
        if (i > 25 && tasks[i].done()) CHECK(tasks[i].take());
    }
}

// An attempt may take 500 ms, and a token 2 s.
TEST_CASE("The limit of a token is not that of an attempt", "[http][http_calls][token]") {
    TokenRig rig{{.attempt_timeout = 500ms, .token_timeout = 2500ms}};
    rig.takes = 2s;
    CHECK(rig.send_many(5, 30s) == 5);
    CHECK(rig.made == 1);
    TokenRig late{{.attempt_timeout = 10min, .token_timeout = 1500ms}};
    late.takes = 2s;
    CHECK(late.send_many(5, forever) == 0);
    CHECK(late.http.seen.empty());
    late.takes = 1s;
    late.accepted = "token " + std::to_string(late.made + 1);
    CHECK(late.send_many(5, 30s) == 5);
}

TEST_CASE("A call at its deadline asks for no token", "[http][http_calls][token]") {
    TokenRig rig;
    CHECK(rig.send_many(1, 0s) == 0);
    CHECK(rig.made == 0);
}

#if defined(__cpp_exceptions)
TEST_CASE("An exception of a source of tokens is a failure that may pass",
          "[http][http_calls][token]") {
    AsyncSleeper sleeper;
    ScriptedHttp http{sleeper};
    int made = 0;
    const bool at_once = GENERATE(true, false);
    const auto make = [&]() -> Task<Result<std::string>> {
        ++made;
        if (at_once && made == 1) throw std::bad_alloc{};
        co_await sleeper.async_sleep_until(after(sleeper.now(), 1ms));
        if (made == 1) throw std::bad_alloc{};
        co_return "token";
    };
    http.answer = [](const ScriptedHttp::Seen&) { return Step{status(200), 1ms}; };
    HttpCalls calls{
        http, sleeper, HttpCallsOptions{.hedge_after = 1s},
        HttpCallsOptions::Hooks{.new_token = make, .token_origin = "https://api.example"}};
    HttpRequest request{.url = token_url};
    auto task = calls.send(request);
    task.start();
    sleeper.run();
    REQUIRE(task.done());
    CHECK(task.take());
    CHECK(made == 2);
    CHECK(calls.counters().succeeded == 1);
}
#endif

TEST_CASE("A request of a source of tokens may be of the calls that it serves",
          "[http][http_calls][token]") {
    AsyncSleeper sleeper;
    ScriptedHttp http{sleeper};
    using Calls = HttpCalls<ScriptedHttp, AsyncSleeper>;
    std::optional<Calls> calls;
    const auto make = [&calls]() -> Task<Result<std::string>> {
        HttpRequest login{.url = "https://login.example/token", .method = "POST"};
        const auto answer = co_await calls->send(login);
        if (!answer) co_return answer.error();
        co_return "token";
    };
    http.answer = [](const ScriptedHttp::Seen&) { return Step{status(200), 1h}; };
    calls.emplace(
        http, sleeper, HttpCallsOptions{},
        HttpCallsOptions::Hooks{.new_token = make, .token_origin = "https://api.example"});
    HttpRequest request{.url = token_url, .deadline = 1s};
    auto task = calls->send(request);
    task.start();
    sleeper.run_until(Instant{5s});
    REQUIRE(task.done());
    CHECK(http.seen.size() == 1);
    calls.reset();  // while the login request is under way
}

// The case: the host answered at once, and the wait for a new token was charged to it.
TEST_CASE("A hedged call that is dropped while it waits for a token is no failure of the host",
          "[http][http_calls][token]") {
    TokenRig rig{{.breaker = {.percent = 1, .min_calls = 1}, .hedge_after = GENERATE(1s, 60s)}};
    CHECK(rig.send({.url = token_url}));
    rig.takes = 25s;
    rig.accepted = "token 2";
    {
        HttpRequest request{.url = token_url, .deadline = 15s};
        auto task = rig.calls.send(request);
        task.start();
        const Instant end = rig.sleeper.now() + 15s;
        rig.sleeper.run_until(end - 1ms);
        rig.sleeper.time = end;
    }
    CHECK(rig.calls.breaker_state(token_url) == BreakerState::closed);
}

TEST_CASE("HttpCalls rejects a source of tokens without an origin", "[http][http_calls][token]") {
    AsyncSleeper sleeper;
    ScriptedHttp http{sleeper};
    const auto make = [&](std::string origin) {
        HttpCalls calls{http, sleeper, HttpCallsOptions{},
                        HttpCallsOptions::Hooks{
                            .new_token = []() -> Task<Result<std::string>> { co_return ""; },
                            .token_origin = std::move(origin)}};
    };
    CHECK(belay_test::aborts_with([&] { make(""); }).find("token_origin") != std::string::npos);
    CHECK(belay_test::aborts_with([&] { make("api.example"); }).find("token_origin") !=
          std::string::npos);
    make("https://api.example");
}
