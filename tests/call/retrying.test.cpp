// SPDX-License-Identifier: MIT
// Goal: Retrying in a Pipeline makes the same attempts, waits and reports as retry alone.
#include <belay/call/layers.hpp>

#include <cstdint>
#include <functional>
#include <stdexcept>
#include <vector>

#include <belay/backoff/backoff.hpp>
#include <belay/backoff/jitters.hpp>
#include <belay/breaker/breaker.hpp>
#include <belay/call/pipeline.hpp>
#include <belay/call/pipeline_task.hpp>
#include <belay/policy/any_policy.hpp>
#include <belay/policy/rules.hpp>

#include "support/call/async_sleeper.hpp"
#include "support/call/retry_forms.hpp"
#include "support/call/retry_rules.hpp"
#include "support/catch.hpp"
#include "support/shorthand.hpp"

using namespace belay;
using namespace std::chrono_literals;
using belay_test::AsyncSleeper;
using belay_test::at;
using belay_test::Counts;
using belay_test::finish;
using belay_test::timed_out;

namespace {

// The result, the waits and the reports of one run.
struct RunRecord {
    int result = 0;
    std::vector<Duration> sleeps{};
    RetryCounters counters{};
    Counts::Observed observed{};
    friend bool operator==(const RunRecord&, const RunRecord&) = default;
};

// A user's layer that repeats calls in its own way.
struct Twice {
    auto call(const auto& next, auto&, Attempt attempt) const {
        auto answer = next(attempt);
        ++attempt.number;
        return answer.worked() ? answer : next(attempt);
    }
};

// A rule that rejects attempts until an instant, and counts the calls of its functions.
struct AsksCounted {
    static constexpr std::string_view name = "AsksCounted";
    int* asked;

    [[nodiscard]] Advice admit(Instant now) const noexcept {
        ++*asked;
        return now < at(5s) ? Advice::suspend(at(5s)) : Advice::go();
    }
};

template <class F>
int verdict(F&& run) {
    try {
        return run().has_value() ? 1 : 0;
    } catch (const std::runtime_error&) {
        return 2;
    }
}

}  // namespace

TEST_CASE("retry and Retrying do the same, blocking and awaiting", "[call][retrying][property]") {
    CHECK(rc::check("the same result, waits and reports in four forms", [](std::uint64_t seed) {
        const auto most = *rc::gen::inRange<std::uint64_t>(1, 10);
        const auto works_at = *rc::gen::inRange<std::uint64_t>(1, 12);
        const auto throws_at = *rc::gen::inRange<std::uint64_t>(1, 12);
        const auto outcome = [&](Attempt attempt) {
            if (attempt.number == throws_at) throw std::runtime_error{"once"};
            return attempt.number == works_at;
        };
        const auto awaited = [&](Attempt attempt) -> Task<bool> { co_return outcome(attempt); };
        const auto record = [&](auto&& run) {
            AsyncSleeper sleeper;
            sleeper.random = Random{Seed{seed}};
            RunRecord events;
            const Policy policy{Backoff{FullJitter{}, Cap{30s}, 1s},
                                Breaker{ConsecutiveFailures{3}, OpenFor{60s}}, MaxAttempts{most},
                                Counts{&events.observed}};
            events.result = verdict([&] { return run(policy, sleeper, events.counters); });
            events.sleeps = sleeper.sleeps;
            return events;
        };
        const RunRecord alone = record([&](const auto& policy, auto& sleeper, auto& counters) {
            return retry(policy, sleeper, outcome, NeverStops{}, counters);
        });
        RC_ASSERT(alone == record([&](const auto& policy, auto& sleeper, auto& counters) {
                      return finish(retry(policy, sleeper, awaited, NeverStops{}, counters),
                                    sleeper);
                  }));
        RC_ASSERT(alone == record([&](const auto& policy, auto& sleeper, auto& counters) {
                      const policies::AnyPolicy any{policy};
                      return finish(retry(any, sleeper, awaited, NeverStops{}, counters), sleeper);
                  }));
        RC_ASSERT(alone == record([&](const auto& policy, auto& sleeper, auto& counters) {
                      return Pipeline{Retrying{policy, counters}}(sleeper, outcome);
                  }));
        RC_ASSERT(alone == record([&](const auto& policy, auto& sleeper, auto& counters) {
                      const Pipeline pipeline{Retrying{policy, counters}};
                      return finish(pipeline(sleeper, awaited), sleeper);
                  }));
    }));
}

