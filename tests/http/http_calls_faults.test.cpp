// SPDX-License-Identifier: MIT
// Goal: for any responses of servers and any behaviour of callers, HttpCalls keeps its promises on
// repetition, limits and counting. Method: random calls in virtual time, compared with a plain
// model of each call.
#include <belay/http/http_calls.hpp>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include <belay/call/chaos.hpp>
#include <belay/call/layers.hpp>
#include <belay/core/random.hpp>

#include "support/catch.hpp"
#include "support/http/scripted_http.hpp"

using namespace belay;
using namespace std::chrono_literals;
using belay_test::AsyncSleeper;
using belay_test::ended;
using belay_test::ScriptedHttp;
using belay_test::status;

namespace {

/// One call in a plain model.
struct ModelCall {
    std::string method;
    bool has_key = false;
    bool in_pieces = false;
    Duration deadline{};
    Instant begun{};
    std::string pieces{};
    int requests = 0;
    std::optional<HttpResponse> last{};  // the last planned response
    Instant last_at{};
    StopSource stop{};
    std::optional<Instant> stopped_at{};
    std::optional<Task<Outcome<HttpResponse>>> task{};
};

class FaultsRig {
public:
    FaultsRig(std::uint64_t seed, HttpCallsOptions options)
        : bits_{Seed{seed}}, options_{options}, calls{http, sleeper, options} {
        sleeper.random = Random{Seed{seed + 1}};
        http.answer = [this](const ScriptedHttp::Seen& seen) { return answer(seen); };
        http.pieces = {"piece"};
    }

