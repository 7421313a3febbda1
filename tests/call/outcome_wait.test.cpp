// SPDX-License-Identifier: MIT
// Goal: an Outcome has the rest of the wait that was requested when its call ended, also for a call
// that was rejected. A retry around the call then waits long enough, and no wait twice. Method:
// virtual time; the outer retry in its four forms.
#include <belay/backoff/backoff.hpp>
#include <belay/backoff/jitters.hpp>
#include <belay/breaker/circuit_breaker.hpp>
#include <belay/breaker/open_waits.hpp>
#include <belay/call/hedge.hpp>
#include <belay/call/layers.hpp>
#include <belay/call/limiters.hpp>
#include <belay/call/outcome.hpp>
#include <belay/call/retry_outcome.hpp>
#include <belay/core/clocks.hpp>
#include <belay/http/http_message.hpp>
#include <belay/policy/any_policy.hpp>
#include <belay/policy/policy.hpp>
#include <belay/policy/remembered.hpp>
#include <belay/policy/rules.hpp>
#include <belay/policy/shared.hpp>

#include "support/call/async_sleeper.hpp"
#include "support/call/retry_forms.hpp"
#include "support/call/sleeper_clock.hpp"
#include "support/catch.hpp"
#include "support/shorthand.hpp"

using namespace belay;
using namespace std::chrono_literals;
using belay_test::as_it_is;
using belay_test::AsyncSleeper;
using belay_test::at;
using belay_test::await;
using belay_test::awaitable;
using belay_test::RetryForm;
using belay_test::SleeperClock;

namespace {

const Policy once_more{Backoff{NoJitter{}, Cap{10s}, 1s}, MaxAttempts{2}};

HttpResponse busy_for(int seconds) {
    return {.status = 503, .headers = {{"Retry-After", std::to_string(seconds)}}};
}
// The waits of a retry around `call`, which returns an Outcome.
template <class F>
std::vector<Duration> waits_around(RetryForm form, F call) {
    AsyncSleeper sleeper;
    sleeper.time = at(1h);
    static_cast<void>(form.run(
        once_more, sleeper, [&] { return call(sleeper); }, as_it_is));
    return sleeper.sleeps;
}
using Waits = std::vector<Duration>;

// In the form of std::expected<void, Failure>.
struct Sent {
    using value_type = void;
    Failure failure;
    explicit Sent(Failure why) : failure{why} {}
    [[nodiscard]] bool has_value() const { return failure.cause == Cause::none; }
    [[nodiscard]] const Failure& error() const { return failure; }
};

// A result of a user's class, which has one member more than belay uses.
struct TracedResult {
    using value_type = double;
    Failure failure;
    std::string request_id{};
    explicit TracedResult(Failure why) : failure{why} {}
    explicit TracedResult(Failure why, std::string id) : failure{why}, request_id{std::move(id)} {}
    [[nodiscard]] bool has_value() const { return failure.cause == Cause::none; }
    [[nodiscard]] double operator*() const { return 1; }
    [[nodiscard]] const Failure& error() const { return failure; }
};
struct MutableTracedResult : TracedResult {
    using TracedResult::error;
    using TracedResult::TracedResult;
    [[nodiscard]] Failure& error() { return failure; }
};

// A result with value() and without a `*`.
struct ValueOnlyResult {
    using value_type = int;
    Failure failure;
    explicit ValueOnlyResult(Failure why) : failure{why} {}
    [[nodiscard]] bool has_value() const { return failure.cause == Cause::none; }
    [[nodiscard]] const Failure& error() const { return failure; }
};

// A type whose AnswerTraits lack `failed`, which a predicate makes unnecessary.
struct HalfSpecialized {
    int status = 0;
};

}  // namespace

template <>
struct belay::AnswerTraits<HalfSpecialized> {};