TEST_CASE("A run calls the rules of an AnyPolicy as often as those of the policy in it",
          "[call][retrying][unit]") {
    const auto asked_in = [](auto&& run) {
        int asked = 0;
        AsyncSleeper sleeper;
        run(AsksCounted{&asked}, sleeper);
        CHECK(sleeper.now() == at(5s));
        return asked;
    };
    const auto works = [](Attempt) { return true; };
    const auto awaited = [](Attempt) -> Task<bool> { co_return true; };
    const int in_policy = asked_in(
        [&](const auto& rule, auto& sleeper) { CHECK(retry(Policy{rule}, sleeper, works)); });
    const int blocking = asked_in([&](const auto& rule, auto& sleeper) {
        CHECK(retry(policies::AnyPolicy{rule}, sleeper, works));
    });
    const int awaiting = asked_in([&](const auto& rule, auto& sleeper) {
        CHECK(finish(retry(policies::AnyPolicy{rule}, sleeper, awaited), sleeper));
    });
    const int layered = asked_in([&](const auto& rule, auto& sleeper) {
        const Pipeline pipeline{Retrying{policies::AnyPolicy{rule}}};
        CHECK(finish(pipeline(sleeper, awaited), sleeper));
    });
    CHECK(blocking == in_policy);
    CHECK(awaiting == in_policy);
    CHECK(layered == in_policy);
}

TEST_CASE("Retrying accepts a single rule, and one observer for many calls",
          "[call][retrying][unit]") {
    AsyncSleeper sleeper;
    RetryCounters counters;
    const Pipeline pipeline{Retrying{MaxAttempts{3}, counters}};
    for (int i = 0; i < 4; ++i) CHECK_FALSE(pipeline(sleeper, [] { return false; }));
    CHECK(counters == RetryCounters{.attempts = 12, .retries = 8, .give_ups = 4});
}

TEST_CASE("Retrying reports in its Attempt that an outer layer repeats", "[call][retrying][unit]") {
    AsyncSleeper sleeper;
    std::vector<Attempt> observed;
    const Pipeline pipeline{Twice{}, Retrying{MaxAttempts{2}}};
    CHECK_FALSE(
        pipeline(sleeper, [&](Attempt attempt) { return observed.push_back(attempt), false; }));
    CHECK(observed == std::vector<Attempt>{{.number = 1},
                                           {.number = 2},
                                           {.number = 1, .repeats = true},
                                           {.number = 2, .repeats = true}});
}

TEST_CASE("Retrying ends attempts that take longer than its policy's AttemptTimeout",
          "[call][retrying][unit]") {
    AsyncSleeper sleeper;
    RetryCounters counters;
    belay_test::Event hangs;
    std::vector<Attempt> observed;
    const Pipeline pipeline{Retrying{
        Policy{Backoff{NoJitter{}, Cap{1s}, 1s}, AttemptTimeout{5s}, MaxAttempts{3}}, counters}};
    auto task = pipeline(sleeper, [&](Attempt attempt) -> Task<Result<int>> {
        observed.push_back(attempt);
        if (attempt.number < 3) co_await hangs;
        co_return 7;
    });
    task.start();
    sleeper.run();
    REQUIRE(task.done());
    CHECK(task.take().value() == 7);
    CHECK(hangs.cancelled == 2);
    // Two attempts of 5 s, and two waits of 1 s.
    CHECK(sleeper.now() == at(12s));
    CHECK(observed == std::vector<Attempt>{{.number = 1, .deadline = at(5s)},
                                           {.number = 2, .deadline = at(11s)},
                                           {.number = 3, .deadline = at(17s)}});
    CHECK(counters == RetryCounters{.attempts = 3, .retries = 2, .successes = 1, .waited = 2s});
    // The error is that of the last attempt.
    auto gives_up = pipeline(sleeper, [&]() -> Task<Result<int>> {
        co_await hangs;
        co_return 7;
    });
    gives_up.start();
    sleeper.run();
    CHECK(gives_up.take().error() == timed_out);
}

