// SPDX-License-Identifier: MIT
// Goal: hosts that are gone for ever do not replace hosts that are in use. Method: a scripted
// client in virtual time, more dead hosts than the limit, and then hosts that work.
#include <belay/http/http_calls.hpp>

#include <memory>
#include <optional>
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
// A client that answers when the test decides, on any thread. Destroying a handle aborts its
// request.
struct HandHttp {
    using Done = Completion<HttpResponse>;
    class Handle {
    public:
        explicit Handle(std::shared_ptr<std::optional<Done>> done) : done_{std::move(done)} {}
        Handle(Handle&&) noexcept = default;
        ~Handle() {
            if (done_) done_->reset();
        }

    private:
        std::shared_ptr<std::optional<Done>> done_;
    };
    Handle request(HttpRequest request, Done done) {
        if (request.on_chunk && first_piece != 0) {
            request.on_chunk(HttpResponse{.status = first_piece}, "half");
        }
        open.push_back(std::make_shared<std::optional<Done>>(std::move(done)));
        return Handle{open.back()};
    }
    void answer(std::size_t which, HttpResponse response) const {
        (**open.at(which))(std::move(response));
    }

    std::vector<std::shared_ptr<std::optional<Done>>> open{};
    // The status of a response whose first piece arrives at once; 0 if none does.
    int first_piece = 0;
};
struct HandRig {
    explicit HandRig(HttpCallsOptions options) : calls{http, sleeper, options} {}
    [[nodiscard]] BreakerState state() const { return calls.breaker_state("http://a/"); }
    [[nodiscard]] std::uint64_t unanswered() const { return calls.counters().unanswered; }

    AsyncSleeper sleeper;
    HandHttp http;
    HttpCalls<HandHttp, AsyncSleeper> calls;
};
constexpr HttpCallsOptions unanswered_1s{
    .attempts_max = 1, .breaker = {.percent = 50, .min_calls = 2}, .unanswered_after = 1s};
constexpr HttpCallsOptions four_hosts{.attempts_max = 1,
                                      .breaker = {.percent = 50, .min_calls = 2},
                                      .breaker_window = 30s,
                                      .breaker_open = 5s,
                                      .hosts_max = 4};

}  // namespace

