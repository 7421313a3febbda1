// SPDX-License-Identifier: MIT
// Goal: retry makes exactly the calls and waits of its policy. Method: virtual time.
#include <belay/call/retry.hpp>

#include <functional>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <belay/backoff/backoff.hpp>
#include <belay/backoff/caps.hpp>
#include <belay/backoff/jitters.hpp>
#include <belay/breaker/breaker.hpp>
#include <belay/breaker/circuit_breaker.hpp>
#include <belay/call/retry_observer.hpp>
#include <belay/call/retry_outcome.hpp>
#include <belay/core/clocks.hpp>
#include <belay/policy/rules.hpp>
#include <belay/policy/shared.hpp>

#include "support/archetypes.hpp"
#include "support/call/retry_forms.hpp"
#include "support/call/retry_rules.hpp"
#include "support/catch.hpp"
#include "support/shorthand.hpp"

using namespace belay;
using namespace std::chrono_literals;
using belay_test::as_it_is;
using belay_test::AsyncSleeper;
using belay_test::Counts;
using belay_test::MinimalSleeper;
using belay_test::steady;
using belay_test::timed_out;

namespace {

// A sleeper whose time passes only in sleeps. It records them, and may request a stop in one of
// them.
struct NotedSleeper {
    Random random{Seed{1}};
    Instant time{};
    std::vector<Duration> sleeps{};
    const StopSource* stops = nullptr;
    std::size_t stop_in_sleep = 0;

    [[nodiscard]] Instant now() const noexcept { return time; }
    Random& bits() noexcept { return random; }
    template <class Stop>
    void sleep_until(Instant until, const Stop&) noexcept {
        sleeps.push_back(elapsed(time, until));
        if (stops != nullptr && sleeps.size() == stop_in_sleep) return stops->request_stop();
        if (until > time) time = until;
    }
};

// A rule that suspends without an end, and is no breaker.
struct EndlessLimit {
    static constexpr std::string_view name = "Limit";
    static Advice failed(const Failure&, Turn&) noexcept { return Advice::suspend(never); }
};

}  // namespace

TEST_CASE("retry calls until it works, and waits between the calls", "[call][retry][unit]") {
    NotedSleeper sleeper;
    int calls = 0;
    const Result<void> result = retry(steady(1s, 10), sleeper, [&] { return ++calls == 4; });
    CHECK(result);
    CHECK(calls == 4);
    CHECK(sleeper.sleeps == std::vector<Duration>{1s, 2s, 4s});
}

TEST_CASE("retry makes exactly the attempts that a policy allows", "[call][retry][unit]") {
    const auto calls_and_wait = [](auto policy) {
        NotedSleeper sleeper;
        int calls = 0;
        CHECK(retry(policy, sleeper, [&] { return ++calls, false; }).error() == CallErrc::gave_up);
        return std::pair{calls, elapsed(Instant{}, sleeper.now())};
    };
    // The retry of a bridge: 5 attempts, 100 ms, doubling, up to 10 s.
    CHECK(calls_and_wait(Policy{Backoff{NoJitter{}, Cap{10s}, 100ms}, MaxAttempts{5}}) ==
          std::pair{5, Duration{1500ms}});
    // The retry of a sync: 3 more attempts, 100 ms, doubling, up to 5 s.
    CHECK(calls_and_wait(Policy{Backoff{NoJitter{}, Cap{5s}, 100ms}, MaxAttempts{4}}) ==
          std::pair{4, Duration{700ms}});
    CHECK(calls_and_wait(MaxAttempts{1}) == std::pair{1, Duration{0ns}});
    CHECK(calls_and_wait(Policy{MaxAttempts{1}}) == std::pair{1, Duration{0ns}});
}

