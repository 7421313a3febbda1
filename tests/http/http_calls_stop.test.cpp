// SPDX-License-Identifier: MIT
// Goal: a stop ends a request that is under way, in each form of call, and a stream that is silent
// ends. Method: a scripted client in virtual time.
#include <belay/http/http_calls.hpp>

#include <functional>
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

using Step = ScriptedHttp::Step;
const std::string stopped_url = "http://a.example/x";

struct StopRig {
    explicit StopRig(HttpCallsOptions options = {}) : calls{http, sleeper, options} {
        http.script = {Step{status(200), forever}};
    }
    /// Starts a call whose server is silent, and stops it after a second.
    template <class Stop = StopToken>
    Outcome<HttpResponse> stopped(HttpRequest request, Stop token) {
        auto task = calls.send(request, token);
        task.start();
        sleeper.run_until(after(sleeper.now(), 1s));
        CHECK_FALSE(task.done());
        stop.request_stop();
        const Instant at = sleeper.now();
        sleeper.run_until(after(at, 10ms));  // other tokens than ours are polled
        REQUIRE(task.done());
        return task.take();
    }
    Outcome<HttpResponse> stopped(HttpRequest request) {
        return stopped(std::move(request), stop.token());
    }
    /// Makes a call for a stream whose body arrives in pieces with this gap; returns its end.
    Duration ends_after(HttpResponse head, std::vector<std::string> pieces, Duration gap) {
        http.script = {Step{std::move(head), forever}};
        http.pieces = std::move(pieces);
        http.pieces_every = gap;
        HttpRequest request{.url = stopped_url, .deadline = forever};
        request.on_chunk = [](const HttpResponse&, std::string_view) noexcept {};
        const Instant begin = sleeper.now();
        auto task = calls.send(request);
        task.start();
        sleeper.run();
        REQUIRE(task.done());
        end = task.take();
        return elapsed(begin, sleeper.now());
    }

    AsyncSleeper sleeper;
    ScriptedHttp http{sleeper};
    HttpCalls<ScriptedHttp, AsyncSleeper> calls;
    StopSource stop{};
    Outcome<HttpResponse> end{CallErrc::gave_up};
};
/// A token that is not one of belay.
struct PolledStop {
    const bool* requested;
    [[nodiscard]] bool stop_requested() const noexcept { return *requested; }
};

}  // namespace

TEST_CASE("HttpCalls: a stop ends a request that is under way at once",
          "[http][http_calls_stop][regression]") {
    std::vector<HttpRequest> requests(3);
    for (HttpRequest& request : requests) request.url = stopped_url;
    requests[1].deadline = forever;
    requests[1].on_chunk = [](const HttpResponse&, std::string_view) noexcept {};
    requests[2].method = "POST";
    for (HttpRequest& request : requests) {
        StopRig rig;
        const auto outcome = rig.stopped(std::move(request));
        CHECK(outcome.error() == CallErrc::stopped);
        REQUIRE(outcome.last() != nullptr);
        CHECK(outcome.last()->status == 0);
        CHECK(rig.http.aborted == 1);
        CHECK(rig.sleeper.waiting() == 0);
        CHECK(rig.calls.counters() ==
              HttpCallsCounters{.calls = 1, .rejected = 1, .requests = 1, .hosts = 1});
    }
}

TEST_CASE("HttpCalls: a stop ends hedged requests, and those of a call with another kind of token",
          "[http][http_calls_stop][regression]") {
    StopRig hedged{{.hedge_after = 100ms}};
    CHECK(hedged.stopped({.url = stopped_url}).error() == CallErrc::stopped);
    CHECK(hedged.http.seen.size() == 2);
    CHECK(hedged.http.aborted == 2);
    StopRig shared{{.single_flight = true}};
    CHECK(shared.stopped({.url = stopped_url}).error() == CallErrc::stopped);
    StopRig polled;
    bool requested = false;
    auto task = polled.calls.get(stopped_url, PolledStop{&requested});
    task.start();
    polled.sleeper.run_until(after(polled.sleeper.now(), 1s));
    CHECK_FALSE(task.done());
    requested = true;
    polled.sleeper.run_until(after(polled.sleeper.now(), 10ms));
    REQUIRE(task.done());
    CHECK(task.take().error() == CallErrc::stopped);
}