TEST_CASE("A retry around an Outcome waits until an open breaker admits its call",
          "[call][outcome_wait][regression]") {
    BELAY_TEST_EACH_RETRY_FORM;
    ManualClock clock{at(1h)};
    const bool in_policy = GENERATE(true, false);
    CircuitBreaker breaker{ConsecutiveFailures{1}, OpenFor{30s}, clock.view()};
    breaker.acquire().failure();
    std::vector<Duration> told;
    const auto call = [&](AsyncSleeper& sleeper) -> Outcome<HttpResponse> {
        const auto ask = [] { return HttpResponse{.status = 200}; };
        auto outcome = in_policy ? retry(Policy{Shared{breaker, FailFast{}}}, sleeper, ask)
                                 : Pipeline{Shared{breaker}}(sleeper, ask);
        told.push_back(outcome.retry_after());
        return outcome;
    };
    CHECK(waits_around(form, call) == Waits{30s});
    CHECK(told == Waits{30s, 0s});
}

TEST_CASE("A retry around an Outcome does not wait for a requested wait that is over",
          "[call][outcome_wait][regression]") {
    BELAY_TEST_EACH_RETRY_FORM;
    ManualClock clock{at(1h)};
    CircuitBreaker breaker{ConsecutiveFailures{9}, OpenFor{30s}, clock.view()};
    int calls = 0;
    const auto call = [&](AsyncSleeper& sleeper) {
        breaker.set_mode(BreakerMode::automatic);
        const auto ask = [&] {
            ++calls;
            breaker.set_mode(BreakerMode::forced_open);
            return busy_for(20);
        };
        return Pipeline{Retrying{once_more}, Shared{breaker}}(sleeper, ask);
    };
    // The inner retry waits 20 s, and is then rejected for 1 s. The second one does the same.
    CHECK(waits_around(form, call) == Waits{20s, 1s, 20s});
    CHECK(calls == 2);
}

TEST_CASE("A retry around an Outcome whose error is a Failure waits only once for each wait",
          "[call][outcome_wait][regression]") {
    BELAY_TEST_EACH_RETRY_FORM;
    // An Outcome with a value in the failure, one without, and a result that is no Outcome.
    const auto waits = [form](auto answer) {
        ManualClock clock{at(1h)};
        CircuitBreaker breaker{ConsecutiveFailures{9}, OpenFor{30s}, clock.view()};
        return waits_around(form, [&](AsyncSleeper& sleeper) {
            breaker.set_mode(BreakerMode::automatic);
            return Pipeline{Retrying{once_more}, Shared{breaker}}(sleeper, [&] {
                breaker.set_mode(BreakerMode::forced_open);
                return answer();
            });
        });
    };
    const Failure busy{.cause = Cause::overloaded, .retry_after = 20s};
    CHECK(waits([&] { return Result<HttpResponse, Failure>::failure(busy); }) ==
          Waits{20s, 1s, 20s});
    CHECK(waits([&] { return Result<int, Failure>::failure(busy); }) == Waits{20s, 1s, 20s});
    CHECK(waits([&] { return Outcome<HttpResponse, Failure>::failure(busy_for(20), busy); }) ==
          Waits{20s, 1s, 20s});
}

TEST_CASE("A retry around an Outcome waits for the rest of a wait that was too long for it",
          "[call][outcome_wait][unit]") {
    BELAY_TEST_EACH_RETRY_FORM;
    const auto call = [&](AsyncSleeper& sleeper) {
        const Policy patient{Backoff{NoJitter{}, Cap{5s}, 5s}, MaxElapsed{10s}};
        int asked = 0;
        // The second response requests 60 s, and the policy ends at once.
        return retry(patient, sleeper, [&] { return busy_for(++asked == 1 ? 0 : 60); });
    };
    CHECK(waits_around(form, call) == Waits{5s, 60s, 5s});
}

TEST_CASE("A retry treats a requested wait of less than 0 as none",
          "[call][outcome_wait][regression]") {
    BELAY_TEST_EACH_RETRY_FORM;
    const Duration asked = GENERATE(Duration{-5s}, Duration{-1}, Duration::min());
    AsyncSleeper sleeper;
    sleeper.time = at(1h);
    const auto outcome = form.run(
        once_more, sleeper,
        [&]() -> Result<int, Failure> {
            return Result<int, Failure>::failure(
                Failure{.cause = Cause::overloaded, .retry_after = asked});
        },
        as_it_is);
    CHECK_FALSE(outcome.has_value());
    CHECK(sleeper.sleeps == Waits{1s});
}

