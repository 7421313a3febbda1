// SPDX-License-Identifier: MIT
// Goal: each decision of retry reaches its observer, with the rule and the reason; RetryCounters
// add up. Method: an observer that writes everything down; a property over random outcomes.
#include <belay/call/retry_observer.hpp>

#include <string>
#include <vector>

#include <belay/backoff/backoff.hpp>
#include <belay/backoff/no_jitter.hpp>
#include <belay/breaker/breaker.hpp>
#include <belay/breaker/circuit_breaker.hpp>
#include <belay/call/retry.hpp>
#include <belay/policy/cooldown_on.hpp>
#include <belay/policy/max_attempts.hpp>
#include <belay/policy/shared.hpp>
#include <belay/policy/stop_on.hpp>

#include "support/archetypes.hpp"
#include "support/catch.hpp"
#include "support/shorthand.hpp"

using namespace belay;
using namespace std::chrono_literals;
using belay_test::MinimalSleeper;
using belay_test::timed_out;

namespace {

std::string seconds(Duration d) {
    return std::to_string(std::chrono::duration_cast<std::chrono::seconds>(d).count()) + "s";
}

struct RetryLog {
    std::vector<std::string> lines{};
    void on_attempt(const Attempt& a) { lines.push_back("attempt " + std::to_string(a.number)); }
    void on_retry(const RetryPlanned& r) {
        lines.push_back("retry " + std::string{r.advice.by} + " " + seconds(r.wait));
    }
    void on_refusal(const CallRefused& r) {
        lines.push_back("refused " + std::to_string(r.attempt.number) + " " +
                        std::string{r.advice.by} + " " + seconds(r.wait));
    }
    void on_success(const Attempt& a) { lines.push_back("success " + std::to_string(a.number)); }
    void on_give_up(const RetryEnded& g) {
        lines.push_back("gave up after " + std::to_string(g.attempts) + ": " + g.why.message() +
                        " by " + std::string{g.advice.by});
        last = g;
    }
    RetryEnded last{};
};

}  // namespace

static_assert(detail::ObservesRetry<RetryCounters> && detail::ObservesRetry<RetryLog>);
static_assert(detail::ObservesRetry<NoObserver> && detail::ObservesRetry<const NoObserver>);
static_assert(!detail::ObservesRetry<int>);

namespace {

// Each of them beside a right hook, or as one who sees nothing: it would never hear.
struct Deaf : NoObserver {
    void on_attempt(Attempt&) {}
    void on_retry(RetryPlanned&) {}
    void on_refusal(const RetryPlanned&) {}
    void on_success() {}
    void on_give_up(RetryEnded&) {}
};

}  // namespace

static_assert(!detail::AttemptHookIsSound<Deaf> && detail::AttemptHookIsSound<RetryCounters>);
static_assert(!detail::RetryHookIsSound<Deaf> && detail::RetryHookIsSound<RetryCounters>);
static_assert(!detail::RefusalHookIsSound<Deaf> && detail::RefusalHookIsSound<RetryCounters>);
static_assert(!detail::SuccessHookIsSound<Deaf> && detail::SuccessHookIsSound<RetryCounters>);
static_assert(!detail::GiveUpHookIsSound<Deaf> && detail::GiveUpHookIsSound<RetryCounters>);
// One that is const hears nothing by hooks that are not.
static_assert(!detail::GiveUpHookIsSound<const RetryCounters>);

TEST_CASE("An observer learns of every decision of retry", "[call][retry_observer][unit]") {
    Random bits{Seed{1}};
    MinimalSleeper sleeper{bits};
    RetryLog log;
    const Policy policy{Backoff{NoJitter{}, Cap{30s}, 1s}, CooldownOn{Cause::overloaded, 5s, 5s},
                        Breaker{ConsecutiveFailures{3}, OpenFor{60s}}, MaxAttempts{9}};
    const auto busy = std::make_error_code(std::errc::resource_unavailable_try_again);
    CHECK(retry(
              policy, sleeper,
              [&](Attempt attempt) {
                  return attempt.number == 1   ? busy
                         : attempt.number == 4 ? std::error_code{}
                                               : timed_out;
              },
              NeverStops{}, log) == std::error_code{});
    CHECK(log.lines == std::vector<std::string>{"attempt 1", "retry CooldownOn 5s", "attempt 2",
                                                "retry Backoff 2s", "attempt 3",
                                                "retry Breaker 60s", "attempt 4", "success 4"});
}

