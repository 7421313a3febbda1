// SPDX-License-Identifier: MIT
// Goal: the lines show each attempt, failure, wait and deciding rule; a call that works at once
// logs nothing. Method: the texts.
#include <belay/call/call_text.hpp>

#include <exception>
#include <new>
#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

#include <belay/backoff/backoff.hpp>
#include <belay/backoff/jitters.hpp>
#include <belay/breaker/circuit_breaker.hpp>
#include <belay/call/layers.hpp>
#include <belay/call/pipeline.hpp>
#include <belay/call/retry.hpp>
#include <belay/call/retry_outcome.hpp>
#include <belay/policy/rules.hpp>
#include <belay/policy/shared.hpp>

#include "support/archetypes.hpp"
#include "support/catch.hpp"
#include "support/shorthand.hpp"

using namespace belay;
using namespace std::chrono_literals;
using belay_test::MinimalSleeper;

namespace {

using LogLines = std::vector<std::string>;

struct LogSink {
    LogLines* lines;
    void operator()(std::string_view line) { lines->emplace_back(line); }
};

}  // namespace

TEST_CASE("RetryLog logs each failure, and the next step", "[call][retry_log][unit]") {
    Random bits{Seed{1}};
    MinimalSleeper sleeper{bits};
    LogLines lines;
    RetryLog log{LogSink{&lines}, "render"};
    const Policy policy{Backoff{NoJitter{}, Cap{30s}, 1500ms}, MaxAttempts{3}};
    int calls = 0;
    SECTION("it works at once") {
        CHECK(retry(
            policy, sleeper, [] { return true; }, NeverStops{}, std::ref(log)));
        CHECK(lines.empty());
    }
    SECTION("it works in the end") {
        CHECK(retry(
            policy, sleeper,
            [&]() -> Result<int> {
                if (++calls < 3) return belay_test::timed_out;
                return calls;
            },
            NeverStops{}, std::ref(log)));
        const std::string why = Failure::from(belay_test::timed_out).message();
        CHECK(lines ==
              LogLines{"render: attempt 1 failed (" + why + "); the next one in 1.5 s (Backoff)",
                       "render: attempt 2 failed (" + why + "); the next one in 3.0 s (Backoff)",
                       "render: attempt 3 succeeded"});
    }
    SECTION("it never does") {
        CHECK_FALSE(retry(
            policy, sleeper, [] { return false; }, NeverStops{}, std::ref(log)));
        REQUIRE(lines.size() == 3);
        CHECK(lines[2].rfind("render: gave up after 3 attempts (", 0) == 0);
        CHECK(lines[2].find("MaxAttempts") != std::string::npos);
        CHECK(lines[2].find("last: " + Failure{.cause = Cause::lost}.message()) !=
              std::string::npos);
    }
}

TEST_CASE("RetryLog logs the calls that an open breaker rejects, for retry and a Pipeline",
          "[call][retry_log][unit]") {
    Random bits{Seed{1}};
    MinimalSleeper sleeper{bits};
    CircuitBreaker breaker{ConsecutiveFailures{1}, OpenFor{20s}};
    Turn turn{sleeper.now(), bits};
    static_cast<void>(breaker.acquire(turn).failure(turn));
    LogLines lines;
    RetryLog log{LogSink{&lines}};
    std::string wait = "20.0 s";
    SECTION("Pipeline") {
        const Pipeline pipeline{Shared{breaker}};
        static_cast<void>(pipeline(
            sleeper, [] { return true; }, NeverStops{}, std::ref(log)));
    }
    SECTION("Retrying in a Pipeline") {
        static_cast<void>(Pipeline{Retrying{Policy{Shared{breaker}}, std::ref(log)}}(
            sleeper, [] { return true; }));
        wait = "24.8 s";  // with a random part, because this caller waits
    }
    REQUIRE_FALSE(lines.empty());
    CHECK(lines[0] == "call: attempt 1 may not start for " + wait + " (CircuitBreaker)");
}

#if defined(__cpp_exceptions)
TEST_CASE("RetryLog logs the text of an exception, once", "[call][retry_log][unit]") {
    Random bits{Seed{1}};
    MinimalSleeper sleeper{bits};
    LogLines lines;
    RetryLog log{LogSink{&lines}};
    const Policy policy{Backoff{NoJitter{}, Cap{30s}, 1s}, MaxAttempts{2}};
    const auto logged = [&](auto fail) {
        lines.clear();
        CHECK_THROWS(retry(
            policy, sleeper,
            [&]() -> Result<int> {
                fail();
                return 1;
            },
            NeverStops{}, std::ref(log)));
        REQUIRE(lines.size() == 2);
        CHECK(lines[0].ends_with("; the next one in 1.0 s (Backoff)"));
        const std::string start = "call: attempt 1 failed (";
        const std::string why = lines[0].substr(start.size(), lines[0].find(");") - start.size());
        CHECK(lines[1].ends_with("; last: " + why + ")"));
        return why;
    };
    CHECK(logged([] { throw std::runtime_error{"no such scene"}; }) == "lost: no such scene");
    CHECK(logged([] { throw 42; }) == "lost");
    CHECK(logged([] { throw std::runtime_error{""}; }) == "lost");
    // A text of another program cannot begin a line, or command a terminal.
    CHECK(logged([] { throw std::runtime_error{"no table\nLINE 1:\x1b[2J\x7f"}; }) ==
          "lost: no table LINE 1: [2J ");
    const std::string text = belay_test::timed_out.message();
    CHECK(logged([] {
              throw std::system_error{belay_test::timed_out, "dial"};
          }) == "timed_out: dial: " + text);
    CHECK(logged([] { throw std::bad_alloc{}; }).ends_with(std::bad_alloc{}.what()));
}

