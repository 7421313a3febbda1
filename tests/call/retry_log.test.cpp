// SPDX-License-Identifier: MIT
// Goal: the lines show each attempt, failure, wait and deciding rule; a call that works at once
// logs nothing. Method: the texts.
#include <belay/call/retry_log.hpp>

#include <string>
#include <vector>

#include <belay/backoff/backoff.hpp>
#include <belay/backoff/no_jitter.hpp>
#include <belay/breaker/circuit_breaker.hpp>
#include <belay/call/pipeline.hpp>
#include <belay/call/retry.hpp>
#include <belay/call/retrying.hpp>
#include <belay/policy/max_attempts.hpp>
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

TEST_CASE("RetryLog logs hedged calls, and rejections without an end", "[call][retry_log][unit]") {
    LogLines lines;
    RetryLog log{LogSink{&lines}};
    log.on_hedge({.number = 2});
    log.on_rejection({.attempt = {}, .advice = Advice::suspend(never), .wait = forever});
    CHECK(lines == LogLines{"call: attempt 2 starts while another one is unanswered",
                            "call: attempt 1 may not start"});
}