TEST_CASE("A retry that MaxElapsed ends before an attempt has the wait of an open breaker",
          "[call][outcome_wait][regression]") {
    BELAY_TEST_EACH_RETRY_FORM;
    ManualClock clock{at(1h)};
    CircuitBreaker breaker{ConsecutiveFailures{1}, OpenFor{30s}, clock.view()};
    breaker.acquire().failure();
    AsyncSleeper sleeper;
    sleeper.time = at(1h);
    const Policy patient{Backoff{NoJitter{}, Cap{1s}, 1s}, MaxElapsed{10s}, Shared{breaker}};
    const auto ask = [] { return HttpResponse{.status = 200}; };
    const auto outcome = form.run(patient, sleeper, ask, as_it_is);
    CHECK(outcome.error() == CallErrc::gave_up);
    CHECK(outcome.retry_after() >= 30s);
    CHECK(outcome.retry_after() <= 60s);  // with the spread
    CHECK(sleeper.sleeps == Waits{});
}

TEST_CASE("A retry that a deadline ends while a breaker is open has the breaker's wait",
          "[call][outcome_wait][regression]") {
    ManualClock clock{at(1h)};
    CircuitBreaker breaker{ConsecutiveFailures{1}, OpenFor{30s}, clock.view()};
    AsyncSleeper sleeper;
    sleeper.time = at(1h);
    const Pipeline pipeline{Timeout{10s}, Retrying{Policy{Shared{breaker}}}};
    const Duration takes = GENERATE(Duration{1s}, Duration{11s});
    // The first attempt opens the breaker, within the time limit or after it.
    const auto first = pipeline(sleeper, [&](Attempt) {
        sleeper.time += takes;
        return HttpResponse{.status = 503};
    });
    CHECK(first.last()->status == 503);
    CHECK(first.retry_after() == 30s);
    CHECK(sleeper.sleeps == Waits{});
    sleeper.time += 10s;
    const auto second = pipeline(sleeper, [](Attempt) { return HttpResponse{.status = 200}; });
    CHECK(second.error() == std::errc::timed_out);
    CHECK(second.retry_after() >= 20s);
    CHECK(second.retry_after() <= 50s);
}

TEST_CASE("A call that cannot get its turn in a queue before its deadline has the wait for it",
          "[call][outcome_wait][regression]") {
    AsyncSleeper sleeper;
    sleeper.time = at(1h);
    RateLimiter limiter{Rate{1, 10s}, Burst{1}, 10};
    const Pipeline pipeline{Timeout{2s}, Queued{limiter}};
    const auto ask = [](Attempt) { return HttpResponse{.status = 200}; };
    REQUIRE(pipeline(sleeper, ask).has_value());
    sleeper.time += 1s;
    const auto late = pipeline(sleeper, ask);
    CHECK(late.error() == std::errc::timed_out);
    CHECK(late.retry_after() == 9s);
}

TEST_CASE("Outcome::retry_after is that of the failure for each kind of result",
          "[call][outcome_wait][unit]") {
    AsyncSleeper sleeper;
    const auto wait_of = [&](auto fn) { return retry(MaxAttempts{1}, sleeper, fn).retry_after(); };
    CHECK(wait_of([] { return busy_for(7); }) == 7s);
    CHECK(wait_of([]() -> Result<HttpResponse> { return busy_for(7); }) == 7s);
    CHECK(wait_of([]() -> std::optional<HttpResponse> { return busy_for(7); }) == 7s);
    CHECK(wait_of(fails_if(
              [] { return 5; },
              [](int) { return Failure{.cause = Cause::overloaded, .retry_after = 7s}; })) == 7s);
    CHECK(wait_of([] { return HttpResponse{.status = 200}; }) == 0s);
    // An Outcome that the program constructs.
    using Page = Outcome<HttpResponse>;
    const Page page =
        Page::failure(HttpResponse{.status = 503}, std::error_code{}, Cause::overloaded, 7s);
    CHECK(page.retry_after() == 7s);
    CHECK(wait_of([&] { return page; }) == 7s);
    CHECK(Page(CallErrc::stopped, Cause::none, 3s).retry_after() == 3s);
    // A result whose error is a Failure keeps the wait of a rejection, too.
    const auto rejected =
        Pipeline{Retrying{MaxAttempts{1}}}(sleeper, [&]() -> Result<int, Failure> {
            return Result<int, Failure>::failure(
                Failure{.cause = Cause::overloaded, .retry_after = 9s});
        });
    CHECK(rejected.error().retry_after == 9s);
}

