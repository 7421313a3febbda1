// SPDX-License-Identifier: MIT
// Goal: each decision of retry reaches its observer, with the rule and the reason; RetryCounters
// add up. Method: a recording observer; a property over random outcomes.
#include <belay/call/retry_observer.hpp>

#include <string>
#include <vector>

#include <belay/backoff/backoff.hpp>
#include <belay/backoff/jitters.hpp>
#include <belay/breaker/breaker.hpp>
#include <belay/breaker/circuit_breaker.hpp>
#include <belay/call/layers.hpp>
#include <belay/call/limiters.hpp>
#include <belay/call/pipeline.hpp>
#include <belay/call/retry.hpp>
#include <belay/policy/any_policy.hpp>
#include <belay/policy/rules.hpp>
#include <belay/policy/shared.hpp>

#include "support/archetypes.hpp"
#include "support/catch.hpp"
#include "support/core/observed_in_every_form.hpp"
#include "support/shorthand.hpp"

using namespace belay;
using namespace std::chrono_literals;
using belay_test::MinimalSleeper;
using belay_test::timed_out;

namespace {

std::string seconds(Duration d) {
    return std::to_string(std::chrono::duration_cast<std::chrono::seconds>(d).count()) + "s";
}

struct RetryLines {
    std::vector<std::string> lines{};
    void on_attempt(const Attempt& a) { lines.push_back("attempt " + std::to_string(a.number)); }
    void on_retry(const RetryPlanned& r) {
        lines.push_back("retry " + std::string{r.advice.by} + " " + seconds(r.wait));
    }
    void on_rejection(const CallRejected& r) {
        lines.push_back("rejected " + std::to_string(r.attempt.number) + " " +
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

namespace {

using OfRetry = detail::RetryRunHooks;

// Hooks of wrong forms. An observer declares no hooks, so that the wrong ones are not rejected.
struct RetryAllWrong : NoObserver {
    void on_attempt(Attempt&) {}
    void on_retry(RetryPlanned&) {}
    void on_retry(auto&, int) {}
    void on_rejection(const RetryPlanned&) {}
    void on_success() {}

private:
    [[maybe_unused]] void on_give_up(const RetryEnded&) {}
};
static_assert(!OfRetry::Begun::right<RetryAllWrong> && OfRetry::Begun::right<RetryCounters>);
static_assert(!OfRetry::Planned::right<RetryAllWrong> && OfRetry::Planned::right<RetryCounters>);
static_assert(!OfRetry::Rejection::right<RetryAllWrong> &&
              OfRetry::Rejection::right<RetryCounters>);
static_assert(!OfRetry::Success::right<RetryAllWrong> && OfRetry::Success::right<RetryCounters>);
static_assert(!OfRetry::GaveUp::right<RetryAllWrong> && OfRetry::GaveUp::right<RetryCounters>);
// A const observer is not notified by hooks that are not const.
static_assert(!OfRetry::GaveUp::right<const RetryCounters>);

/// Three runs with all events, each of them called by `retrying(policy, sleeper, fn, observer)`.
const auto some_retries = [](auto& observer, const auto& retrying) {
    Random bits{Seed{1}};
    MinimalSleeper sleeper{bits};
    CircuitBreaker breaker{ConsecutiveFailures{1}, OpenFor{20s}};
    Turn turn{sleeper.now(), bits};
    static_cast<void>(breaker.acquire(turn).failure(turn));
    retrying(
        Policy{Shared{breaker}}, sleeper, [] { return true; }, observer);
    retrying(
        Policy{Backoff{NoJitter{}, Cap{30s}, 1s}, MaxAttempts{2}}, sleeper, [] { return false; },
        observer);
};
const belay_test::Recorded all_of_retries{"rejected 1 CircuitBreaker 24s",
                                          "attempt 1",
                                          "success 1",
                                          "attempt 1",
                                          "retry Backoff 1s",
                                          "attempt 2",
                                          "gave up after 2"};
struct RetryRecorder {
    belay_test::Recorded& reported;
    void on_attempt(const Attempt& a) { reported.push_back("attempt " + std::to_string(a.number)); }
    void on_retry(const RetryPlanned& r) {
        reported.push_back("retry " + std::string{r.advice.by} + " " + seconds(r.wait));
    }
    void on_rejection(const CallRejected& r) {
        reported.push_back("rejected " + std::to_string(r.attempt.number) + " " +
                           std::string{r.advice.by} + " " + seconds(r.wait));
    }
    void on_success(const Attempt& a) { reported.push_back("success " + std::to_string(a.number)); }
    void on_give_up(const RetryEnded& e) {
        reported.push_back("gave up after " + std::to_string(e.attempts));
    }
};

}  // namespace

TEST_CASE("retry calls each hook, in every form of observer", "[call][retry_observer][unit]") {
    SECTION("retry") {
        belay_test::observed_in_every_form<RetryRecorder>(
            [](auto observer) {
                some_retries(observer, [](const auto& policy, auto& sleeper, auto fn, auto& o) {
                    static_cast<void>(retry(policy, sleeper, fn, NeverStops{}, o));
                });
            },
            all_of_retries);
    }
    SECTION("Retrying") {
        belay_test::observed_in_every_form<RetryRecorder>(
            [](auto observer) {
                some_retries(observer, [](const auto& policy, auto& sleeper, auto fn, auto& o) {
                    static_cast<void>(Pipeline{Retrying{policy, o}}(sleeper, fn));
                    static_assert(std::is_same_v<decltype(Retrying{policy, std::ref(o)}),
                                                 decltype(Retrying{policy, o})>);
                });
            },
            all_of_retries);
    }
}

TEST_CASE("A Pipeline calls its hook, in every form of observer", "[call][retry_observer][unit]") {
    Random bits{Seed{1}};
    MinimalSleeper sleeper{bits};
    CircuitBreaker breaker{ConsecutiveFailures{1}, OpenFor{20s}};
    Turn turn{sleeper.now(), bits};
    static_cast<void>(breaker.acquire(turn).failure(turn));
    const Pipeline pipeline{Shared{breaker}};
    belay_test::observed_in_every_form<RetryRecorder>(
        [&](auto observer) {
            static_cast<void>(pipeline(
                sleeper, [] { return true; }, NeverStops{}, observer));
        },
        {"rejected 1 CircuitBreaker 20s"});
}

TEST_CASE("An observer of calls may declare that it has no hooks", "[call][retry_observer][unit]") {
    struct WithoutHooks : NoObserver {
    } silent;
    Random bits{Seed{1}};
    MinimalSleeper sleeper{bits};
    CHECK(retry(
        MaxAttempts{1}, sleeper, [] { return true; }, NeverStops{}, std::ref(silent)));
    const Pipeline pipeline{Retrying{MaxAttempts{1}, silent}};
    CHECK(pipeline(
        sleeper, [] { return true; }, NeverStops{}, WithoutHooks{}));
}

TEST_CASE("An observer is notified of every decision of retry", "[call][retry_observer][unit]") {
    Random bits{Seed{1}};
    MinimalSleeper sleeper{bits};
    RetryLines log;
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

TEST_CASE("An observer is notified of the reason why retry gave up",
          "[call][retry_observer][unit]") {
    Random bits{Seed{1}};
    MinimalSleeper sleeper{bits};
    const auto run = [&](const auto& policy, const auto& stop) {
        RetryLines log;
        static_cast<void>(retry(
            policy, sleeper, [] { return timed_out; }, stop, log));
        return log;
    };
    const RetryLines most = run(MaxAttempts{2}, NeverStops{});
    CHECK(most.lines.back() ==
          "gave up after 2: a rule of the policy stopped the retries by "
          "MaxAttempts");
    CHECK(most.last.failure == Failure::from(timed_out));
    const RetryLines cause = run(Policy{MaxAttempts{5}, StopOn{Cause::timed_out}}, NeverStops{});
    CHECK(cause.last.attempts == 1);
    CHECK(cause.last.advice.by == "StopOn");
    const RetryLines open =
        run(Policy{Breaker{ConsecutiveFailures{1}, OpenFor{forever}}}, NeverStops{});
    CHECK(open.last.why == CallErrc::breaker_open);
    CHECK(open.last.advice.by == "Breaker");
    const StopSource source;
    source.request_stop();
    const RetryLines stopped = run(MaxAttempts{2}, source.token());
    CHECK(stopped.lines == std::vector<std::string>{"gave up after 0: stopped on request by "});
    CHECK(stopped.last.failure == Failure{});
}

TEST_CASE("An observer is notified of rejections between a wait and its attempt",
          "[call][retry_observer][unit]") {
    Random bits{Seed{1}};
    MinimalSleeper sleeper{bits};
    CircuitBreaker breaker{ConsecutiveFailures{1}, OpenFor{20s}};
    Turn turn{sleeper.now(), bits};
    static_cast<void>(breaker.acquire(turn).failure(turn));
    RetryLines log;
    CHECK(retry(
        Policy{Shared{breaker}}, sleeper, [] { return true; }, NeverStops{}, log));
    // The open wait, and a random part of it.
    CHECK(log.lines ==
          std::vector<std::string>{"rejected 1 CircuitBreaker 24s", "attempt 1", "success 1"});
}

TEST_CASE("RetryEnded as the observer names the rule that ended the last run",
          "[call][retry_observer][unit]") {
    // A rule without a name that stops at the second failure.
    struct StopsAtSecond {
        int failures = 0;
        Advice failed(const Failure&, Turn&) noexcept {
            return ++failures < 2 ? Advice::go() : Advice::stop();
        }
    };
    Random bits{Seed{1}};
    MinimalSleeper sleeper{bits};
    RetryEnded end;
    const auto fails = [] { return timed_out; };
    const Result<void> failed = retry(
        MaxAttempts{3}, sleeper, [] { return false; }, NeverStops{}, end);
    CHECK(failed.error() == CallErrc::gave_up);
    CHECK(end.rule() == "MaxAttempts");
    CHECK(end.why == CallErrc::gave_up);
    CHECK(end.attempts == 3);
    CHECK(end.failure.cause == Cause::lost);

    CHECK(retry(StopsAtSecond{}, sleeper, fails, NeverStops{}, end) == timed_out);
    CHECK(end.rule() == "a rule without a name");
    CHECK(end.attempts == 2);
    CHECK(end.failure.cause == Cause::timed_out);

    CHECK(retry(
        MaxAttempts{3}, sleeper, [](Attempt a) { return a.number == 2; }, NeverStops{}, end));
    CHECK(end.rule().empty());
    CHECK(end.attempts == 2);
    CHECK_FALSE(end.why);
    CHECK(end.failure == Failure{});

    StopSource source;
    source.request_stop();
    CHECK(retry(MaxAttempts{3}, sleeper, fails, source.token(), end) == CallErrc::stopped);
    CHECK(end.rule().empty());
    CHECK(end.why == CallErrc::stopped);
    CHECK(end.attempts == 0);
}

TEST_CASE("An observer is notified of no retry that a limit of time forbids",
          "[call][retry_observer][regression]") {
    Random bits{Seed{1}};
    MinimalSleeper sleeper{bits};
    RetryLines seen;
    const Policy policy{Backoff{NoJitter{}, Cap{30s}, 1s}, MaxAttempts{5}};
    Pipeline pipeline{Timeout{3s}, Retrying{policy, std::ref(seen)}};
    CHECK_FALSE(pipeline(sleeper, [](Attempt) { return false; }));
    // The second wait, of 2 s, would leave nothing.
    const std::vector<std::string> expected{"attempt 1", "retry Backoff 1s", "attempt 2",
                                            "gave up after 2: Connection timed out by Backoff"};
    CHECK(seen.lines == expected);
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

TEST_CASE("An open breaker and RetryCounters count what FailFast rejects",
          "[call][retry_observer][regression]") {
    const auto check = [](auto wrap) {
        Random bits{Seed{1}};
        MinimalSleeper sleeper{bits};
        CircuitBreaker breaker{ConsecutiveFailures{3}, OpenFor{30s}};
        const auto policy = wrap(Policy{Backoff{FullJitter{}, Cap{1ms}, 1ms},
                                        Shared{breaker, FailFast{}}, MaxAttempts{5}});
        RetryCounters counters;
        for (int i = 0; i < 10; ++i) {
            CHECK(retry(
                      policy, sleeper, [](const Attempt&) { return false; }, NeverStops{}, counters)
                      .error() == CallErrc::call_rejected);
        }
        CHECK(counters.attempts == 3);
        CHECK(counters.give_ups == 10);
        CHECK(counters.rejections == 10);
        CHECK(breaker.counters().rejected == 10);
    };
    check([](auto policy) { return policy; });
    check([](auto policy) { return policies::AnyPolicy{policy}; });
    check([](auto policy) { return Policy{policies::AnyPolicy{policy}}; });
}

TEST_CASE("A bulkhead and a limiter count the attempts that the check of a rule rejects",
          "[call][retry_observer][regression]") {
    Random bits{Seed{1}};
    MinimalSleeper sleeper{bits};
    Bulkhead bulkhead{{.limit = 1}};
    const auto held = bulkhead.acquire(sleeper.now());
    const auto rejected = [&](auto rule) {
        RetryCounters counters;
        const auto done = retry(
            Policy{rule, MaxAttempts{2}}, sleeper, [] { return true; }, NeverStops{}, counters);
        CHECK(done.error() == CallErrc::call_rejected);
        CHECK(counters.rejections == 1);
    };
    rejected(Shared{bulkhead, FailFast{}});
    CHECK(bulkhead.counters().rejected == 1);
    RateLimiter limiter{Rate{1, 1h}, Burst{1}};
    static_cast<void>(limiter.acquire(sleeper.now()));
    rejected(Shared{limiter, FailFast{}});
    CHECK(limiter.counters().rejected == 1);
}

TEST_CASE("A breaker counts each time that a rule without FailFast waits for it",
          "[call][retry_observer][unit]") {
    Random bits{Seed{1}};
    MinimalSleeper sleeper{bits};
    CircuitBreaker breaker{ConsecutiveFailures{1}, OpenFor{30s}};
    RetryCounters counters;
    int calls = 0;
    CHECK(retry(
        Policy{Shared{breaker}, MaxAttempts{3}}, sleeper, [&] { return ++calls == 2; },
        NeverStops{}, counters));
    // The wait after the failure is the plan, and rejects no attempt that is due.
    CHECK(counters.rejections == 0);
    CHECK(breaker.counters().rejected == 0);
    Turn turn{sleeper.now(), bits};
    breaker.acquire(turn).failure(turn);
    calls = 1;
    CHECK(retry(
        Policy{Shared{breaker}, MaxAttempts{3}}, sleeper, [&] { return ++calls == 2; },
        NeverStops{}, counters));
    CHECK(counters.rejections == 1);
    CHECK(breaker.counters().rejected == 1);
}

TEST_CASE("RetryCounters saturate with endless waits", "[call][retry_observer][unit]") {
    RetryCounters counters;
    const RetryPlanned endless{{}, {}, Advice::wait_at_least(never), forever};
    counters.on_retry(endless);
    counters.on_retry(endless);
    counters.on_rejection(CallRejected{{}, {}, 1s});
    CHECK(counters.waited == forever);
    CHECK(counters.rejections == 1);
}