    void begin_one() {
        static constexpr const char* methods[] = {"GET", "POST", "PUT", "PATCH", "HEAD"};
        auto& call = *model.emplace_back(std::make_unique<ModelCall>());
        call.method = methods[bits_() % 5];
        call.has_key = bits_() % 4 == 0;
        call.in_pieces = bits_() % 4 == 0;
        call.deadline = bits_() % 8 == 0 ? Duration{0} : time(60'000);
        call.begun = sleeper.now();
        HttpRequest request{.url = "http://h" + std::to_string(bits_() % 4) + "/",
                            .method = call.method,
                            .headers = {{"X-Call", std::to_string(model.size() - 1)}},
                            .deadline = call.deadline};
        if (call.has_key) request.headers.add({"Idempotency-Key", "k"});
        if (call.in_pieces) {
            request.on_chunk = [&call](const HttpResponse& head, std::string_view piece) noexcept {
                if (head.status < 200 || head.status > 299) call.pieces += "wrong";
                call.pieces += piece;
            };
        }
        call.task.emplace(calls.send(request, call.stop.token()));
        call.task->start();
    }
    void disturb() {
        ModelCall& call = *model[bits_() % model.size()];
        if (!call.task) return;
        if (call.task->done()) return judge(call);
        if (bits_() % 4 == 0) {
            call.task.reset();
            ++dropped;
        } else if (bits_() % 4 == 0 && !call.stopped_at) {
            call.stopped_at = sleeper.now();
            call.stop.request_stop();
        }
    }
    void judge(ModelCall& call) {
        const Outcome<HttpResponse> outcome = call.task->take();
        call.task.reset();
        if (call.requests == 0) {
            if (outcome || outcome.last() != nullptr) wrong("an answer of no server");
            return;
        }
        // A stop ends the request under way.
        if (call.stopped_at && *call.stopped_at < call.last_at) {
            if (outcome.error() != CallErrc::stopped) wrong("an answer after the stop");
            return;
        }
        const bool well = call.last->complete() && call.last->status / 100 == 2;
        if (static_cast<bool>(outcome) != well) wrong("another result than the last answer");
        if (outcome && *outcome != *call.last) wrong("another response");
        if (call.pieces.find("wrong") != std::string::npos) wrong("a piece of a failure");
        if (!call.in_pieces && !call.pieces.empty()) wrong("pieces for nobody");
        // A frozen server cannot delay a call beyond its deadline.
        if (elapsed(call.begun, sleeper.now()) < Duration{}) wrong("time");
    }
    [[nodiscard]] Duration time(std::uint64_t ms) {
        return std::chrono::milliseconds{static_cast<std::int64_t>(bits_() % ms)};
    }
    void wrong(const char* what) {
        if (fault.empty()) fault = what;
    }

    AsyncSleeper sleeper;
    ScriptedHttp http{sleeper};
    std::vector<std::unique_ptr<ModelCall>> model{};
    std::uint64_t dropped = 0;
    std::string fault{};

private:
    [[nodiscard]] HttpResponse some_response() {
        static constexpr int codes[] = {200, 204, 301, 401, 404, 429, 500, 501, 503, 503, 503, 504};
        static constexpr HttpErrc errors[] = {HttpErrc::lost, HttpErrc::not_connected,
                                              HttpErrc::timed_out, HttpErrc::too_long};
        if (bits_() % 4 == 0) return ended(errors[bits_() % 4], bits_() % 2 == 0);
        if (bits_() % 8 == 0) {  // the first half of a response
            HttpResponse half = ended(HttpErrc::lost);
            half.status = bits_() % 2 == 0 ? 200 : 503;
            return half;
        }
        HttpResponse response = status(codes[bits_() % 12]);
        if (bits_() % 4 == 0) {
            response.headers.add({"Retry-After", std::to_string(bits_() % 40)});
        } else if (bits_() % 4 == 0) {
            response.headers.add({"Retry-After", "Sunday, 06-Nov-94 08:49:37 GMT"});
            response.headers.add({"Date", "Sun Nov  6 08:49:3" + std::to_string(bits_() % 10) +
                                              " 1994"});  // this date may be after it
        }
        return response;
    }
    ScriptedHttp::Step answer(const ScriptedHttp::Seen& seen) {
        ModelCall& call = *model[std::stoul(*seen.headers.find("X-Call"))];
        if (call.last) check_repetition(call);
        if (++call.requests > static_cast<int>(options_.attempts_max)) wrong("too many attempts");
        if (call.stopped_at && *call.stopped_at < seen.at) wrong("a request after the stop");
        const Duration left = call.deadline - elapsed(call.begun, seen.at);
        if (seen.deadline > left) wrong("a request beyond the deadline");
        const bool is_last = seen.deadline == left;
        if (!call.in_pieces && !is_last && seen.deadline > options_.attempt_timeout) {
            wrong("a long attempt");
        }
        if (left <= 0s && call.requests > 1) wrong("a retry after the deadline");
        ScriptedHttp::Step step{some_response(), bits_() % 8 == 0 ? forever : time(2'000)};
        if (bits_() % 4 == 0) step.after = {};  // inside request()
        const bool late = step.after > seen.deadline;
        call.last = late || seen.deadline <= 0s ? ended(HttpErrc::timed_out, seen.deadline > 0s)
                                                : step.response;
        call.last_at = after(seen.at, late ? seen.deadline : step.after);
        return step;
    }
    void check_repetition(const ModelCall& call) {
        const Failure failure = http_failure(*call.last);
        const bool idempotent =
            call.has_key || call.method == "GET" || call.method == "HEAD" || call.method == "PUT";
        if (!idempotent && call.last->sent) wrong("a repetition that is not safe");
        if (!detail::verdict_of(failure).repeats || !failure.category) {
            wrong("a repetition of a definite answer");
        }
        if (failure.retry_after > options_.retry_after_max) wrong("a wait beyond the limit");
        if (elapsed(call.last_at, sleeper.now()) < failure.retry_after) wrong("a wait cut short");
        if (!call.pieces.empty()) wrong("a repetition after a piece");
    }

    Random bits_;
    HttpCallsOptions options_;

public:
    HttpCalls<ScriptedHttp, AsyncSleeper> calls;
};

/// Injects failures into a client, as described in docs/reference/http-calls.md.
class FaultyHttp {
public:
    FaultyHttp(ScriptedHttp& http, chaos::Faults& faults) : http_{&http}, faults_{&faults} {}
    std::optional<ScriptedHttp::Handle> request(HttpRequest request,
                                                Completion<HttpResponse> done) {
        chaos::Faults::Decision fault;
        if (faults_->is_on()) fault = faults_->draw(false);
        if (!fault.fails) return http_->request(std::move(request), std::move(done));
        faults_->count(fault);
        done(status(503));
        return {};
    }

private:
    ScriptedHttp* http_;
    chaos::Faults* faults_;
};

}  // namespace

TEST_CASE("HttpCalls retries and counts the faults of its client, and takes tokens for retries",
          "[http][http_calls][fault]") {
    AsyncSleeper sleeper;
    ScriptedHttp http{sleeper};
    http.script = {{status(200), 10ms}};
    chaos::Faults faults{{.failures_per_thousand = 1000}};
    FaultyHttp faulty{http, faults};
    HttpCallsOptions options;
    options.budget = TokenBudgetOptions::grpc(10, 100);
    HttpCalls calls{faulty, sleeper, options};
    const std::string url = "http://a/";
    const auto call = [&] {
        Task<Outcome<HttpResponse>> task = calls.get(url);
        task.start();
        sleeper.run_until(after(sleeper.now(), 1s));
        REQUIRE(task.done());
        return static_cast<bool>(task.take());
    };
    faults.switch_on();
    for (int i = 0; i < 30; ++i) CHECK_FALSE(call());
    const HttpCallsCounters broken = calls.counters();
    CHECK(http.seen.empty());
    CHECK(broken.requests == faults.counters().failures);
    CHECK(broken.retries > 0);
    CHECK(broken.over_budget > 0);
    CHECK(broken.rejected > 0);
    CHECK(broken.calls == broken.failed + broken.rejected);
    CHECK(calls.breaker_state(url) == BreakerState::open);
    // The faults end: the next call after the open wait is a probe, and all calls succeed.
    faults.switch_off();
    sleeper.run_until(after(sleeper.now(), options.breaker_open));
    for (int i = 0; i < 30; ++i) CHECK(call());
    CHECK(calls.breaker_state(url) == BreakerState::closed);
    CHECK(http.seen.size() == 30);
    CHECK(calls.counters().requests == broken.requests + 30);
    CHECK(faults.counters().failures == broken.requests);
}

TEST_CASE("HttpCalls keeps its promises for random servers and callers",
          "[http][http_calls][property]") {
    std::uint64_t retries = 0;
    std::uint64_t rejected = 0;
    std::uint64_t evicted = 0;
    for (std::uint64_t seed = 1; seed <= 300; ++seed) {
        HttpCallsOptions options;
        options.hosts_max = 1 + seed % 4;
        options.attempts_max = 1 + static_cast<std::uint32_t>(seed % 5);
        if (seed % 3 == 0) options.breaker.min_calls = 2;
        if (seed % 3 == 1) options.budget = TokenBudgetOptions::grpc(1000, 1000);
        if (seed % 5 == 0) options.breaker.percent = 0;
        FaultsRig rig{seed, options};
        Random script{Seed{seed + 7}};
        for (int i = 0; i < 60; ++i) {
            if (script() % 2 == 0) rig.begin_one();
            rig.sleeper.run_until(after(rig.sleeper.now(), rig.time(3'000)));
            if (!rig.model.empty()) rig.disturb();
        }
        rig.sleeper.run();
        for (const auto& call : rig.model) {
            if (call->task && !call->task->done()) rig.wrong("a call without an end");
            if (call->task) rig.judge(*call);
        }
        INFO(seed);
        CHECK(rig.fault == "");
        const HttpCallsCounters& c = rig.calls.counters();
        CHECK(c.calls == rig.model.size());
        CHECK(c.calls == c.succeeded + c.failed + c.rejected + c.dropped);
        CHECK(c.dropped == rig.dropped);
        CHECK(c.requests == rig.http.seen.size());
        CHECK(c.hosts <= options.hosts_max);
        retries += c.retries;
        rejected += c.rejected;
        evicted += c.hosts_evicted;
    }
    CHECK(retries > 1'000);
    CHECK(rejected > 100);
    CHECK(evicted > 100);
}

TEST_CASE("A cache and a Timeout around a shared request get fresh responses soon after a fault",
          "[http][http_calls][sim]") {
    const bool hangs = GENERATE(true, false);
    const Duration hedge_after = GENERATE(Duration{1s}, forever);
    AsyncSleeper sleeper;
    ScriptedHttp http{sleeper};
    HttpCalls calls{http, sleeper, {.hedge_after = hedge_after, .single_flight = true}};
    const auto is_bad = [&] {
        return sleeper.now() >= Instant{} + 10s && sleeper.now() < Instant{} + 30s;
    };
    http.answer = [&](const ScriptedHttp::Seen&) {
        if (!is_bad()) return ScriptedHttp::Step{status(200), 20ms};
        return hangs ? ScriptedHttp::Step{status(200), forever}
                     : ScriptedHttp::Step{status(503), 20ms};
    };
    const auto cached = [] { return HttpResponse{.status = 200, .body = "cached"}; };
    const Pipeline pipeline{Fallback{cached}, Timeout{2s}};
    const auto fetch = [&] { return calls.get("http://a.example/x"); };
    std::vector<decltype(pipeline(sleeper, fetch))> open;
    Duration last_stale{};
    for (Duration at{}; at < 80s; at += 250ms) {
        sleeper.run_until(Instant{} + at);
        open.push_back(pipeline(sleeper, fetch));
        open.back().start();
        sleeper.run_until(Instant{} + at + 249ms);
        if (at < 2s) continue;
        // The call that began 2 s ago has ended.
        auto& ended_call = open[open.size() - 9];
        REQUIRE(ended_call.done());
        const auto page = ended_call.take();
        REQUIRE(page.has_value());
        if (page->body == "cached") last_stale = at - 2s;
    }
    // At the end of the fault, one attempt hangs, and one wait or open breaker remains.
    CHECK(last_stale > 20s);
    CHECK(last_stale <= 30s + calls.options().attempt_timeout + calls.options().wait_max);
    open.clear();
    CHECK(sleeper.waiting() == 0);
    // All concurrent callers share one request.
    CHECK(http.seen.size() < 400);
}