TEST_CASE("A predicate of a whole result does not change the wait that the peer requested",
          "[call][outcome_wait][regression]") {
    BELAY_TEST_EACH_RETRY_FORM;
    const Failure busy{.cause = Cause::overloaded, .retry_after = 60s};
    // The predicate returns `verdict` for each answer.
    const auto check = [&](const auto& answer, auto verdict, Waits waits) {
        AsyncSleeper sleeper;
        sleeper.time = at(1h);
        const auto classified = [&](auto fn) {
            return fails_if(fn, [verdict](const decltype(answer())&) { return verdict; });
        };
        const auto outcome = form.run(once_more, sleeper, answer, classified);
        CHECK_FALSE(outcome.has_value());
        CHECK(detail::failure_without_value(outcome).retry_after == 60s);
        if constexpr (std::same_as<decltype(outcome.error()), const Failure&>) {
            CHECK(outcome.error().retry_after == 60s);
        }
        CHECK(sleeper.sleeps == waits);
        // The same holds without a retry.
        ManualClock clock{at(1h)};
        CircuitBreaker breaker{ConsecutiveFailures{9}, OpenFor{30s}, clock.view()};
        const auto plain = Pipeline{Shared{breaker}}(sleeper, classified(answer));
        CHECK(detail::failure_without_value(plain).retry_after == 60s);
    };
    const auto result = [&] { return Result<int, Failure>::failure(busy); };
    const auto outcome = [&] { return Outcome<int, Failure>::failure(5, busy); };
    const auto page = [&] {
        return Outcome<HttpResponse>::failure(busy_for(60), {}, Cause::overloaded, 60s);
    };
    const auto nothing = [&] { return Sent{busy}; };
    const auto value_only = [&] { return ValueOnlyResult{busy}; };
    const auto check_all = [&](auto verdict, const Waits& waits) {
        check(result, verdict, waits);
        check(outcome, verdict, waits);
        check(page, verdict, waits);
        check(nothing, verdict, waits);
        check(value_only, verdict, waits);
    };
    check_all(false, {});
    check_all(Cause::none, {});
    check_all(true, {60s});
    check_all(Cause::refused, {60s});
    // If the predicate accepts an Outcome with a failure, the Outcome keeps its cause.
    AsyncSleeper sleeper;
    const auto fine = [](const Outcome<HttpResponse>&) { return false; };
    CHECK(retry(once_more, sleeper, fails_if(page, fine)).cause() == Cause::overloaded);
    // A Failure that a predicate returns is the whole verdict, with its wait.
    const auto at_once = [](const Result<int, Failure>&) { return Failure{Cause::refused}; };
    CHECK(retry(MaxAttempts{1}, sleeper, fails_if(result, at_once)).retry_after() == 0s);
}

