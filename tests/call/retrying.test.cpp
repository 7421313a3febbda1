// SPDX-License-Identifier: MIT
// Goal: Retrying in a Pipeline makes the same attempts, waits and reports as retry alone.
#include <belay/call/retrying.hpp>

#include <stdexcept>
#include <vector>

#include <belay/call/pipeline.hpp>
#include <belay/policy/backoff.hpp>
#include <belay/policy/breaker.hpp>
#include <belay/policy/max_attempts.hpp>

#include "support/async_sleeper.hpp"
#include "support/catch.hpp"

using namespace belay;
using namespace std::chrono_literals;
using belay_test::AsyncSleeper;

namespace {

// What became of one run.
struct Story {
    int result = 0;
    std::vector<Duration> sleeps{};
    RetryCounters counters{};
    friend bool operator==(const Story&, const Story&) = default;
};

// A user's layer that repeats calls in its own way.
struct Twice {
    auto call(const auto& next, auto&, Attempt attempt) const {
        auto answer = next(attempt);
        ++attempt.number;
        return answer.worked() ? answer : next(attempt);
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

TEST_CASE("Retrying does what retry does, blocking and awaiting", "[call][retrying][property]") {
    CHECK(rc::check("the same story three times", [](std::uint64_t seed) {
        const Policy policy{Backoff{FullJitter{}, Cap{30s}, 1s},
                            Breaker{ConsecutiveFailures{3}, OpenFor{60s}},
                            MaxAttempts{*rc::gen::inRange<std::uint64_t>(1, 10)}};
        const auto works_at = *rc::gen::inRange<std::uint64_t>(1, 12);
        const auto throws_at = *rc::gen::inRange<std::uint64_t>(1, 12);
        const auto outcome = [&](Attempt attempt) {
            if (attempt.number == throws_at) throw std::runtime_error{"once"};
            return attempt.number == works_at;
        };
        const auto tell = [&](auto&& run) {
            AsyncSleeper sleeper;
            sleeper.random = Random{Seed{seed}};
            Story story;
            story.result = verdict([&] { return run(sleeper, story.counters); });
            story.sleeps = sleeper.sleeps;
            return story;
        };
        const Story alone = tell([&](AsyncSleeper& sleeper, RetryCounters& counters) {
            return retry(policy, sleeper, outcome, NeverStops{}, counters);
        });
        const Story blocking = tell([&](AsyncSleeper& sleeper, RetryCounters& counters) {
            return Pipeline{Retrying{policy, counters}}(sleeper, outcome);
        });
        const Story awaiting = tell([&](AsyncSleeper& sleeper, RetryCounters& counters) {
            const Pipeline pipeline{Retrying{policy, counters}};
            auto task = pipeline(
                sleeper, [&](Attempt attempt) -> Task<bool> { co_return outcome(attempt); });
            task.start();
            sleeper.run();
            return task.take();
        });
        RC_ASSERT(alone == blocking);
        RC_ASSERT(alone == awaiting);
    }));
}

TEST_CASE("Retrying takes a single rule, and one observer for many calls",
          "[call][retrying][unit]") {
    AsyncSleeper sleeper;
    RetryCounters counters;
    const Pipeline pipeline{Retrying{MaxAttempts{3}, counters}};
    for (int i = 0; i < 4; ++i) CHECK_FALSE(pipeline(sleeper, [] { return false; }));
    CHECK(counters == RetryCounters{.attempts = 12, .retries = 8, .give_ups = 4});
}

TEST_CASE("Retrying knows that a layer around it repeats already", "[call][retrying][unit]") {
    AsyncSleeper sleeper;
    std::vector<Attempt> seen;
    const Pipeline pipeline{Twice{}, Retrying{MaxAttempts{2}}};
    CHECK_FALSE(pipeline(sleeper, [&](Attempt attempt) { return seen.push_back(attempt), false; }));
    CHECK(seen == std::vector<Attempt>{{.number = 1},
                                       {.number = 2},
                                       {.number = 1, .repeats = true},
                                       {.number = 2, .repeats = true}});
}
