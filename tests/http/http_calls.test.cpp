// SPDX-License-Identifier: MIT
// Goal: a request is repeated only if that is safe and may help, within the limits of time,
// attempts, budget and breaker of its host. Method: a scripted client in virtual time.
#include <belay/http/http_calls.hpp>

#include <functional>
#include <string>
#include <thread>

#include <belay/drive.hpp>
#include <belay/openssl/tls_error.hpp>
#include <belay/policy/stability_check.hpp>

#include "support/aborts.hpp"
#include "support/catch.hpp"
#include "support/http/scripted_http.hpp"

using namespace belay;
using namespace std::chrono_literals;
using belay_test::AsyncSleeper;
using belay_test::ended;
using belay_test::ScriptedHttp;
using belay_test::status;

namespace {

using Step = ScriptedHttp::Step;
const std::string a_url = "http://a.example/x";

struct CallsRig {
    explicit CallsRig(HttpCallsOptions options = {}) : calls{http, sleeper, options} {}

    Outcome<HttpResponse> send(HttpRequest request) {
        auto task = calls.send(request);
        task.start();
        sleeper.run();
        REQUIRE(task.done());
        return task.take();
    }
    Outcome<HttpResponse> get(std::string url = a_url) { return send({.url = std::move(url)}); }
    /// The number of requests that one call makes if all have the same response.
    std::size_t requests_of(HttpRequest request, const HttpResponse& response) {
        http.script = {Step{response}};
        const std::size_t before = http.seen.size();
        static_cast<void>(send(std::move(request)));
        return http.seen.size() - before;
    }

    AsyncSleeper sleeper;
    ScriptedHttp http{sleeper};
    HttpCalls<ScriptedHttp, AsyncSleeper> calls;
};
/// A sleeper that has no memory for its first wait for a response.
struct SleeperWithoutMemory : AsyncSleeper {
    template <class Stop>
    Wait async_sleep_until(Instant until, const Stop& stop) {
        if (std::same_as<Stop, StopToken> && fails-- > 0) throw std::bad_alloc{};
        return AsyncSleeper::async_sleep_until(until, stop);
    }
    int fails = 1;
};
template <class Calls>
Task<bool> twice(Calls& calls) {
    auto first = calls.get(a_url);
    const auto one = co_await std::move(first);
    auto second = calls.get(a_url);
    const auto two = co_await std::move(second);
    co_return one&& two;
}
// A budget and a breaker that admit every request.
constexpr HttpCallsOptions only_attempts{.budget = TokenBudgetOptions::grpc(1000, 1000),
                                         .breaker = {.percent = 0}};

}  // namespace

TEST_CASE("HttpCalls::send repeats a GET until the server answers it", "[http][http_calls][unit]") {
    CallsRig rig;
    rig.http.script = {Step{status(503)}, Step{ended(HttpErrc::lost)}, Step{status(200), 5ms}};
    const auto page = rig.send({.url = a_url,
                                .headers = {{"Accept", "text/plain"}},
                                .body = "of a GET",
                                .body_bytes_max = 7,
                                .redirects = true});
    REQUIRE(page);
    CHECK(page->status == 200);
    REQUIRE(rig.http.seen.size() == 3);
    for (const auto& seen : rig.http.seen) {
        CHECK(seen.url == a_url);
        CHECK(seen.method == "GET");
        CHECK(seen.headers == HttpHeaders{{"Accept", "text/plain"}});
        CHECK(seen.body == "of a GET");
        CHECK(seen.deadline <= 10s);
    }
    CHECK(rig.http.waits()[0] <= 100ms);
    CHECK(rig.http.waits()[1] <= 200ms);
    CHECK(rig.calls.counters() ==
          HttpCallsCounters{.calls = 1, .succeeded = 1, .requests = 3, .retries = 2, .hosts = 1});
}

TEST_CASE("HttpCalls::send returns the last response of a call that failed",
          "[http][http_calls][unit]") {
    CallsRig rig{only_attempts};
    rig.http.script = {Step{status(503)}, Step{status(502, {{"X-Last", "1"}})}};
    const auto page = rig.get();
    CHECK_FALSE(page);
    CHECK(page.error() == std::error_code{502, http_category()});
    REQUIRE(page.last() != nullptr);
    CHECK(page.last()->headers.find("X-Last") != nullptr);
    CHECK(rig.http.seen.size() == 4);
    CHECK(rig.calls.counters().failed == 1);
}

TEST_CASE("HttpCalls::send repeats only statuses of temporary failures",
          "[http][http_calls][unit]") {
    CallsRig rig{only_attempts};
    for (int code = 100; code < 600; ++code) {
        INFO(code);
        const bool passing = code == 408 || code == 421 || code == 425 || code == 429 ||
                             code == 500 || (code >= 502 && code <= 504) ||
                             (code >= 520 && code <= 524) || code == 527 || code == 529 ||
                             code == 530;
        CHECK(rig.requests_of({.url = a_url}, status(code)) == (passing ? 4U : 1U));
    }
    const auto cause_of = [&](int code) {
        rig.http.script = {Step{status(code)}};
        return rig.get().cause();
    };
    CHECK(cause_of(403) == Cause::forbidden);
    CHECK(cause_of(501) == Cause::permanent);
    CHECK(cause_of(404) == Cause::permanent);
    CHECK(cause_of(500) == Cause::lost);
    CHECK(cause_of(525) == Cause::lost);
}