TEST_CASE("HttpCalls replaces hosts that died long ago by hosts in use",
          "[http][http_calls_hosts][unit]") {
    HostsRig rig{four_hosts};
    for (int host = 0; host < 10; ++host) {
        const std::string url = "http://dead-" + std::to_string(host) + "/";
        for (int i = 0; i < 3; ++i) rig.get(url);
    }
    // No caller calls the dead hosts any more.
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
    // Each of the three hosts is stored, so the breaker of the broken one counts all its failures.
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
    // A call every 10 s probes the host: it is in use, and no number of new names evicts it.
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
    // New hosts replace each other.
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
    const auto unanswered = [&] { return calls.counters().unanswered; };
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
    CHECK(unanswered() == (limit == forever ? 0 : 1));
    leave_after(1s);
    CHECK(unanswered() == (limit == forever ? 0 : 2));
    CHECK(state() == (limit == forever ? BreakerState::closed : BreakerState::open));
    if (limit == forever) return;
    // A probe without a response opens the breaker again.
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

TEST_CASE("HttpCalls counts no request whose response had arrived when its caller left",
          "[http][http_calls_hosts][regression]") {
    // A failure that the client has reported is no missing response either.
    const HttpResponse arrived = GENERATE(HttpResponse{.status = 200}, HttpResponse{.status = 503},
                                          belay_test::ended(HttpErrc::client_failed));
    HandRig rig{unanswered_1s};
    for (std::size_t i = 0; i < 5; ++i) {
        auto task = rig.calls.get("http://a/");
        task.start();
        rig.sleeper.time += 10ms;
        rig.http.answer(i, arrived);
        rig.sleeper.time += 10s;  // the thread of the calls was busy
        REQUIRE(!task.done());
    }
    CHECK(rig.state() == BreakerState::closed);
    CHECK(rig.unanswered() == 0);
    CHECK(rig.calls.counters().dropped == 5);
}

TEST_CASE("HttpCalls counts an unanswered retry of a request that had a response",
          "[http][http_calls_hosts][unit]") {
    HttpCallsOptions options = unanswered_1s;
    options.attempts_max = 2;
    options.breaker.percent = 0;
    HandRig rig{options};
    // The second call leaves before the retry has waited for long enough.
    for (const Duration patience : {1s, 0s}) {
        const std::size_t first = rig.http.open.size();
        auto task = rig.calls.get("http://a/");
        task.start();
        rig.sleeper.time += 10s;
        rig.http.answer(first, {.status = 503});
        rig.sleeper.run_until(after(rig.sleeper.now(), 100ms));
        REQUIRE(rig.http.open.size() == first + 2);
        rig.sleeper.time += patience;
        REQUIRE(!task.done());
    }
    CHECK(rig.unanswered() == 1);
}

TEST_CASE("HttpCalls counts hedged requests of which none had a response as one failure",
          "[http][http_calls_hosts][unit]") {
    HttpCallsOptions options = unanswered_1s;
    options.hedge_after = 100ms;
    options.budget = TokenBudgetOptions::grpc(1000, 1000);
    HandRig rig{options};
    // The request whose response the calls have not processed yet; 2 if neither.
    const auto leave = [&](std::size_t answered, Duration patience) {
        const std::size_t first = rig.http.open.size();
        auto task = rig.calls.get("http://a/");
        task.start();
        rig.sleeper.run_until(after(rig.sleeper.now(), 100ms));
        REQUIRE(rig.http.open.size() == first + 2);
        if (answered < 2) rig.http.answer(first + answered, {.status = 200});
        rig.sleeper.time += patience - 100ms;
        REQUIRE(!task.done());
    };
    for (std::size_t i = 0; i < 4; ++i) leave(i % 2, 10s);
    CHECK(rig.unanswered() == 0);
    leave(2, 999ms);
    CHECK(rig.unanswered() == 0);
    CHECK(rig.state() == BreakerState::closed);
    leave(2, 1s);
    CHECK(rig.unanswered() == 1);
    // If the first request fails, the wait is that of the second one.
    const std::size_t first = rig.http.open.size();
    {
        auto task = rig.calls.get("http://a/");
        task.start();
        rig.sleeper.run_until(after(rig.sleeper.now(), 100ms));
        rig.http.answer(first, belay_test::ended(HttpErrc::lost));
        rig.sleeper.run_until(after(rig.sleeper.now(), 999ms));
        REQUIRE(!task.done());
    }
    CHECK(rig.unanswered() == 1);
    rig.sleeper.run_until(after(rig.sleeper.now(), 1h));
    for (int i = 0; i < 2; ++i) leave(2, 1s);
    CHECK(rig.unanswered() == 3);
    CHECK(rig.state() == BreakerState::open);
}

TEST_CASE("HttpCalls counts a request with an on_chunk until a part was passed to it",
          "[http][http_calls_hosts][unit]") {
    // The pieces of a response with a status outside of 200 to 299 are not passed on.
    const int first_piece = GENERATE(0, 200, 503);
    HandRig rig{unanswered_1s};
    rig.http.first_piece = first_piece;
    for (int i = 0; i < 2; ++i) {
        HttpRequest request;
        request.url = "http://a/";
        request.on_chunk = [](const HttpResponse&, std::string_view) noexcept {};
        auto task = rig.calls.send(request);
        task.start();
        rig.sleeper.time += 10s;
        REQUIRE(!task.done());
    }
    CHECK(rig.unanswered() == (first_piece == 200 ? 0 : 2));
    CHECK(rig.state() == (first_piece == 200 ? BreakerState::closed : BreakerState::open));
}

TEST_CASE("HttpCalls: a host without a place decides nothing for another one",
          "[http][http_calls_hosts][regression]") {
    std::vector<HttpResponse::History> histories;
    AsyncSleeper sleeper;
    ScriptedHttp http{sleeper};
    http.answer = [](const ScriptedHttp::Seen& seen) -> ScriptedHttp::Step {
        if (seen.url == "http://slow/") return {status(200), 1h};
        if (seen.url == "http://busy/") return {status(429, {{"Retry-After", "3600"}})};
        return {status(404)};
    };
    HttpCalls calls{http, sleeper, HttpCallsOptions{.attempts_max = 1, .hosts_max = 1},
                    HttpCallsOptions::Hooks{.classify = [&](const HttpRequest&, const HttpResponse&,
                                                            const HttpResponse::History& history) {
                        histories.push_back(history);
                        return std::optional<HttpResponse::Verdict>{};
                    }}};
    HttpRequest request{.url = "http://slow/", .deadline = forever};
    auto slow = calls.send(request);
    slow.start();
    for (const int code : {429, 404, 404}) {
        auto task = calls.get(code == 429 ? "http://busy/" : "http://other/");
        task.start();
        sleeper.run_until(sleeper.time);
        REQUIRE(task.done());
        CHECK(task.take().error().value() == code);
    }
    REQUIRE(histories.size() == 3);
    CHECK(histories[2].rejections == 1);
    CHECK(calls.counters().hosts_overflow == 3);
}

TEST_CASE("HttpCalls closes the breaker of a host at the head of an endless stream",
          "[http][http_calls_hosts][regression]") {
    const int first_piece = GENERATE(200, 503);
    HandRig rig{{.attempts_max = 1, .breaker = {.percent = 50, .min_calls = 1}}};
    auto failing = rig.calls.get("http://a/");
    failing.start();
    rig.http.answer(0, status(500));
    rig.sleeper.run_until(Instant{});
    REQUIRE(failing.done());
    REQUIRE(rig.state() == BreakerState::open);
    rig.sleeper.time += 1min;
    rig.http.first_piece = first_piece;
    HttpRequest events{.url = "http://a/", .deadline = forever};
    events.on_chunk = [](const HttpResponse&, std::string_view) noexcept {};
    auto stream = rig.calls.send(events);
    stream.start();
    const bool is_closed = rig.state() == BreakerState::closed;
    CHECK(is_closed == (first_piece == 200));
    // The end of the stream is no second verdict.
    rig.http.answer(1, {.failure = Failure::from(HttpErrc::lost)});
    rig.sleeper.run_until(rig.sleeper.time);
    REQUIRE(stream.done());
    CHECK((rig.state() == BreakerState::closed) == is_closed);
}

TEST_CASE("HttpCalls takes an unanswered request from the budget of its host, too",
          "[http][http_calls_hosts][regression]") {
    const Duration limit = GENERATE(Duration{1s}, forever);
    HandRig rig{{.attempts_max = 2,
                 .budget = TokenBudgetOptions::grpc(10, 100),
                 .breaker = {.percent = 0},
                 .unanswered_after = limit}};
    for (int i = 0; i < 5; ++i) {
        auto task = rig.calls.get("http://a/");
        task.start();
        rig.sleeper.time += 1s;
    }
    CHECK(rig.unanswered() == (limit == forever ? 0 : 5));
    auto task = rig.calls.get("http://a/");
    task.start();
    rig.http.answer(5, {.status = 503});
    rig.sleeper.run_until(after(rig.sleeper.now(), 100ms));
    CHECK(task.done() == (limit != forever));
    CHECK(rig.calls.counters().over_budget == (limit == forever ? 0 : 1));
}