TEST_CASE("retry returns the type that fits the callable's return type", "[call][retry][unit]") {
    BELAY_TEST_EACH_RETRY_FORM;
    AsyncSleeper sleeper;
    const auto run = [&](auto fn) { return form.run(steady(1s, 3), sleeper, fn, as_it_is); };
    int n = 0;
    CHECK(run([&] { return ++n < 2 ? std::optional<int>{} : 5; }).value() == 5);
    CHECK(run([] { return std::optional<int>{}; }).error() == CallErrc::gave_up);
    CHECK(run([] { return timed_out; }) == timed_out);
    CHECK_FALSE(run([] { return std::error_code{}; }));
    CHECK(run([] { return Result<int>{timed_out}; }).error() == timed_out);
    CHECK(*run([] { return Result<int>{7}; }) == 7);
    CHECK(run([] { return std::string{"plain"}; }).value() == "plain");
    CHECK(*run([] { return std::make_unique<int>(3); }).value() == 3);
    CHECK(run([] { return false; }).error() == CallErrc::gave_up);
    CHECK(run([] {}));
}

TEST_CASE("retry returns the last error, not the first", "[call][retry][unit]") {
    NotedSleeper sleeper;
    const std::error_code result = retry(steady(1s, 3), sleeper, [](Attempt attempt) {
        return std::error_code{static_cast<int>(attempt.number), std::generic_category()};
    });
    CHECK(result.value() == 3);
}

TEST_CASE("retry passes the Attempt to a callable that takes one", "[call][retry][unit]") {
    NotedSleeper sleeper;
    std::vector<std::uint64_t> numbers;
    std::vector<bool> retries;
    CHECK_FALSE(retry(steady(1s, 3), sleeper, [&](Attempt attempt) {
        numbers.push_back(attempt.number);
        retries.push_back(attempt.is_retry());
        return false;
    }));
    CHECK(numbers == std::vector<std::uint64_t>{1, 2, 3});
    CHECK(retries == std::vector<bool>{false, true, true});
    // A parameter with a default does not count as a request for the number.
    CHECK(retry(steady(1s, 3), sleeper, [](int port = 80) -> Result<int> {
              return port;
          }).value() == 80);
}

TEST_CASE("retry counts an exception as a failure, and rethrows the last one",
          "[call][retry][unit]") {
    BELAY_TEST_EACH_RETRY_FORM;
    AsyncSleeper sleeper;
    Counts::Observed observed;
    const Policy policy{steady(1s, 3), Counts{&observed}};
    int calls = 0;
    const auto fails = [&]() -> Result<int> { throw std::runtime_error{std::to_string(++calls)}; };
    CHECK_THROWS_WITH(form.run(policy, sleeper, fails, as_it_is), "3");
    CHECK(observed == Counts::Observed{3, 3, 0, 0});
    CHECK(sleeper.sleeps == std::vector<Duration>{1s, 2s});

    const auto fails_once = [&]() -> Result<int> {
        if (++calls < 5) throw 5;
        return calls;
    };
    CHECK(form.run(policy, sleeper, fails_once, as_it_is).value() == 5);
    CHECK(observed.succeeded == 1);
}

TEST_CASE("retry forgets an exception when a later attempt fails without one",
          "[call][retry][unit]") {
    NotedSleeper sleeper;
    const auto result = retry(steady(1s, 2), sleeper, [](Attempt attempt) -> std::error_code {
        if (!attempt.is_retry()) throw 5;
        return timed_out;
    });
    CHECK(result == timed_out);
}

TEST_CASE("retry reads the cause from a system_error", "[call][retry][unit]") {
    NotedSleeper sleeper;
    int calls = 0;
    const Policy policy{Backoff{NoJitter{}, Cap{1s}, 1s}, StopOn{Cause::timed_out}};
    CHECK_THROWS_AS(retry(policy, sleeper,
                          [&]() -> Result<int> {
                              if (++calls == 1) throw 5;
                              throw std::system_error{timed_out};
                          }),
                    std::system_error);
    CHECK(calls == 2);
}

TEST_CASE("retry stops at once on a cause that a retry cannot correct", "[call][retry][unit]") {
    NotedSleeper sleeper;
    int calls = 0;
    const Policy policy{Backoff{FullJitter{}, Cap{30s}, 1s}, StopOn{Cause::forbidden}};
    const auto denied = std::make_error_code(std::errc::permission_denied);
    CHECK(retry(policy, sleeper, [&] { return ++calls, denied; }) == denied);
    CHECK(calls == 1);
}