TEST_CASE("HttpCalls::send repeats only temporary errors", "[http][http_calls][unit]") {
    CallsRig rig{only_attempts};
    for (int i = 1; i <= 13; ++i) {
        const auto error = static_cast<HttpErrc>(i);
        INFO(make_error_code(error).message());
        const bool passing = error == HttpErrc::name_not_found ||
                             error == HttpErrc::not_connected || error == HttpErrc::tls_failed ||
                             error == HttpErrc::timed_out || error == HttpErrc::lost;
        CHECK(rig.requests_of({.url = a_url}, ended(error)) == (passing ? 4U : 1U));
    }
    // A binding may give the reason why a certificate was rejected.
    for (int i = 1; i <= 8; ++i) {
        const auto error = static_cast<tls::Errc>(i);
        INFO(make_error_code(error).message());
        const HttpResponse refused{.failure = Failure::from(error), .sent = false};
        CHECK(rig.requests_of({.url = a_url}, refused) ==
              (error == tls::Errc::handshake_failed ? 4U : 1U));
    }
    // A part of a 200 is no success.
    HttpResponse half = ended(HttpErrc::lost);
    half.status = 200;
    CHECK(rig.requests_of({.url = a_url}, half) == 4);
}

TEST_CASE("HttpCalls::send repeats a request only if sending it twice is safe",
          "[http][http_calls][unit]") {
    CallsRig rig{only_attempts};
    for (const char* const method : {"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"}) {
        INFO(method);
        CHECK(rig.requests_of({.url = a_url, .method = method}, status(503)) == 4);
    }
    for (const char* const method : {"POST", "PATCH", "CONNECT", "get", "PURGE"}) {
        INFO(method);
        const auto with = [&](HttpHeaders headers) {
            return HttpRequest{.url = a_url, .method = method, .headers = std::move(headers)};
        };
        CHECK(rig.requests_of(with({}), status(503)) == 1);
        CHECK(rig.requests_of(with({}), ended(HttpErrc::timed_out)) == 1);
        CHECK(rig.requests_of(with({}), ended(HttpErrc::not_connected, false)) == 4);
        CHECK(rig.requests_of(with({{"Idempotency-Key", ""}}), status(503)) == 1);
        CHECK(rig.requests_of(with({{"idempotency-key", "7f3a"}}), status(503)) == 4);
        CHECK(*rig.http.seen.back().headers.find("Idempotency-Key") == "7f3a");
    }
    // The second attempt was sent, so it is not repeated.
    rig.http.script = {Step{ended(HttpErrc::not_connected, false)}, Step{ended(HttpErrc::lost)}};
    const std::size_t before = rig.http.seen.size();
    const auto post = rig.send({.url = a_url, .method = "POST"});
    CHECK(rig.http.seen.size() == before + 2);
    CHECK(post.error() == HttpErrc::lost);
}

TEST_CASE("HttpCalls::send waits for a Retry-After of both forms, and a little longer",
          "[http][http_calls][unit]") {
    CallsRig rig{only_attempts};
    rig.http.script = {Step{status(503, {{"Retry-After", "8"}})},
                       Step{status(429, {{"Retry-After", "Sun, 06 Nov 1994 08:49:37 GMT"},
                                         {"Date", "Sun, 06 Nov 1994 08:49:33 GMT"}})},
                       Step{status(200)}};
    CHECK(rig.get());
    REQUIRE(rig.http.waits().size() == 2);
    CHECK(rig.http.waits()[0] > 8s);
    CHECK(rig.http.waits()[0] <= 10s);
    CHECK(rig.http.waits()[1] > 4s);
    CHECK(rig.http.waits()[1] <= 5s);
}

TEST_CASE("HttpCalls::send does not wait for a Retry-After beyond its limit",
          "[http][http_calls][unit]") {
    CallsRig rig{{.retry_after_max = 5s}};
    rig.http.script = {Step{status(503, {{"Retry-After", "6"}})}};
    const auto page = rig.get();
    CHECK(page.error() == std::error_code{503, http_category()});
    CHECK(http_failure(*page.last()).retry_after == 6s);
    CHECK(page.retry_after() == 6s);
    CHECK(rig.sleeper.now() == Instant{});
    CHECK(rig.calls.counters().not_repeated == 1);

    rig.sleeper.time += 7s;
    rig.http.seen.clear();
    rig.http.script = {Step{status(503, {{"Retry-After", "5"}})}, Step{status(200)}};
    CHECK(rig.get());
    CHECK(rig.http.waits()[0] >= 5s);
    // It does not wait beyond the deadline either, because there would be no time to send.
    rig.http.script = {Step{status(503, {{"Retry-After", "5"}})}};
    const Instant before = rig.sleeper.now();
    CHECK(rig.send({.url = a_url, .deadline = 4s}).error().value() == 503);
    CHECK(rig.sleeper.now() == before);
}

TEST_CASE("HttpCalls::send keeps the deadline of the request over all attempts",
          "[http][http_calls][unit]") {
    CallsRig rig{only_attempts};
    rig.http.script = {Step{status(200), forever}};  // a server that is frozen
    const auto page = rig.send({.url = a_url, .deadline = 25s});
    CHECK(page.error() == HttpErrc::timed_out);
    CHECK(rig.sleeper.now() == Instant{} + 25s);
    // A third request would have less than half of its limit.
    REQUIRE(rig.http.seen.size() == 2);
    CHECK(rig.http.seen[0].deadline == 10s);
    CHECK(rig.http.seen[1].deadline > 14s);
    // The client sends nothing if the deadline has passed.
    for (const Duration passed : {Duration{}, Duration{-1s}, Duration::min()}) {
        const auto late = rig.send({.url = a_url, .method = "POST", .deadline = passed});
        CHECK(late.error() == HttpErrc::timed_out);
        CHECK_FALSE(late.last()->sent);
        CHECK(rig.http.seen.back().deadline == 0s);
    }
    CHECK(rig.http.seen.size() == 5);
}