TEST_CASE("A predicate of a response does not change the wait that it requests",
          "[call][outcome_wait][regression]") {
    BELAY_TEST_EACH_RETRY_FORM;
    const auto check = [form](const auto& answer, auto predicate, Duration wait) {
        AsyncSleeper sleeper;
        sleeper.time = at(1h);
        const auto classified = [&](auto fn) { return fails_if(fn, predicate); };
        const auto outcome = form.run(once_more, sleeper, answer, classified);
        CHECK_FALSE(outcome.has_value());
        CHECK(outcome.retry_after() == wait);
        CHECK(sleeper.sleeps == Waits{wait > 1s ? wait : 1s});
    };
    const auto is_busy = [](const HttpResponse& r) { return r.status >= 500; };
    const auto cause_of_status = [](const HttpResponse& r) {
        return r.status >= 500 ? Cause::overloaded : Cause::none;
    };
    const auto whole_verdict = [](const HttpResponse&) { return Failure{Cause::overloaded}; };
    const auto page = [] { return busy_for(60); };
    const auto result = []() -> Result<HttpResponse> { return busy_for(60); };
    const auto optional = [] { return std::optional{busy_for(60)}; };
    const auto pair = [] { return std::pair{std::string{"page"}, busy_for(60)}; };
    check(page, is_busy, 60s);
    check(page, cause_of_status, 60s);
    check(page, whole_verdict, 0s);
    check(page, &HttpResponse::complete, 60s);
    check(result, is_busy, 60s);
    check(result, cause_of_status, 60s);
    check(
        result, [](const Result<HttpResponse>&) { return true; }, 60s);
    check(optional, is_busy, 60s);
    // belay does not look for a response in a pair: the predicate names the wait.
    check(
        pair, [](const auto& p) { return http_failure(p.second); }, 60s);
    check(
        pair, [](const auto& p) { return p.second.status == 503; }, 0s);
    // A response that is no failure requests no wait.
    const auto fine = [] {
        return HttpResponse{.status = 200, .headers = {{"Retry-After", "60"}}};
    };
    check(
        fine, [](const HttpResponse&) { return true; }, 0s);
    // The same holds for a type whose AnswerTraits could not be used without the predicate.
    const auto broken = [] { return HalfSpecialized{.status = 503}; };
    check(
        broken, [](const HalfSpecialized& r) { return r.status == 503; }, 0s);
}

TEST_CASE("A retry returns the last result of a user's class unchanged except for its wait",
          "[call][outcome_wait][regression]") {
    BELAY_TEST_EACH_RETRY_FORM;
    AsyncSleeper sleeper;
    sleeper.time = at(1h);
    const Failure busy{.cause = Cause::overloaded, .retry_after = 60s};
    const auto same = form.run(
        MaxAttempts{1}, sleeper, [&] { return TracedResult(busy, "first"); }, as_it_is);
    CHECK(same.request_id == "first");
    CHECK(same.error() == busy);
    // The second answer requests no wait, and the wait of the first one is not over.
    int calls = 0;
    const auto twice = [&] {
        return ++calls == 1 ? MutableTracedResult(busy, "first")
                            : MutableTracedResult(Failure{Cause::overloaded}, "second");
    };
    const auto other = form.run(MaxAttempts{2}, sleeper, twice, as_it_is);
    CHECK(calls == 2);
    CHECK(other.request_id == "second");
    CHECK(other.error() == busy);
}