TEST_CASE("Retrying passes an AttemptTimeout to blocking calls, as retry does",
          "[call][retrying][unit]") {
    std::vector<Instant> observed;
    const Policy policy{Backoff{NoJitter{}, Cap{1s}, 1s}, AttemptTimeout{5s}, MaxAttempts{3}};
    const auto check = [&](const auto& run) {
        AsyncSleeper sleeper;
        observed.clear();
        run(sleeper, [&](Attempt attempt) { return observed.push_back(attempt.deadline), false; });
        return observed;
    };
    const std::vector<Instant> each{at(5s), at(6s), at(7s)};
    CHECK(check([&](auto& sleeper, auto fn) { static_cast<void>(retry(policy, sleeper, fn)); }) ==
          each);
    CHECK(check([&](auto& sleeper, auto fn) {
              static_cast<void>(Pipeline{Retrying{policy}}(sleeper, fn));
          }) == each);
    // A deadline of all attempts together counts if it is earlier. It ends the retries, too.
    const std::vector<Instant> bounded{at(5s), at(6s), at(9s)};
    CHECK(check([&](auto& sleeper, auto fn) {
              static_cast<void>(Pipeline{Timeout{9s}, Retrying{policy}}(sleeper, fn));
          }) == bounded);
    // Without an AttemptTimeout there is no limit, and not the 30 s of a connection.
    CHECK(check([&](auto& sleeper, auto fn) {
              static_cast<void>(retry(MaxAttempts{1}, sleeper, fn));
          }) == std::vector<Instant>{never});
}

TEST_CASE("An AttemptTimeout does not cut the last attempt, which has the rest of the deadline",
          "[call][retrying][regression]") {
    using Deadlines = std::vector<Instant>;
    const auto check = [](const auto& policy, Duration limit) {
        AsyncSleeper sleeper;
        Deadlines blocking;
        static_cast<void>(Pipeline{Timeout{limit}, Retrying{policy}}(sleeper, [&](Attempt a) {
            blocking.push_back(a.deadline);
            sleeper.time = a.deadline;
            return false;
        }));
        AsyncSleeper other;
        Deadlines awaiting;
        belay_test::Event hangs;
        const Pipeline pipeline{Timeout{limit}, Retrying{policy}};
        static_cast<void>(belay_test::await(pipeline, other, [&](Attempt a) -> Task<Result<int>> {
            awaiting.push_back(a.deadline);
            co_await hangs;
            co_return 1;
        }));
        CHECK(blocking == awaiting);
        CHECK(other.now() == at(limit));
        return blocking;
    };
    const Backoff at_once{NoJitter{}, Cap{1ns}, 1ns};
    const Policy four{at_once, AttemptTimeout{10s}, MaxAttempts{4}};
    CHECK(check(four, 60s) == Deadlines{at(10s), at(20s + 1ns), at(30s + 2ns), at(60s)});
    CHECK(check(policies::AnyPolicy{four}, 60s) == check(four, 60s));
    CHECK(check(Policy{AttemptTimeout{10s}, MaxAttempts{1}}, 60s) == Deadlines{at(60s)});
    CHECK(check(Policy{at_once, AttemptTimeout{10s}, MaxElapsed{15s}}, 60s) ==
          Deadlines{at(10s), at(60s)});
    CHECK(check(Policy{at_once, AttemptTimeout{10s}, Deadline{at(5s)}}, 60s) == Deadlines{at(60s)});
    CHECK(check(Policy{at_once, AttemptTimeout{10s}, StopOn{Cause::timed_out}}, 60s) ==
          Deadlines{at(60s)});
    // A wait after which less than half of the limit is left never begins.
    CHECK(check(Policy{at_once, AttemptTimeout{10s}}, 25s) == Deadlines{at(10s), at(25s)});
    CHECK(check(Policy{at_once, AttemptTimeout{10s}}, 14s) == Deadlines{at(14s)});
    CHECK(check(Policy{at_once, AttemptTimeout{10s}}, 19s) == Deadlines{at(10s), at(19s)});
    CHECK(check(Policy{at_once, AttemptTimeout{10s}}, 20s) == Deadlines{at(10s), at(20s)});
    CHECK(check(Policy{at_once, AttemptTimeout{10s}}, 30s - 1ns) ==
          Deadlines{at(10s), at(30s - 1ns)});
}