TEST_CASE("HttpCalls::send gives the last attempt the rest of the deadline",
          "[http][http_calls][regression]") {
    // A server that needs 12 s, and an attempt_timeout of 10 s.
    CallsRig rig{only_attempts};
    rig.http.script = {Step{status(200), 12s}};
    const auto posted = rig.send({.url = a_url, .method = "POST", .deadline = 60s});
    CHECK(posted);
    CHECK(rig.sleeper.now() == Instant{} + 12s);
    CHECK(rig.http.seen.size() == 1);
    CHECK(rig.send({.url = a_url, .deadline = 60s}));
    CHECK(rig.http.seen.size() == 5);
    CHECK(rig.http.seen[3].deadline == 10s);
    CHECK(rig.http.seen[4].deadline > 20s);
    // By default, the deadline is 30 s, and the attempt_timeout 10 s.
    CHECK(rig.send({.url = a_url}));
    CHECK(rig.http.seen.size() == 7);
    CHECK(rig.http.seen.back().deadline > 19s);
    // With a deadline of 14 s there is no time for two attempts.
    CHECK(rig.send({.url = a_url, .deadline = 14s}));
    CHECK(rig.http.seen.size() == 8);
}

TEST_CASE("HttpCalls::send sends the time for which its response is awaited, on request",
          "[http][http_calls][unit]") {
    CallsRig plain;
    plain.http.script = {Step{status(200)}};
    static_cast<void>(plain.get());
    CHECK(plain.http.seen.back().headers.empty());

    CallsRig rig{{.attempt_timeout = 4s, .deadline_header = "X-Timeout-Ms"}};
    rig.http.script = {Step{status(200), forever}};
    static_cast<void>(rig.send(
        {.url = a_url, .headers = {{"x-timeout-ms", "of somebody else"}}, .deadline = 9s}));
    REQUIRE(rig.http.seen.size() == 2);
    CHECK(rig.http.seen[0].headers == HttpHeaders{{"X-Timeout-Ms", "4000"}});
    const int rest = std::stoi(*rig.http.seen[1].headers.find("X-Timeout-Ms"));
    CHECK(rest > 4800);
    CHECK(rest <= 5000);
    static_cast<void>(rig.send({.url = a_url, .deadline = 1ns}));
    CHECK(rig.http.seen.back().headers == HttpHeaders{{"X-Timeout-Ms", "1"}});
}

TEST_CASE("HttpCalls: each host has a budget and a breaker of its own",
          "[http][http_calls][unit]") {
    CallsRig rig;
    rig.http.answer = [](const auto& seen) {
        return seen.url.find("//b") != seen.url.npos ? Step{status(200)} : Step{status(503)};
    };
    for (int i = 0; i < 100; ++i) static_cast<void>(rig.get());
    // The budget ends the retries after 5 failures, and the breaker opens after 20.
    CHECK(rig.http.seen.size() == 20);
    CHECK(rig.calls.breaker_state(a_url) == BreakerState::open);
    const auto refused = rig.get("HTTP://A.example:80/y?z");
    CHECK(refused.error() == CallErrc::call_rejected);
    CHECK(refused.retry_after() > 0s);
    CHECK(refused.last() == nullptr);
    CHECK(rig.calls.breaker_state("http://a.example:81/") == BreakerState::closed);
    CHECK(rig.get("http://b.example/"));
    CHECK(rig.get("https://b.example/"));
    CHECK(rig.calls.counters().hosts == 3);
    CHECK(rig.calls.counters().over_budget > 0);
    CHECK(rig.calls.counters().rejected > 0);

    // One call at a time tests whether the server has recovered.
    rig.sleeper.time += 5s;
    rig.http.answer = {};
    rig.http.script = {Step{status(200), 1s}};
    auto probe = rig.calls.get(a_url);
    probe.start();
    auto other = rig.calls.get(a_url);
    other.start();
    CHECK(other.done());
    rig.sleeper.run();
    CHECK(probe.take());
    CHECK(other.take().error() == CallErrc::call_rejected);
    CHECK(rig.calls.breaker_state(a_url) == BreakerState::closed);
}

TEST_CASE("HttpCalls: final responses and mistakes of this program take no token of the budget",
          "[http][http_calls][unit]") {
    for (const HttpResponse& response :
         {status(404), status(401), status(403), status(501), status(302),
          ended(HttpErrc::bad_url, false), ended(HttpErrc::bad_text, false),
          ended(HttpErrc::too_long)}) {
        INFO(http_failure(response).message());
        CallsRig rig;
        rig.http.script = {Step{response}};
        for (int i = 0; i < 100; ++i) static_cast<void>(rig.get());
        CHECK(rig.calls.breaker_state(a_url) == BreakerState::closed);
        CHECK(rig.requests_of({.url = a_url}, status(503)) == 4);
    }
}

TEST_CASE("HttpCalls: a request that was never sent does not close a breaker",
          "[http][http_calls][unit]") {
    CallsRig rig;
    rig.http.script = {Step{status(500)}};
    for (int i = 0; i < 20; ++i) static_cast<void>(rig.get());
    REQUIRE(rig.calls.breaker_state(a_url) == BreakerState::open);
    rig.sleeper.time += 5s;
    for (const HttpErrc error : {HttpErrc::bad_url, HttpErrc::bad_text, HttpErrc::client_failed}) {
        rig.http.script = {Step{ended(error, false)}};
        CHECK(rig.get().error() == error);
        CHECK(rig.calls.breaker_state(a_url) != BreakerState::closed);
    }
    // A wrong certificate keeps the breaker open, too.
    rig.http.script = {Step{ended(HttpErrc::certificate_rejected)}};
    static_cast<void>(rig.get());
    CHECK(rig.calls.breaker_state(a_url) == BreakerState::open);
}