TEST_CASE("A retry that another rule stops has the wait of a breaker that it opened",
          "[call][outcome_wait][regression]") {
    BELAY_TEST_EACH_RETRY_FORM;
    ManualClock clock{at(1h)};
    CircuitBreaker breaker{ConsecutiveFailures{2}, OpenFor{30s}, clock.view()};
    PolicyHistory history;
    AsyncSleeper sleeper;
    sleeper.time = at(1h);
    const auto wait_of = [&](const auto& policy, int requested = 0) {
        breaker.set_mode(BreakerMode::automatic);
        const auto ask = [&](Attempt) { return busy_for(requested); };
        const auto outcome = form.run(policy, sleeper, ask, as_it_is);
        CHECK(outcome.last() != nullptr);
        CHECK(outcome.error() == std::error_code{503, http_category()});
        return outcome.retry_after();
    };
    const Backoff backoff{NoJitter{}, Cap{1s}, 1s};
    // The rule may be before or after the breaker, which may reject at once.
    CHECK(wait_of(Policy{backoff, MaxAttempts{2}, Shared{breaker}}) == 30s);
    CHECK(wait_of(Policy{backoff, Shared{breaker}, MaxAttempts{2}}) == 30s);
    CHECK(wait_of(Policy{backoff, Shared{breaker, FailFast{}}, MaxAttempts{2}}) == 30s);
    CHECK(wait_of(Policy{backoff, MaxAttempts{2}, Breaker{ConsecutiveFailures{2}, OpenFor{20s}}}) ==
          20s);
    // The longest wait counts.
    CHECK(wait_of(Policy{backoff, MaxAttempts{2}, Shared{breaker}}, 60) == 60s);
    CHECK(wait_of(Policy{backoff, MaxAttempts{2}, Shared{breaker},
                         Breaker{ConsecutiveFailures{2}, OpenFor{40s}}}) == 40s);
    // The same holds in each form of a policy.
    const Policy inner{Shared{breaker}, MaxAttempts{2}};
    CHECK(wait_of(Policy{backoff, inner}) == 30s);
    CHECK(wait_of(Policy{backoff, std::optional{inner}}) == 30s);
    CHECK(wait_of(policies::AnyPolicy{Policy{backoff, inner}}) == 30s);
    CHECK(wait_of(Policy{backoff, policies::AnyPolicy{inner}}) == 30s);
    CHECK(wait_of(Remembered{history, Policy{backoff, inner}}) == 30s);
    CHECK(wait_of(policies::AnyPolicy{Remembered{history, Policy{backoff, inner}}}) == 30s);
    // A breaker that is not open adds no wait.
    CHECK(wait_of(Policy{backoff, MaxAttempts{1}, Shared{breaker}}) == 0s);
}

TEST_CASE("A retry around a retry waits for the breaker that the inner one opened",
          "[call][outcome_wait][regression]") {
    BELAY_TEST_EACH_RETRY_FORM;
    ManualClock clock{at(1h)};
    CircuitBreaker breaker{ConsecutiveFailures{2}, OpenFor{30s}, clock.view()};
    int calls = 0;
    const auto call = [&](AsyncSleeper& sleeper) {
        const Policy policy{Backoff{NoJitter{}, Cap{1s}, 1s}, MaxAttempts{2},
                            Shared{breaker, FailFast{}}};
        return retry(policy, sleeper, [&] { return ++calls, busy_for(0); });
    };
    CHECK(waits_around(form, call) == Waits{1s, 30s});
    CHECK(calls == 3);
}

TEST_CASE("A call that opens the breaker of a layer has the wait of that breaker",
          "[call][outcome_wait][regression]") {
    ManualClock clock{at(1h)};
    CircuitBreaker breaker{ConsecutiveFailures{1}, OpenFor{30s}, clock.view()};
    CircuitBreaker tolerant{ConsecutiveFailures{9}, OpenFor{60s}, clock.view()};
    AsyncSleeper sleeper;
    sleeper.time = at(1h);
    int requested = 0;
    const auto ask = [&] { return busy_for(requested); };
    const auto check = [&](const auto& pipeline, Duration wait) {
        breaker.set_mode(BreakerMode::automatic);
        CHECK(pipeline(sleeper, ask).retry_after() == wait);
        breaker.set_mode(BreakerMode::automatic);
        CHECK(await(pipeline, sleeper, awaitable(ask)).retry_after() == wait);
    };
    check(Pipeline{Shared{breaker}}, 30s);
    check(Pipeline{Shared{tolerant}}, 0s);
    check(Pipeline{Shared{tolerant}, Shared{breaker}}, 30s);
    check(Pipeline{Shared{breaker}, Shared{tolerant}}, 30s);
    check(Pipeline{Retrying{MaxAttempts{1}}, Shared{breaker}}, 30s);
    // The retry sees only the wait of the peer: it is rejected once, and then waits for the rest.
    sleeper.sleeps.clear();
    check(Pipeline{Retrying{once_more}, Shared{breaker}}, 29s);
    CHECK(sleeper.sleeps == Waits{1s, 1s});
    requested = 60;
    check(Pipeline{Shared{breaker}}, 60s);
    requested = 0;
    // A success, and the answer of a Fallback, have no wait.
    breaker.set_mode(BreakerMode::automatic);
    const Pipeline replaced{Fallback{[] { return HttpResponse{.status = 200}; }}, Shared{breaker}};
    CHECK(replaced(sleeper, ask).retry_after() == 0s);
    // Each call of a Hedge opens the breaker, or is rejected by it.
    breaker.set_mode(BreakerMode::automatic);
    const Pipeline hedged{Hedge{1s, 2}, Shared{breaker}};
    CHECK(await(hedged, sleeper, awaitable(ask)).retry_after() == 30s);
}