TEST_CASE("retry runs a copy: the policy stays as it was", "[call][retry][unit]") {
    const auto policy = steady(1s, 2);
    for (int i = 0; i < 3; ++i) {
        NotedSleeper sleeper;
        int calls = 0;
        static_cast<void>(retry(policy, sleeper, [&] { return ++calls, false; }));
        CHECK(calls == 2);
        CHECK(sleeper.sleeps == std::vector<Duration>{1s});
    }
}

TEST_CASE("retry waits until a breaker lets a probe through", "[call][retry][unit]") {
    NotedSleeper sleeper;
    int calls = 0;
    const Policy policy{Backoff{NoJitter{}, Cap{1s}, 1s},
                        Breaker{ConsecutiveFailures{2}, OpenFor{300s}}};
    CHECK(retry(policy, sleeper, [&] { return ++calls == 4; }));
    CHECK(sleeper.sleeps == std::vector<Duration>{1s, 300s, 300s});
}

TEST_CASE("retry respects a shared breaker that other callers opened", "[call][retry][unit]") {
    NotedSleeper sleeper;
    sleeper.time += 1h;
    CircuitBreaker breaker{ConsecutiveFailures{1}, OpenFor{300s}};
    Turn turn{sleeper.time, sleeper.random};
    static_cast<void>(breaker.acquire(turn).failure(turn));
    const Policy policy{Backoff{NoJitter{}, Cap{1s}, 1s}, Shared{breaker}};
    CHECK(retry(policy, sleeper, [&] { return true; }));
    // The open wait, and a random part of it.
    REQUIRE(sleeper.sleeps.size() == 1);
    CHECK(sleeper.sleeps[0] > 300s);
    CHECK(sleeper.sleeps[0] <= 600s);
    CHECK(breaker.state(sleeper.time) == BreakerState::closed);
}

namespace {
// A sleeper that ends the other caller's probe in the third sleep.
struct Ends : NotedSleeper {
    CircuitBreaker<SteadyClock>::Permit probe{};
    template <class Stop>
    void sleep_until(Instant until, const Stop& stop) noexcept {
        NotedSleeper::sleep_until(until, stop);
        if (sleeps.size() == 3) probe.neutral();
    }
};
}  // namespace

TEST_CASE("retry waits while another caller has the probe", "[call][retry][unit]") {
    Ends sleeper;
    CircuitBreaker breaker{ConsecutiveFailures{1}, OpenFor{10s}};
    Turn turn{sleeper.time, sleeper.random};
    static_cast<void>(breaker.acquire(turn).failure(turn));
    turn.now = sleeper.time += 10s;
    sleeper.probe = breaker.acquire(turn);
    CHECK(retry(Shared{breaker}, sleeper, [] { return true; }));
    REQUIRE(sleeper.sleeps.size() == 3);
    for (const Duration sleep : sleeper.sleeps) {
        CHECK(sleep > belay::detail::breaker_recheck);
        CHECK(sleep <= belay::detail::breaker_recheck + 10s);
    }
}

TEST_CASE("retry does not wait for an instant that never arrives", "[call][retry][unit]") {
    NotedSleeper sleeper;
    int calls = 0;
    const Policy policy{Breaker{ConsecutiveFailures{1}, OpenFor{forever}}};
    CHECK(retry(policy, sleeper, [&] { return ++calls, false; }).error() == CallErrc::breaker_open);
    CHECK(calls == 1);
    CHECK(sleeper.sleeps.empty());
}