TEST_CASE("RetryLog logs the text of an exception in addition to the failure of a predicate",
          "[call][retry_log][unit]") {
    Random bits{Seed{1}};
    MinimalSleeper sleeper{bits};
    LogLines lines;
    RetryLog log{LogSink{&lines}};
    const auto fetch = []() -> Result<int> { throw std::runtime_error{"no such scene"}; };
    const auto why = [](const std::runtime_error&) { return Failure::from(belay_test::timed_out); };
    CHECK_THROWS(retry(MaxAttempts{1}, sleeper, fails_on<std::runtime_error>(fetch, why),
                       NeverStops{}, std::ref(log)));
    REQUIRE(lines.size() == 1);
    CHECK(lines[0].find("last: " + Failure::from(belay_test::timed_out).message() +
                        ": no such scene)") != std::string::npos);
}

TEST_CASE("RetryLog logs no exception of an earlier attempt for a rejected one",
          "[call][retry_log][unit]") {
    Random bits{Seed{1}};
    MinimalSleeper sleeper{bits};
    CircuitBreaker breaker{ConsecutiveFailures{1}, OpenFor{20s}};
    LogLines lines;
    RetryLog log{LogSink{&lines}};
    const Policy policy{Backoff{NoJitter{}, Cap{30s}, 1s}, MaxAttempts{3}};
    const Pipeline pipeline{Retrying{policy, std::ref(log)}, Shared{breaker}};
    CHECK_THROWS(
        pipeline(sleeper, []() -> Result<int> { throw std::runtime_error{"no such scene"}; }));
    REQUIRE(lines.size() == 3);
    CHECK(lines[0].find(": no such scene)") != std::string::npos);
    CHECK(lines[1].find("no such scene") == std::string::npos);
    // The result of the whole is the exception.
    CHECK(lines[2].find(": no such scene)") != std::string::npos);
}

TEST_CASE("RetryEnded has the text of the reason if no attempt was made",
          "[call][retry_log][unit]") {
    CircuitBreaker breaker{ConsecutiveFailures{1}, OpenFor{30s}};
    const Policy policy{Backoff{NoJitter{}, Cap{1ms}, 1ms}, Shared{breaker, FailFast{}}};
    Random bits{Seed{1}};
    MinimalSleeper sleeper{bits};
    RetryEnded ended;
    const auto fail = [] { return false; };
    CHECK_FALSE(retry(policy, sleeper, fail, NeverStops{}, ended));
    const auto rejected = retry(policy, sleeper, fail, NeverStops{}, ended);
    REQUIRE_FALSE(rejected);
    CHECK(ended.attempts == 0);
    CHECK(ended.message() == rejected.error().message());
}

TEST_CASE("RetryPlanned and RetryEnded have the exception of the failure",
          "[call][retry_log][unit]") {
    struct Observer {
        RetryPlanned planned{};
        RetryEnded ended{};
        void on_retry(const RetryPlanned& event) { planned = event; }
        void on_give_up(const RetryEnded& event) { ended = event; }
    } observer;
    Random bits{Seed{1}};
    MinimalSleeper sleeper{bits};
    int calls = 0;
    const auto fetch = [&]() -> Result<int> {
        if (++calls == 1) throw std::runtime_error{"no such scene"};
        return belay_test::timed_out;
    };
    CHECK_FALSE(retry(MaxAttempts{2}, sleeper, fetch, NeverStops{}, observer));
    REQUIRE(observer.planned.thrown != nullptr);
    CHECK_THROWS_AS(std::rethrow_exception(observer.planned.thrown), std::runtime_error);
    CHECK(observer.planned.message() == "lost: no such scene");
    CHECK(observer.ended.thrown == nullptr);
    CHECK(observer.ended.message() == Failure::from(belay_test::timed_out).message());
}
#endif

TEST_CASE("RetryLog logs hedged calls, and rejections without an end", "[call][retry_log][unit]") {
    LogLines lines;
    RetryLog log{LogSink{&lines}};
    log.on_hedge({.number = 2});
    log.on_rejection({.attempt = {}, .advice = Advice::suspend(never), .wait = forever});
    CHECK(lines == LogLines{"call: attempt 2 starts while another one is unanswered",
                            "call: attempt 1 may not start"});
}