TEST_CASE("An observer learns why retry gave up", "[call][retry_observer][unit]") {
    Random bits{Seed{1}};
    MinimalSleeper sleeper{bits};
    const auto run = [&](const auto& policy, const auto& stop) {
        RetryLog log;
        static_cast<void>(retry(
            policy, sleeper, [] { return timed_out; }, stop, log));
        return log;
    };
    const RetryLog most = run(MaxAttempts{2}, NeverStops{});
    CHECK(most.lines.back() ==
          "gave up after 2: gave up: a rule of the policy said stop by MaxAttempts");
    CHECK(most.last.failure == Failure::from(timed_out));
    const RetryLog cause = run(Policy{MaxAttempts{5}, StopOn{Cause::timed_out}}, NeverStops{});
    CHECK(cause.last.attempts == 1);
    CHECK(cause.last.advice.by == "StopOn");
    const RetryLog open =
        run(Policy{Breaker{ConsecutiveFailures{1}, OpenFor{forever}}}, NeverStops{});
    CHECK(open.last.why == CallErrc::breaker_open);
    CHECK(open.last.advice.by == "Breaker");
    const StopSource source;
    source.request_stop();
    const RetryLog stopped = run(MaxAttempts{2}, source.token());
    CHECK(stopped.lines == std::vector<std::string>{"gave up after 0: stopped on request by "});
    CHECK(stopped.last.failure == Failure{});
}

TEST_CASE("An observer learns of refusals that come between a wait and its attempt",
          "[call][retry_observer][unit]") {
    Random bits{Seed{1}};
    MinimalSleeper sleeper{bits};
    CircuitBreaker breaker{ConsecutiveFailures{1}, OpenFor{20s}};
    Turn turn{sleeper.now(), bits};
    static_cast<void>(breaker.acquire(turn).failure(turn));
    RetryLog log;
    CHECK(retry(
        Policy{Shared{breaker}}, sleeper, [] { return true; }, NeverStops{}, log));
    CHECK(log.lines ==
          std::vector<std::string>{"refused 1 CircuitBreaker 20s", "attempt 1", "success 1"});
}

TEST_CASE("RetryCounters add up over many runs", "[call][retry_observer][property]") {
    CHECK(rc::check("attempts, verdicts and waits", [] {
        RetryCounters counters;
        RetryCounters expected;
        std::uint64_t failed = 0;
        const auto runs = *rc::gen::inRange(1, 6);
        for (int run = 0; run < runs; ++run) {
            Random bits{Seed{1}};
            MinimalSleeper sleeper{bits};
            const auto most = *rc::gen::inRange<std::uint64_t>(1, 8);
            const auto works_at = *rc::gen::inRange<std::uint64_t>(1, 10);
            const Policy policy{Backoff{NoJitter{}, Cap{4s}, 1s}, MaxAttempts{most}};
            static_cast<void>(retry(
                policy, sleeper, [&](Attempt a) { return a.number == works_at; }, NeverStops{},
                counters));
            const std::uint64_t attempts = std::min(most, works_at);
            expected.attempts += attempts;
            expected.retries += attempts - 1;
            (works_at <= most ? expected.successes : expected.give_ups) += 1;
            failed += works_at <= most ? attempts - 1 : attempts;
            expected.waited += elapsed(Instant{}, sleeper.now());
        }
        RC_ASSERT(counters == expected);
        RC_ASSERT(counters.attempts == counters.successes + failed);
    }));
}

TEST_CASE("RetryCounters saturate with endless waits", "[call][retry_observer][unit]") {
    RetryCounters counters;
    const RetryPlanned endless{{}, {}, Advice::wait_at_least(never), forever};
    counters.on_retry(endless);
    counters.on_retry(endless);
    counters.on_refusal(CallRefused{{}, {}, 1s});
    CHECK(counters.waited == forever);
    CHECK(counters.refusals == 1);
}