TEST_CASE("retry reports breaker_open only if a breaker rejects without end",
          "[call][retry][unit]") {
    const auto ends = [](const auto& policy) {
        NotedSleeper sleeper;
        RetryEnded end;
        const Result<void> result = retry(
            policy, sleeper, [] { return false; }, NeverStops{}, end);
        CHECK(sleeper.sleeps.empty());
        CHECK(result.error() == end.why);
        return std::pair{end.why, std::string{end.rule()}};
    };
    const auto by = [](CallErrc why, const char* rule) {
        return std::pair{make_error_code(why), std::string{rule}};
    };
    const Breaker endless{ConsecutiveFailures{1}, OpenFor{forever}};
    const Breaker usual{ConsecutiveFailures{1}, OpenFor{60s}};
    const Backoff waits{NoJitter{}, NoCap{}, forever};
    CircuitBreaker shared{ConsecutiveFailures{1}, OpenFor{forever}};

    CHECK(ends(endless) == by(CallErrc::breaker_open, "Breaker"));
    CHECK(ends(Shared{shared}) == by(CallErrc::breaker_open, "CircuitBreaker"));
    // The breaker is open now, and its wait has no end.
    CHECK(ends(Shared{shared, FailFast{}}) == by(CallErrc::breaker_open, "CircuitBreaker"));
    CHECK(ends(Policy{waits, endless}) == by(CallErrc::breaker_open, "Breaker"));
    CHECK(ends(waits) == by(CallErrc::gave_up, "Backoff"));
    CHECK(ends(Policy{waits, usual}) == by(CallErrc::gave_up, "Backoff"));
    CHECK(ends(Policy{usual, waits}) == by(CallErrc::gave_up, "Backoff"));
    CHECK(ends(Policy{waits, CooldownOn{Cause::lost, 1s, 1s}, usual}) ==
          by(CallErrc::gave_up, "Backoff"));
    CHECK(ends(EndlessLimit{}) == by(CallErrc::gave_up, "Limit"));
    CHECK(ends(Policy{usual, EndlessLimit{}}) == by(CallErrc::gave_up, "Limit"));
    CHECK(ends(Policy{endless, MaxAttempts{1}}) == by(CallErrc::gave_up, "MaxAttempts"));
}

TEST_CASE("retry makes no attempt after a stop was requested", "[call][retry][unit]") {
    const StopSource source;
    NotedSleeper sleeper;
    int calls = 0;
    const auto fails = [&] { return ++calls, timed_out; };

    sleeper.stops = &source;
    sleeper.stop_in_sleep = 2;
    CHECK(retry(steady(1s, 10), sleeper, fails, source.token()) == timed_out);
    CHECK(calls == 2);
    CHECK(sleeper.now() == Instant{} + 1s);

    CHECK(retry(steady(1s, 10), sleeper, fails, source.token()) == CallErrc::stopped);
    CHECK(retry(
              steady(1s, 10), sleeper, [&] { return ++calls, true; }, source.token())
              .error() == CallErrc::stopped);
    CHECK(calls == 2);
}

TEST_CASE("retry rethrows the last exception when it is stopped", "[call][retry][unit]") {
    const StopSource source;
    NotedSleeper sleeper;
    sleeper.stops = &source;
    sleeper.stop_in_sleep = 1;
    const auto fails = []() -> Result<int> { throw std::runtime_error{"last"}; };
    CHECK_THROWS_WITH(retry(steady(1s, 3), sleeper, fails, source.token()), "last");
    CHECK(sleeper.sleeps.size() == 1);
}

TEST_CASE("retry finishes an attempt that succeeds after the stop", "[call][retry][unit]") {
    const StopSource source;
    NotedSleeper sleeper;
    const auto result = retry(
        steady(1s, 3), sleeper, [&]() -> Result<int> { return source.request_stop(), 7; },
        source.token());
    CHECK(result.value() == 7);
}

TEST_CASE("retry reports each retry to its observer: attempt, cause, wait and rule",
          "[call][retry][unit]") {
    struct Observer {
        std::vector<RetryPlanned> events;
        void on_retry(const RetryPlanned& event) { events.push_back(event); }
    } observer;
    NotedSleeper sleeper;
    const Policy policy{Backoff{NoJitter{}, Cap{30s}, 1s}, CooldownOn{Cause::overloaded, 5s, 5s},
                        MaxAttempts{3}};
    CHECK(retry(
              policy, sleeper,
              [](Attempt attempt) {
                  return attempt.is_retry() ? timed_out
                                            : std::make_error_code(std::errc::no_buffer_space);
              },
              NeverStops{}, observer) == timed_out);
    REQUIRE(observer.events.size() == 2);
    CHECK(observer.events[0].attempt.number == 1);
    CHECK(observer.events[0].failure.cause == Cause::overloaded);
    CHECK(observer.events[0].advice ==
          Advice{Advice::Verb::wait_exactly, Instant{} + 5s, "CooldownOn"});
    CHECK(observer.events[0].wait == 5s);
    CHECK(observer.events[1].attempt.number == 2);
    CHECK(observer.events[1].failure == Failure::from(timed_out));
    CHECK(observer.events[1].advice.by == "Backoff");
    CHECK(observer.events[1].wait == 2s);
}