TEST_CASE(
    "HttpCalls: a stop is no verdict on the host, unless the request was unanswered for "
    "unanswered_after",
    "[http][http_calls_stop][unit]") {
    const auto opens = [](Duration unanswered_after) {
        StopRig rig{
            {.breaker = {.percent = 50, .min_calls = 1}, .unanswered_after = unanswered_after}};
        static_cast<void>(rig.stopped({.url = stopped_url}));
        CHECK(rig.calls.counters().unanswered == (unanswered_after == 1s ? 1 : 0));
        return rig.calls.breaker_state(stopped_url) == BreakerState::open;
    };
    CHECK(opens(1s));
    CHECK_FALSE(opens(2s));
    CHECK_FALSE(opens(forever));
}

TEST_CASE("HttpCalls::send_blocking accepts a stop token", "[http][http_calls_stop][unit]") {
    StopRig rig;
    struct Steps {
        StopRig& rig;
        bool run_until(const std::function<bool()>& done) {
            rig.sleeper.run_until(after(rig.sleeper.now(), 1s));
            rig.stop.request_stop();
            rig.sleeper.run_until(rig.sleeper.now());
            return done();
        }
    } loop{rig};
    const auto outcome = rig.calls.send_blocking(loop, {.url = stopped_url}, rig.stop.token());
    CHECK(outcome.error() == CallErrc::stopped);
    CHECK(outcome.last() != nullptr);
}

TEST_CASE("HttpCalls ends a stream that is silent for silent_max",
          "[http][http_calls_stop][regression]") {
    StopRig rig{{.attempts_max = 1, .silent_max = 10s}};
    const HttpResponse plain = status(200, {{"Content-Type", "text/plain"}});
    // No head, no piece, and no more pieces.
    CHECK(rig.ends_after(HttpResponse{}, {}, 0s) == 10s);
    CHECK(rig.end.error() == HttpErrc::timed_out);
    CHECK(rig.ends_after(plain, {}, 1s) == 10s);
    CHECK(rig.ends_after(plain, {"a", "b", "c"}, 9s) == 37s);
    CHECK(rig.end.error() == HttpErrc::timed_out);
    CHECK(rig.http.aborted == 3);
    // A call without an on_chunk has no such limit.
    rig.http.script = {Step{status(200), 15s}};
    auto task = rig.calls.get(stopped_url);
    task.start();
    rig.sleeper.run();
    REQUIRE(task.done());
    CHECK(task.take());
}

TEST_CASE("HttpCalls: comments and empty lines of an event stream are silence",
          "[http][http_calls_stop][regression]") {
    StopRig rig{{.attempts_max = 1, .silent_max = 10s}};
    for (const char* const type : {"text/event-stream", "Text/Event-Stream; charset=utf-8"}) {
        INFO(type);
        const HttpResponse events = status(200, {{"Content-Type", type}});
        CHECK(rig.ends_after(events, {": ping\n\n", ":\r\n", "\n", ": da", "ta: x\n"}, 4s) == 10s);
        CHECK(rig.ends_after(events, {": ping\nda", ": ta\n:\n", "x", ":\n"}, 4s) == 26s);
        CHECK(rig.ends_after(events, {"id: 1", "\n", "\n", "\n"}, 4s) == 14s);
        CHECK(rig.end.error() == HttpErrc::timed_out);
    }
    const HttpResponse text = status(200, {{"Content-Type", "text/plain"}});
    CHECK(rig.ends_after(text, {": ping\n", "\n"}, 4s) == 18s);
}