TEST_CASE("An attempt that takes too long does not end the retries after it",
          "[call][retrying][regression]") {
    // The limit of one attempt has passed when the next is due, and does not limit the next one.
    AsyncSleeper sleeper;
    int calls = 0;
    const Policy policy{Backoff{NoJitter{}, Cap{10s}, 10s}, AttemptTimeout{1s}, MaxAttempts{3}};
    CHECK_FALSE(retry(policy, sleeper, [&](Attempt) { return ++calls, false; }));
    CHECK(calls == 3);
    CHECK(sleeper.now() == at(20s));
}

TEST_CASE("Retrying an awaited call that never waits needs no stack for each attempt",
          "[call][retrying][regression]") {
    AsyncSleeper sleeper;
    const Pipeline pipeline{Retrying{MaxAttempts{200'000}}};
    auto task = pipeline(sleeper, []() -> Task<bool> { co_return false; });
    task.start();
    REQUIRE(task.done());
    CHECK(task.take().error() == CallErrc::gave_up);
}

namespace {
// Records attempts outside of itself, like an observer that prints.
struct NotesAttempts {
    std::vector<std::uint64_t>* noted;
    std::uint64_t calls = 0;
    void on_attempt(const Attempt&) { noted->push_back(++calls); }
};
}  // namespace

TEST_CASE("Retrying stores a temporary observer, and each call notifies a copy of it",
          "[call][retrying][unit]") {
    AsyncSleeper sleeper;
    std::vector<std::uint64_t> noted;
    const auto make = [&] { return Pipeline{Retrying{MaxAttempts{2}, NotesAttempts{&noted}}}; };
    const auto pipeline = make();
    CHECK_FALSE(pipeline(sleeper, [] { return false; }));
    CHECK_FALSE(pipeline(sleeper, [] { return false; }));
    CHECK(noted == std::vector<std::uint64_t>{1, 2, 1, 2});
    CHECK_FALSE(await(pipeline, sleeper, []() -> Task<bool> { co_return false; }));
    CHECK(noted == std::vector<std::uint64_t>{1, 2, 1, 2, 1, 2});
    NotesAttempts shared{&noted};
    const Pipeline counts{Retrying{MaxAttempts{1}, std::ref(shared)}};
    CHECK_FALSE(counts(sleeper, [] { return false; }));
    CHECK_FALSE(counts(sleeper, [] { return false; }));
    CHECK(shared.calls == 2);
}

TEST_CASE("Retrying ends attempts by the AttemptTimeout of a policy that is known at run time",
          "[call][retrying][unit]") {
    AsyncSleeper sleeper;
    belay_test::Event hangs;
    const Pipeline pipeline{Retrying{policies::AnyPolicy{
        Policy{Backoff{NoJitter{}, Cap{1s}, 1s}, AttemptTimeout{5s}, MaxAttempts{3}}}}};
    auto task = pipeline(sleeper, [&](Attempt attempt) -> Task<Result<int>> {
        if (attempt.number < 3) co_await hangs;
        co_return 7;
    });
    task.start();
    sleeper.run();
    REQUIRE(task.done());
    CHECK(task.take().value() == 7);
    CHECK(sleeper.now() == at(12s));
}