TEST_CASE("retry is consistent when its observer throws", "[call][retry][unit]") {
    struct Throws {
        void on_retry(const RetryPlanned&) { throw std::logic_error{"observer"}; }
    } observer;
    Counts::Observed observed;
    NotedSleeper sleeper;
    CHECK_THROWS_AS(retry(
                        Policy{steady(1s, 3), Counts{&observed}}, sleeper, [] { return false; },
                        NeverStops{}, observer),
                    std::logic_error);
    CHECK(observed.begun == 1);
    CHECK(observed.failed == 1);
    CHECK(observed.abandoned == 1);  // the attempt that was planned
}

TEST_CASE("retry abandons a started or planned attempt exactly once, on every path",
          "[call][retry][unit]") {
    Counts::Observed observed;
    const auto ends = [&](auto&& run) {
        observed = {};
        run();
        return observed;
    };
    const Policy policy{steady(1s, 3), Counts{&observed}};
    struct ThrowsBefore {
        void on_attempt(const Attempt&) { throw std::logic_error{"before"}; }
    } before;
    struct ThrowsAfter {
        void on_success(const Attempt&) { throw std::logic_error{"after"}; }
        void on_give_up(const RetryEnded&) { throw std::logic_error{"after"}; }
    } after;
    NotedSleeper sleeper;
    const auto calls = [&](bool works, auto& observer) {
        return [&, works] {
            CHECK_THROWS_AS(retry(
                                policy, sleeper, [works] { return works; }, NeverStops{}, observer),
                            std::logic_error);
        };
    };
    CHECK(ends(calls(true, before)) == Counts::Observed{1, 0, 0, 1});
    CHECK(ends(calls(true, after)) == Counts::Observed{1, 0, 1, 0});
    CHECK(ends(calls(false, after)) == Counts::Observed{3, 3, 0, 0});

    const StopSource source;
    sleeper.sleeps.clear();
    sleeper.stops = &source;
    sleeper.stop_in_sleep = 1;
    CHECK(ends([&] {
              CHECK_FALSE(retry(
                  policy, sleeper, [] { return false; }, source.token()));
          }) == Counts::Observed{1, 1, 0, 1});
    // No attempt was planned yet.
    CHECK(ends([&] {
              CHECK_FALSE(retry(
                  policy, sleeper, [] { return false; }, source.token()));
          }) == Counts::Observed{});
}

TEST_CASE("retry returns the tokens that a rule holds over the wait, when it is stopped in it",
          "[call][retry][unit]") {
    // A rule that takes a token for each retry when it is planned.
    struct Tokens {
        int* left;
        bool holds = false;
        Advice review(const Advice&, Turn&) noexcept {
            if (*left == 0) return Advice::stop();
            --*left;
            holds = true;
            return Advice::go();
        }
        void begin(Turn&) noexcept { holds = false; }
        void abandoned(Turn&) noexcept {
            if (holds) ++*left;
            holds = false;
        }
    };
    int left = 3;
    const StopSource source;
    NotedSleeper sleeper;
    sleeper.stops = &source;
    sleeper.stop_in_sleep = 2;
    const Policy policy{steady(1s, 10), Tokens{&left}};
    CHECK_FALSE(retry(
        policy, sleeper, [] { return false; }, source.token()));
    CHECK(left == 2);  // one was spent, and the second was returned
    NotedSleeper other;
    CHECK_FALSE(retry(policy, other, [] { return false; }));
    CHECK(left == 0);
    CHECK(other.sleeps == std::vector<Duration>{1s, 2s});
}

TEST_CASE("retry returns a shared probe when user code throws", "[call][retry][unit]") {
    NotedSleeper sleeper;
    CircuitBreaker breaker{ConsecutiveFailures{1}, OpenFor{1s}};
    const Policy policy{Shared{breaker}, MaxAttempts{1}};
    CHECK_FALSE(retry(policy, sleeper, [] { return false; }));
    sleeper.time += 1s;
    const auto classify = [](bool) -> bool { throw std::logic_error{"judge"}; };
    CHECK_THROWS_AS(retry(policy, sleeper, fails_if([] { return true; }, classify)),
                    std::logic_error);
    CHECK(breaker.admit(sleeper.now()) == Advice::go());
    CHECK(retry(policy, sleeper, [] { return true; }));
}