TEST_CASE(
    "The layers around a retry do not use the wait of a limit as if the peer had requested it",
    "[call][outcome_wait][regression]") {
    AsyncSleeper sleeper;
    sleeper.time = at(1h);
    CircuitBreaker breaker{ConsecutiveFailures{1}, OpenFor{20s}, SleeperClock{&sleeper}};
    int requested = 0;
    const auto ask = [&] { return busy_for(requested); };
    // Returns the duration of a call, and the wait that its outcome has.
    const auto times = [&](const auto& pipeline) {
        breaker.set_mode(BreakerMode::automatic);
        const Instant began = sleeper.time;
        const auto outcome = await(pipeline, sleeper, awaitable(ask));
        return Waits{elapsed(began, sleeper.time), outcome.retry_after()};
    };
    const Policy fails_fast{Shared{breaker, FailFast{}}, MaxAttempts{1}};
    const Policy ends_late{Shared{breaker}, MaxElapsed{5s}};
    const Policy in_a_second{Backoff{NoJitter{}, Cap{10s}, 1s}, MaxAttempts{2}};
    // A Hedge ends at once, whether the breaker is a layer, in the policy, or inside the retry.
    CHECK(times(Pipeline{Hedge{50ms, 2}, Shared{breaker}}) == Waits{0s, 20s});
    CHECK(times(Pipeline{Hedge{50ms, 2}, Retrying{fails_fast}}) == Waits{0s, 20s});
    CHECK(times(Pipeline{Hedge{50ms, 2}, Retrying{ends_late}})[0] == 0s);
    CHECK(times(Pipeline{Hedge{50ms, 2}, Retrying{MaxAttempts{2}}, Shared{breaker}}) ==
          Waits{0s, 20s});
    // A Backoff around the Hedge or the breaker does not wait longer, and does not start again.
    CHECK(times(Pipeline{Retrying{in_a_second}, Shared{breaker}}) == Waits{1s, 19s});
    CHECK(times(Pipeline{Retrying{in_a_second}, Hedge{50ms, 1}, Shared{breaker}}) ==
          Waits{1s, 19s});
    // Another breaker does not open for longer either.
    CircuitBreaker outer{ConsecutiveFailures{1}, OpenAsAsked{OpenFor{3s}, 1h},
                         SleeperClock{&sleeper}};
    CHECK(times(Pipeline{Shared{outer}, Retrying{fails_fast}}) == Waits{0s, 20s});
    CHECK(outer.spread() == 3s);
    // All of them use the wait of the peer.
    requested = 4;
    outer.set_mode(BreakerMode::automatic);
    CHECK(times(Pipeline{Shared{outer}, Retrying{fails_fast}}) == Waits{0s, 20s});
    CHECK(outer.spread() == 4s);
    CHECK(times(Pipeline{Hedge{50ms, 1}, Retrying{fails_fast}}) == Waits{4s, 16s});
    CHECK(times(Pipeline{Retrying{in_a_second}, Shared{breaker}}) == Waits{4s, 16s});
}

TEST_CASE("An observer of a retry in a Pipeline gets the whole wait of the last failure",
          "[call][outcome_wait][regression]") {
    ManualClock clock{at(1h)};
    CircuitBreaker breaker{ConsecutiveFailures{1}, OpenFor{20s}, clock.view()};
    AsyncSleeper sleeper;
    sleeper.time = at(1h);
    RetryEnded end;
    const Pipeline pipeline{Retrying{Policy{Shared{breaker, FailFast{}}, MaxAttempts{1}}, end}};
    CHECK(pipeline(sleeper, [] { return busy_for(0); }).retry_after() == 20s);
    CHECK(end.failure.retry_after == 20s);
}