TEST_CASE(
    "HttpCalls: all spellings of a host and port are one host, and URLs that no client sends have "
    "none",
    "[http][http_calls][regression]") {
    CallsRig rig;
    rig.http.script = {Step{status(200)}};
    const auto hosts_of = [&](const std::string& url) {
        const std::uint64_t before = rig.calls.counters().hosts;
        static_cast<void>(rig.get(url));
        return rig.calls.counters().hosts - before;
    };
    CHECK(hosts_of("http://a") == 1);
    for (const char* const same : {"http://a:80", "http://a:/", "http://a:080?x", "HTTP://A:#y"}) {
        INFO(same);
        CHECK(hosts_of(same) == 0);
    }
    for (const char* const same : {"http://%61", "http://%41:80/", "http://%41"}) {
        INFO(same);
        CHECK(hosts_of(same) == 0);
    }
    // A resolver may add its search domains to a name of one label, and not to one with a dot.
    CHECK(hosts_of("http://a./") == 1);
    CHECK(hosts_of("http://%41%2e:80/") == 0);
    CHECK(hosts_of("http://a.b") == 1);
    CHECK(hosts_of("http://A%2EB%2e/") == 0);
    CHECK(hosts_of("http://b\xC3\xBC.c") == 1);
    CHECK(hosts_of("http://%62%c3%bC.c.") == 0);
    for (const char* const other :
         {"http://a%", "http://a%4", "http://a..", "http://%2561", "http://a%+1", "http://a%24"}) {
        INFO(other);
        CHECK(hosts_of(other) == 1);
    }
    CHECK(hosts_of("http://a:8080") == 1);
    CHECK(hosts_of("http://a:08080") == 0);
    CHECK(hosts_of("http://a:0") == 1);
    CHECK(hosts_of("http://a:800") == 1);
    CHECK(hosts_of("https://a:80") == 1);
    CHECK(hosts_of("https://a:443") == 1);
    CHECK(hosts_of("https://a") == 0);
    CHECK(hosts_of("http://[::80]") == 1);
    CHECK(hosts_of("http://[::80]:80") == 0);
    CHECK(hosts_of("http://[::80]:81") == 1);
    CHECK(hosts_of("http://[fe80::1%25eth0]") == 1);
    // Otherwise, such a URL would evict a host, and a password would stay in memory.
    for (const char* const none :
         {"http://user:password@a/", "http://@a", "ftp://b", "http://", "http:///b", "http://:80",
          "://b", "b", "", "http://b c/", "http://b\n", "http://.", "http://..", "http://%2E:80/",
          // Characters that are not part of a host, in any form.
          "http://a%2Fb", "http://a%2fb", "http://a%00", "http://a%20", "http://a%3A80",
          "http://a%40b", "http://a%5B", "http://a%7C", "http://a%7f", "http://a:b:80",
          "http://a<b", "http://[::80:80"}) {
        INFO(none);
        CHECK(hosts_of(none) == 0);
    }
}

TEST_CASE("HttpCalls keeps a bounded number of hosts, and evicts an idle one first",
          "[http][http_calls][unit]") {
    CallsRig rig{{.breaker = {.percent = 50, .min_calls = 1}, .hosts_max = 3}};
    rig.http.script = {Step{status(500)}};
    static_cast<void>(rig.get("http://dead/"));
    rig.http.script = {Step{status(200)}};
    CHECK(rig.get("http://one/"));
    CHECK(rig.get("http://two/"));
    CHECK(rig.calls.counters().hosts == 3);
    // The breaker of the oldest host is open, so the host stays.
    CHECK(rig.get("http://three/"));
    CHECK(rig.calls.breaker_state("http://dead/") == BreakerState::open);
    CHECK(rig.calls.counters().hosts_evicted == 1);
    CHECK(rig.calls.counters().hosts == 3);

    // Hosts with calls under way are not evicted. A host for which there is no space has no
    // breaker.
    rig.http.script = {Step{status(200), 9s}};
    std::vector<Task<Outcome<HttpResponse>>> slow;
    for (const char* const url : {"http://two/", "http://three/", "http://four/"}) {
        slow.push_back(rig.calls.get(url));
        slow.back().start();
    }
    CHECK(rig.calls.counters().hosts_evicted == 2);  // the dead host was replaced
    CHECK(rig.calls.breaker_state("http://dead/") == BreakerState::closed);
    rig.http.script = {Step{status(500)}};
    for (int i = 0; i < 5; ++i) {
        auto five = rig.calls.get("http://five/");
        five.start();
        rig.sleeper.run_until(after(rig.sleeper.now(), 1s));
        REQUIRE(five.done());
        CHECK(five.take().error().value() == 500);
    }
    CHECK(rig.calls.counters().hosts_overflow == 5);
    CHECK(rig.calls.counters().hosts == 3);
    rig.sleeper.run();

    for (const std::string& url :
         {std::string{}, std::string{"nonsense"}, std::string{"http://"}, std::string{"http:///x"},
          "http://" + std::string(1'000'000, 'a') + "/"}) {
        static_cast<void>(rig.get(url));
    }
    CHECK(rig.calls.counters().hosts_overflow == 10);
}