TEST_CASE("Nested retries multiply, and the inner one can detect it", "[call][retry][unit]") {
    NotedSleeper sleeper;
    int calls = 0;
    int repeated = 0;
    const auto fn = [&](Attempt attempt) {
        ++calls;
        if (attempt.is_retry()) ++repeated;
        return false;
    };
    const auto nested = [&](Attempt outer) {
        return retry(MaxAttempts{3}, sleeper, within(outer, fn)).has_value();
    };
    CHECK_FALSE(retry(MaxAttempts{3}, sleeper, nested));
    CHECK(calls == 9);
    CHECK(repeated == 8);
    // An inner retry that stops repeating if it is inside another one.
    calls = 0;
    CHECK_FALSE(retry(MaxAttempts{3}, sleeper, [&](Attempt outer) {
        const MaxAttempts once_if_retried{outer.is_retry() ? 1U : 3U};
        return retry(once_if_retried, sleeper, within(outer, fn)).has_value();
    }));
    CHECK(calls == 5);
}

TEST_CASE("retry ends when a call inside it was stopped", "[call][retry][regression]") {
    BELAY_TEST_EACH_RETRY_FORM;
    AsyncSleeper sleeper;
    const StopSource source;
    Counts::Observed observed;
    int calls = 0;
    const auto stopped_inside = [&]() -> std::error_code {
        if (++calls == 2) source.request_stop();
        return retry(
            MaxAttempts{1}, sleeper, [] { return timed_out; }, source.token());
    };
    const Policy policy{steady(1s, 10), Counts{&observed}};
    CHECK(form.run(policy, sleeper, stopped_inside, as_it_is) == CallErrc::stopped);
    CHECK(calls == 2);
    // A stopped call is no verdict, and so no failure.
    CHECK(observed == Counts::Observed{2, 1, 0, 1});
}

TEST_CASE("retry counts a planned end of a call as a failure", "[call][retry][regression]") {
    BELAY_TEST_EACH_RETRY_FORM;
    AsyncSleeper sleeper;
    int calls = 0;
    const auto goes_away = [&] { return ++calls == 0 ? 200 : 1001; };
    const auto classified = [](auto fn) {
        return fails_if(
            fn, [](int code) { return Failure{code == 200 ? Cause::none : Cause::planned}; });
    };
    CHECK_FALSE(form.run(steady(1s, 3), sleeper, goes_away, classified));
    CHECK(calls == 3);
    CHECK(sleeper.sleeps == std::vector<Duration>{1s, 2s});
}

TEST_CASE("retry inside a call begins no attempt after the deadline of that call",
          "[call][retry][regression]") {
    BELAY_TEST_EACH_RETRY_FORM;
    const Attempt outer{.number = 2, .deadline = Instant{4s}};
    const auto begin = [&](auto classified) {
        AsyncSleeper sleeper;
        sleeper.time = Instant{};
        std::vector<Instant> begun;
        const auto fails = [&](Attempt attempt) {
            begun.push_back(sleeper.now());
            CHECK(attempt.repeats);
            CHECK(attempt.deadline == outer.deadline);
            return false;
        };
        const auto result = form.run(steady(1s, 10), sleeper, fails, classified);
        CHECK(result.error() == std::errc::timed_out);
        CHECK(sleeper.now() == Instant{3s});  // the next wait would have been too long
        return begun;
    };
    const std::vector<Instant> in_time{Instant{}, Instant{1s}, Instant{3s}};
    CHECK(begin([&](auto fn) { return within(outer, fn); }) == in_time);
    CHECK(begin([&](auto fn) {
              return within(Attempt{},
                            fails_if(within(outer, fn), [](bool worked) { return !worked; }));
          }) == in_time);
}

TEST_CASE("A breaker around a call learns of it in time, also from a retry inside it",
          "[call][retry][regression]") {
    NotedSleeper sleeper;
    CircuitBreaker breaker{ConsecutiveFailures{1}, OpenFor{30s}};
    const Pipeline limited{Timeout{2s}, Shared{breaker}};
    std::vector<Instant> begun;
    const auto ask = [&](Attempt) {
        begun.push_back(sleeper.now());
        return timed_out;
    };
    const auto nested = [&](Attempt outer) {
        return retry(steady(1s, 5), sleeper, within(outer, ask));
    };
    CHECK(limited(sleeper, nested) == timed_out);
    CHECK(begun == std::vector<Instant>{Instant{}, Instant{1s}});
    CHECK_FALSE(breaker.admit(sleeper.now()).allows(sleeper.now()));
}

TEST_CASE("retry requires of a rule and a sleeper only the promises of their concepts",
          "[call][retry][unit]") {
    Random bits{Seed{1}};
    MinimalSleeper sleeper{bits};
    CHECK_FALSE(retry(belay_test::MinimalRule{1}, sleeper, [] { return false; }));
    CHECK(retry(
        steady(1s, 3), sleeper, [n = 0]() mutable { return ++n == 3; }, NeverStops{},
        NoObserver{}));
    CHECK(sleeper.now() == Instant{} + 3s);
}

TEST_CASE("retry waits at least as long as advised, for any policy and outcome",
          "[call][retry][property]") {
    CHECK(rc::check("attempts, verdicts and waits fit", [](std::uint64_t seed) {
        NotedSleeper sleeper;
        sleeper.random = Random{Seed{seed}};
        const auto most = *rc::gen::inRange<std::uint64_t>(1, 12);
        const auto works_at = *rc::gen::inRange<std::uint64_t>(1, 16);
        struct Watch {
            NotedSleeper& sleeper;
            Instant may_start = always;
            void on_retry(const RetryPlanned& event) { may_start = event.advice.until; }
        } watch{sleeper};
        Counts::Observed observed;
        const Policy policy{Backoff{FullJitter{}, Cap{30s}, 1s},
                            Breaker{ConsecutiveFailures{3}, OpenFor{60s}}, MaxAttempts{most},
                            Counts{&observed}};
        const Result<void> result = retry(
            policy, sleeper,
            [&](Attempt attempt) {
                RC_ASSERT(sleeper.now() >= watch.may_start);
                return attempt.number == works_at;
            },
            NeverStops{}, watch);
        RC_ASSERT(result.has_value() == (works_at <= most));
        RC_ASSERT(observed.begun == static_cast<int>(std::min(works_at, most)));
        RC_ASSERT(observed.begun == observed.failed + observed.succeeded);
        RC_ASSERT(observed.abandoned == 0);
    }));
}

TEST_CASE("retry does not sleep for an attempt that will not be allowed when it is due",
          "[call][retry][unit]") {
    NotedSleeper sleeper;
    const ManualClock clock;
    CircuitBreaker breaker{ConsecutiveFailures{1}, OpenFor{1h}, clock.view()};
    breaker.acquire().failure();
    int calls = 0;
    const auto result =
        retry(Policy{Shared{breaker}, Deadline{Instant{} + 1min}}, sleeper, [&] { ++calls; });
    CHECK(result.error() == CallErrc::gave_up);
    CHECK(calls == 0);
    CHECK(sleeper.sleeps.empty());
}

TEST_CASE("retry repeats itself for the same seed", "[call][retry][golden]") {
    NotedSleeper sleeper;
    sleeper.random = Random{Seed{7}};
    static_cast<void>(retry(Policy{Backoff{FullJitter{}, Cap{30s}, 1s}, MaxAttempts{4}}, sleeper,
                            [] { return false; }));
    CHECK(sleeper.sleeps == std::vector<Duration>{721'508'181ns, 1'299'408'673ns, 2'197'497'300ns});
}

namespace own_retry {

struct Config {
    int attempts;
};
template <class F>
std::string retry(unsigned, F&&) {
    return "a number";
}
std::string retry(const Config&, const std::function<bool()>&) { return "a configuration"; }

}  // namespace own_retry

TEST_CASE("A function retry of the program is better than a form that does not compile",
          "[call][retry][unit]") {
    using belay::retry;
    using own_retry::retry;
    const auto fn = [] { return true; };
    CHECK(retry(3, fn) == "a number");
    CHECK(retry(own_retry::Config{3}, fn) == "a configuration");
}