TEST_CASE("HttpCalls::send repeats no request after on_chunk has received a part of its response",
          "[http][http_calls][unit]") {
    CallsRig rig{only_attempts};
    std::string pieces;
    const auto stream = [&] {
        pieces.clear();
        return HttpRequest{
            .url = a_url,
            .deadline = forever,
            .on_chunk = [&](const HttpResponse& head, std::string_view piece) noexcept {
                pieces += std::to_string(head.status) + ":" + std::string{piece} + ";";
            }};
    };
    HttpResponse busy = status(503);
    busy.body = "busy";
    HttpResponse half = ended(HttpErrc::lost);
    half.status = 200;
    half.body = "half";
    // The body of a failure is stored, and not passed on: a retry may follow.
    rig.http.script = {Step{busy}, Step{half}};
    const auto cut = rig.send(stream());
    CHECK(pieces == "200:;200:half;");
    CHECK(cut.error() == HttpErrc::lost);
    CHECK(rig.http.seen.size() == 2);
    CHECK(rig.http.seen[0].deadline == forever);

    rig.http.script = {Step{busy}};
    const auto failed = rig.send(stream());
    CHECK(pieces.empty());
    CHECK(failed.last()->body == "busy");

    busy.body = std::string(100'000, 'x');
    rig.http.script = {Step{busy}};
    const auto too_long = rig.send(stream());
    CHECK(too_long.last()->body.empty());
}

TEST_CASE("HttpCalls::send keeps the whole body of a failure, or none of it",
          "[http][http_calls][regression]") {
    CallsRig rig{only_attempts};
    const auto body_of = [&](std::vector<std::string> pieces) {
        rig.http.pieces = std::move(pieces);
        rig.http.script = {Step{status(404)}};
        const auto missing = rig.send(
            {.url = a_url, .on_chunk = [](const HttpResponse&, std::string_view) noexcept {}});
        return missing.last()->body;
    };
    const std::string half(std::size_t{32} << 10, 'x');
    CHECK(body_of({"no ", "such ", "page"}) == "no such page");
    CHECK(body_of({half, half}) == half + half);
    CHECK(body_of({half, half, "y"}).empty());
    CHECK(body_of({half, half + "y", "z"}).empty());  // the rest would follow the first piece
    // Each attempt begins with an empty body.
    rig.http.pieces = {half, half, "y"};
    rig.http.script = {Step{status(503)}, Step{status(404)}};
    rig.http.on_end = [&] { rig.http.pieces = {"gone"}; };
    const auto gone =
        rig.send({.url = a_url, .on_chunk = [](const HttpResponse&, std::string_view) noexcept {}});
    CHECK(gone.last()->body == "gone");
}

TEST_CASE("HttpCalls sends a second request during a slow one only if the caller requests hedging",
          "[http][http_calls][unit]") {
    const auto slow_first = [](CallsRig& rig) {
        rig.http.script = {Step{status(200, {{"X", "slow"}}), 9s},
                           Step{status(200, {{"X", "fast"}}), 1s}};
    };
    CallsRig plain;
    slow_first(plain);
    CHECK(*plain.get()->headers.find("X") == "slow");
    CHECK(plain.http.seen.size() == 1);

    CallsRig rig{{.hedge_after = 2s}};
    slow_first(rig);
    CHECK(*rig.get()->headers.find("X") == "fast");
    CHECK(rig.sleeper.now() == Instant{} + 3s);
    CHECK(rig.http.aborted == 1);
    CHECK(rig.calls.counters().hedges == 1);
    CHECK(rig.calls.counters().retries == 0);
    slow_first(rig);
    CHECK(*rig.send({.url = a_url, .method = "POST"})->headers.find("X") == "slow");
    CHECK(rig.http.seen.size() == 3);
}

TEST_CASE("HttpCalls::send returns the wait of a breaker that its last request has opened",
          "[http][http_calls][regression]") {
    CallsRig rig{
        {.attempts_max = 1, .breaker = {.percent = 50, .min_calls = 2}, .breaker_open = 7s}};
    rig.http.script = {Step{status(503)}, Step{status(503)}};
    CHECK(rig.get().retry_after() == 0s);
    CHECK(rig.get().retry_after() == 7s);
    CHECK(rig.get().error() == CallErrc::call_rejected);
}

TEST_CASE("HttpCalls::send with hedging waits no longer for a Retry-After than without",
          "[http][http_calls][regression]") {
    CallsRig rig{{.retry_after_max = 5s, .hedge_after = 2s}};
    rig.http.script = {Step{status(503, {{"Retry-After", "6"}})}, Step{status(200)}};
    CHECK(rig.get().retry_after() == 6s);
    CHECK(rig.http.seen.size() == 1);
    CHECK(rig.sleeper.now() == Instant{});
}

TEST_CASE("HttpCalls::send with hedging sends no second request after a definite failure",
          "[http][http_calls][regression]") {
    HttpCallsOptions options = only_attempts;
    options.attempts_max = 1;
    options.hedge_after = 2s;
    CallsRig rig{options};
    for (int i = 1; i <= 13; ++i) {
        const auto error = static_cast<HttpErrc>(i);
        INFO(make_error_code(error).message());
        const bool passing = detail::verdict_of(Failure::from(error)).repeats;
        CHECK(rig.requests_of({.url = a_url}, ended(error)) == (passing ? 2U : 1U));
    }
    const HttpResponse expired{.failure = Failure::from(tls::Errc::certificate_expired),
                               .sent = false};
    CHECK(rig.requests_of({.url = a_url}, expired) == 1);
    for (const int code : {400, 401, 403, 404, 410, 501, 505}) {
        INFO(code);
        CHECK(rig.requests_of({.url = a_url}, status(code)) == 1);
    }
    // The definite failure is the outcome, also while another request is under way.
    rig.http.script = {Step{{}, forever}, Step{ended(HttpErrc::not_http), 1s}};
    CHECK(rig.get().error() == HttpErrc::not_http);
    CHECK(rig.http.aborted == 1);
}

TEST_CASE("HttpCalls shares the response of equal requests only on request",
          "[http][http_calls][unit]") {
    const auto three = [](CallsRig& rig, auto request) {
        rig.http.script = {Step{status(503), 1s}, Step{status(200), 1s}};
        std::vector<Task<Outcome<HttpResponse>>> tasks;
        for (int i = 0; i < 3; ++i) {
            HttpRequest each = request();
            tasks.push_back(rig.calls.send(each));
        }
        for (auto& task : tasks) task.start();
        tasks.erase(tasks.begin());  // the first one ends, and the others continue
        rig.sleeper.run();
        for (auto& task : tasks) CHECK(task.take()->status == 200);
        return rig.http.seen.size();
    };
    const auto get = [] { return HttpRequest{.url = a_url}; };
    CallsRig plain{only_attempts};
    CHECK(three(plain, get) > 2);

    HttpCallsOptions options = only_attempts;
    options.single_flight = true;
    CallsRig rig{options};
    CHECK(three(rig, get) == 2);
    CHECK(rig.calls.counters() == HttpCallsCounters{.calls = 3,
                                                    .succeeded = 2,
                                                    .dropped = 1,
                                                    .requests = 2,
                                                    .retries = 1,
                                                    .shared = 2,
                                                    .hosts = 1});
    // The next call sends a request again. Requests that differ are not shared.
    CHECK(rig.requests_of(get(), status(200)) == 1);
    CallsRig posts{options};
    CHECK(three(posts, [] { return HttpRequest{.url = a_url, .method = "PUT"}; }) > 2);
    CallsRig users{options};
    int user = 0;
    CHECK(three(users, [&] {
              return HttpRequest{.url = a_url,
                                 .headers = {{"Authorization", std::to_string(++user)}}};
          }) > 2);
    CallsRig deadlines{options};
    Duration deadline = 20s;
    CHECK(three(deadlines, [&] { return HttpRequest{.url = a_url, .deadline = deadline += 1s}; }) >
          2);
    // A stop of one call must not end the others.
    CallsRig stopped{options};
    stopped.http.script = {Step{status(200), 1s}};
    const StopSource stop;
    auto one = stopped.calls.get(a_url, stop.token());
    auto two = stopped.calls.get(a_url, stop.token());
    one.start();
    two.start();
    CHECK(stopped.http.seen.size() == 2);
    // A response that has arrived is not shared with a later call.
    CallsRig later{options};
    later.http.script = {Step{status(200), 1s}};
    auto two_calls = twice(later.calls);
    auto other = later.calls.get(a_url);
    two_calls.start();
    other.start();
    later.sleeper.run();
    CHECK(two_calls.take());
    CHECK(other.take());
    CHECK(later.http.seen.size() == 2);
    // No call waits for the response any more.
    {
        rig.http.script = {Step{status(200), 1s}};
        auto task = rig.calls.get(a_url);
        task.start();
    }
    CHECK(rig.http.aborted == 1);
    CHECK(rig.requests_of(get(), status(200)) == 1);
}

namespace {

/// Calls of one URL that begin in turn, each with a deadline of 5 s.
struct SharedCalls {
    explicit SharedCalls(HttpCallsOptions options) : rig{options} {}
    void begin_at(Duration at) {
        rig.sleeper.run_until(Instant{} + at);
        HttpRequest request{.url = a_url, .deadline = 5s};
        tasks.push_back(rig.calls.send(request));
        tasks.back().start();
    }
    Outcome<HttpResponse> outcome(std::size_t i) {
        REQUIRE(tasks[i].done());
        return tasks[i].take();
    }
    CallsRig rig;
    std::vector<Task<Outcome<HttpResponse>>> tasks{};
};
HttpCallsOptions with_single_flight() {
    HttpCallsOptions options = only_attempts;
    options.single_flight = true;
    return options;
}

}  // namespace

TEST_CASE("HttpCalls gives calls that join another one their own deadline, in one more request",
          "[http][http_calls][regression]") {
    SharedCalls shared{with_single_flight()};
    shared.rig.http.script = {Step{status(200), forever}, Step{status(200), 200ms}};
    for (Duration at{}; at < 5s; at += 100ms) shared.begin_at(at);
    shared.rig.sleeper.run();
    CHECK(shared.rig.http.seen.size() == 2);
    CHECK(shared.rig.sleeper.now() == Instant{} + 5200ms);
    // The deadlines of the first three were at 5 s, 5.1 s and 5.2 s.
    CHECK(shared.outcome(0).error() == HttpErrc::timed_out);
    CHECK(shared.outcome(1).error() == HttpErrc::timed_out);
    for (std::size_t i = 3; i < shared.tasks.size(); ++i) CHECK(shared.outcome(i));
    CHECK(shared.rig.calls.counters().shared == 49);
}

TEST_CASE("HttpCalls ends each call that joined another one at its own deadline",
          "[http][http_calls][regression]") {
    SharedCalls shared{with_single_flight()};
    shared.rig.http.script = {Step{status(200), forever}};
    for (const Duration at : {0s, 2s, 3s}) shared.begin_at(at);
    for (const Duration end : {5s, 7s, 8s}) {
        const std::size_t i = end == 5s ? 0 : end == 7s ? 1 : 2;
        shared.rig.sleeper.run_until(Instant{} + end - 1ns);
        CHECK_FALSE(shared.tasks[i].done());
        shared.rig.sleeper.run_until(Instant{} + end);
        const auto outcome = shared.outcome(i);
        CHECK(outcome.error() == HttpErrc::timed_out);
        REQUIRE(outcome.last() != nullptr);
        CHECK(outcome.last()->status == 0);
    }
    CHECK(shared.rig.http.seen.size() == 2);
    CHECK(shared.rig.http.aborted == 0);
}

TEST_CASE("HttpCalls gives calls that join the last attempt of another one all attempts, together",
          "[http][http_calls][regression]") {
    SharedCalls shared{with_single_flight()};
    shared.rig.http.script = {Step{status(503)}, Step{status(503)}, Step{status(503)},
                              Step{status(503), 1s}, Step{status(503)}};
    shared.begin_at(0s);
    // The waits between attempts are below 0.7 s together.
    for (int i = 0; i < 9; ++i) shared.begin_at(800ms);
    REQUIRE(shared.rig.http.seen.size() == 4);
    shared.rig.sleeper.run();
    for (std::size_t i = 0; i < 10; ++i) CHECK(shared.outcome(i).error().value() == 503);
    CHECK(shared.rig.http.seen.size() == 8);
}

TEST_CASE("HttpCalls sends one more request for calls that joined another one, if answered at once",
          "[http][http_calls][regression]") {
    HttpCallsOptions options = with_single_flight();
    options.attempts_max = 1;
    for (const int second : {503, 200}) {
        SharedCalls shared{options};
        shared.rig.http.script = {Step{status(503), 1s}, Step{status(second)}, Step{status(500)}};
        for (int i = 0; i < 100; ++i) shared.begin_at(0s);
        shared.rig.sleeper.run();
        CHECK(shared.rig.http.seen.size() == 2);
        CHECK(shared.outcome(0).error().value() == 503);
        for (std::size_t i = 1; i < 100; ++i) {
            const auto outcome = shared.outcome(i);
            CHECK((outcome ? outcome->status : outcome.error().value()) == second);
        }
        // A later call does not join a shared request that has ended.
        shared.begin_at(1s);
        CHECK(shared.outcome(100).error().value() == 500);
    }
}

TEST_CASE("HttpCalls aborts the request that calls share after another one with the last of them",
          "[http][http_calls][unit]") {
    HttpCallsOptions options = with_single_flight();
    options.attempts_max = 1;
    SharedCalls shared{options};
    shared.rig.http.script = {Step{status(503), 1s}, Step{status(200), forever}};
    for (int i = 0; i < 3; ++i) shared.begin_at(0s);
    shared.rig.sleeper.run_until(Instant{} + 2s);
    REQUIRE(shared.rig.http.seen.size() == 2);
    CHECK(shared.tasks[0].done());
    shared.tasks.pop_back();
    CHECK(shared.rig.http.aborted == 0);
    shared.tasks.pop_back();
    CHECK(shared.rig.http.aborted == 1);
    CHECK(shared.rig.sleeper.waiting() == 0);
}

TEST_CASE("HttpCalls counts a shared request without answer if the longest call has left",
          "[http][http_calls][regression]") {
    HttpCallsOptions options = with_single_flight();
    options.attempts_max = 1;
    options.breaker = {.percent = 50, .min_calls = 2};
    for (const bool is_destroyed_first : {true, false}) {
        SharedCalls shared{options};
        shared.rig.http.script = {Step{status(200), forever}};
        for (const Duration at : {0s, 1s, 4s}) shared.begin_at(at);
        if (is_destroyed_first) shared.tasks.pop_back();
        // The second request may last until 9 s. The second call leaves it at 6 s.
        shared.rig.sleeper.run_until(Instant{} + 6s);
        CHECK(shared.outcome(1).error() == HttpErrc::timed_out);
        if (!is_destroyed_first) {
            CHECK(shared.rig.calls.breaker_state(a_url) == BreakerState::closed);
            shared.tasks.pop_back();
        }
        CHECK(shared.rig.http.seen.size() == 2);
        CHECK(shared.rig.http.aborted == 1);
        CHECK(shared.rig.calls.breaker_state(a_url) == BreakerState::open);
        CHECK(shared.rig.calls.counters().unanswered == 0);
    }
}

TEST_CASE("HttpCalls counts no failure for a shared request that all calls leave before a deadline",
          "[http][http_calls][unit]") {
    HttpCallsOptions options = with_single_flight();
    options.attempts_max = 2;
    options.breaker = {.percent = 50, .min_calls = 3};
    SharedCalls shared{options};
    // The second attempt of the second request begins after the second call's deadline.
    shared.rig.http.script = {Step{status(200), forever}, Step{status(503), 1500ms},
                              Step{status(200), forever}};
    for (const Duration at : {0s, 1s, 4s}) shared.begin_at(at);
    shared.rig.sleeper.run_until(Instant{} + 7s);
    REQUIRE(shared.rig.http.seen.size() == 3);
    CHECK(shared.outcome(1).error() == HttpErrc::timed_out);
    shared.tasks.pop_back();
    CHECK(shared.rig.http.aborted == 1);
    CHECK(shared.rig.calls.breaker_state(a_url) == BreakerState::closed);
}

TEST_CASE("HttpCalls sends no request for a call that joined a final response or a requested wait",
          "[http][http_calls][regression]") {
    for (const HttpResponse& last : {status(503, {{"Retry-After", "40"}}), status(404)}) {
        SharedCalls shared{with_single_flight()};
        shared.rig.http.script = {Step{last, 1s}};
        for (const Duration at : {0s, 0s}) shared.begin_at(at);
        shared.rig.sleeper.run();
        for (std::size_t i = 0; i < 2; ++i) CHECK(shared.outcome(i).error().value() == last.status);
        CHECK(shared.rig.http.seen.size() == 1);
    }
}

TEST_CASE("HttpCalls: destroying a Task aborts its request", "[http][http_calls][unit]") {
    CallsRig rig;
    rig.http.script = {Step{status(200), 1s}};
    {
        auto task = rig.calls.get(a_url);
        task.start();
        CHECK(rig.http.aborted == 0);
    }
    CHECK(rig.http.aborted == 1);
    CHECK(rig.sleeper.waiting() == 0);
    CHECK(rig.calls.counters().dropped == 1);
    // The same during a wait between two attempts.
    rig.http.script = {Step{status(503)}};
    {
        auto task = rig.calls.get(a_url);
        task.start();
        CHECK_FALSE(task.done());
    }
    CHECK(rig.sleeper.waiting() == 0);
    CHECK(rig.calls.counters().dropped == 2);
}

TEST_CASE("HttpCalls: a stop ends the wait for the next attempt", "[http][http_calls][unit]") {
    CallsRig rig{only_attempts};
    rig.http.script = {Step{status(503, {{"Retry-After", "20"}})}};
    const StopSource stop;
    auto task = rig.calls.get(a_url, stop.token());
    task.start();
    CHECK_FALSE(task.done());
    stop.request_stop();
    rig.sleeper.run_until(rig.sleeper.now());
    REQUIRE(task.done());
    CHECK(task.take().error().value() == 503);
    auto none = rig.calls.get(a_url, stop.token());
    none.start();
    CHECK(none.take().error() == CallErrc::stopped);
    CHECK(rig.http.seen.size() == 1);
}

TEST_CASE("HttpCalls: the error of a call with a response is that of the response",
          "[http][http_calls][unit]") {
    // The response is returned if a breaker opens during the call, or if a stop ends its wait.
    CallsRig opens{{.breaker = {.percent = 50, .min_calls = 1}}};
    opens.http.script = {Step{status(503)}};
    CHECK(opens.get().error().value() == 503);
    CHECK(opens.get().error() == CallErrc::call_rejected);
    CHECK(opens.http.seen.size() == 1);
    // A dropped probe returns its permit to the next call.
    opens.sleeper.time += 5s;
    opens.http.script = {Step{status(200), forever}};
    {
        auto probe = opens.calls.get(a_url);
        probe.start();
        CHECK(opens.http.seen.size() == 2);
    }
    opens.http.script = {Step{status(200)}};
    CHECK(opens.get());
    // No byte of a response has arrived.
    CallsRig nobody{only_attempts};
    nobody.http.script = {Step{ended(HttpErrc::not_connected, false)}};
    const auto none = nobody.get();
    CHECK(none.error() == HttpErrc::not_connected);
    REQUIRE(none.last() != nullptr);
    CHECK(none.last()->status == 0);
    // A server that is always overloaded, and one that only asks for a slower pace.
    CallsRig overloaded;
    overloaded.http.script = {Step{status(503)}};
    for (int i = 0; i < 30; ++i) static_cast<void>(overloaded.get());
    CHECK(overloaded.http.seen.size() == 20);
    CHECK(overloaded.calls.breaker_state(a_url) == BreakerState::open);
    CallsRig limited;
    limited.http.script = {Step{status(429, {{"Retry-After", "1"}})}};
    for (int i = 0; i < 30; ++i) static_cast<void>(limited.get());
    CHECK(limited.calls.breaker_state(a_url) == BreakerState::closed);
}

TEST_CASE("HttpCalls repeats no request after its client was destroyed",
          "[http][http_calls][unit]") {
    struct Gone {  // drops the Completion, like the destructor of a client
        struct Handle {
            Handle() noexcept {}
            Handle(Handle&&) noexcept {}
            ~Handle() {}
        };
        Handle request(HttpRequest, Completion<HttpResponse>) { return ++asked, Handle{}; }
        int asked = 0;
    };
    AsyncSleeper sleeper;
    Gone http;
    HttpCalls calls{http, sleeper, only_attempts};
    auto task = calls.get(a_url);
    task.start();
    REQUIRE(task.done());
    CHECK(task.take().error() == HttpErrc::client_failed);
    CHECK(http.asked == 1);
}

TEST_CASE("HttpCalls: a client without memory has sent nothing", "[http][http_calls][fault]") {
    CallsRig rig{only_attempts};
    rig.http.script = {Step{status(200)}};
    rig.http.throws = 2;
    CHECK(rig.send({.url = a_url, .method = "POST"}));
    rig.http.throws = 4;
    auto task = rig.calls.get(a_url);
    task.start();
    rig.sleeper.run();
    CHECK_THROWS_AS(task.take(), std::bad_alloc);
    // A sleeper without memory ends the call after the request was sent.
    SleeperWithoutMemory sleeper;
    ScriptedHttp http{sleeper};
    http.script = {Step{status(200), 1s}};
    HttpCalls calls{http, sleeper, only_attempts};
    HttpRequest post{.url = a_url, .method = "POST"};
    auto posted = calls.send(post);
    posted.start();
    sleeper.run();
    CHECK_THROWS_AS(posted.take(), std::bad_alloc);
    CHECK(http.seen.size() == 1);
    // The same for calls that share a response.
    HttpCallsOptions options = only_attempts;
    options.single_flight = true;
    CallsRig shared{options};
    shared.http.throws = 4;
    shared.http.script = {Step{status(200)}};
    auto one = shared.calls.get(a_url);
    auto two = shared.calls.get(a_url);
    one.start();
    two.start();
    shared.sleeper.run();
    CHECK_THROWS_AS(one.take(), std::bad_alloc);
    CHECK(two.take().error() == CallErrc::call_failed);
    CHECK(shared.get());
}

TEST_CASE("HttpCalls::send_blocking runs the loop, also if the response arrives on another thread",
          "[http][http_calls][unit]") {
    struct Threaded {
        struct Handle {
            explicit Handle(std::thread t) noexcept : thread{std::move(t)} {}
            Handle(Handle&&) noexcept = default;
            ~Handle() {
                if (thread.joinable()) thread.join();
            }
            std::thread thread;
        };
        Handle request(HttpRequest, Completion<HttpResponse> done) {
            const int code = ++asked == 1 ? 503 : 200;
            return Handle{std::thread{[code, d = std::move(done)]() mutable { d(status(code)); }}};
        }
        int asked = 0;
    };
    Loop<> loop;
    LoopSleeper sleeper{loop};
    Threaded http;
    HttpCalls calls{http, sleeper, {.first_wait = 1ms}};
    const auto page = calls.send_blocking(loop, {.url = a_url});
    REQUIRE(page);
    CHECK(page->status == 200);
    CHECK(http.asked == 2);
}

TEST_CASE("HttpCalls::send_blocking reports that its loop was stopped",
          "[http][http_calls][unit]") {
    AsyncSleeper sleeper;
    ScriptedHttp http{sleeper};
    http.script = {Step{status(200), 1s}};
    HttpCalls calls{http, sleeper};
    struct Stopped {
        bool run_until(const std::function<bool()>&) { return false; }
    } loop;
    CHECK(calls.send_blocking(loop, {.url = a_url}).error() == CallErrc::stopped);
    CHECK(http.aborted == 1);
}

TEST_CASE("HttpCalls: by default, no outage gets more than 1.3 times the load",
          "[http][http_calls][sim]") {
    struct Process {
        HttpCallsOptions options{};
        detail::HttpProgress progress{.repeatable = true};
        HttpCallsCounters counters{};
        detail::HttpHost host{options, true};
        auto policy() { return host.policy(options, progress, counters); }
    };
    for (const Duration queue_wait : {Duration{500ms}, forever}) {
        check::StabilityLoad load;
        load.server.queue_wait_max = queue_wait;
        load.brown_out_per_thousand_min = 0;  // because a breaker rejects calls in it
        const auto report = check::stability([] { return std::make_unique<Process>(); }, load);
        CHECK_FALSE(report.broken());
        CHECK(report.outage_peak_per_thousand <= 1300);
    }
}
