// SPDX-License-Identifier: MIT
// A program without exceptions and run-time type information. Calls must work in it, too.
#include <cstdio>
#include <optional>

#include <belay/backoff/backoff.hpp>
#include <belay/backoff/jitters.hpp>
#include <belay/breaker/breaker.hpp>
#include <belay/breaker/circuit_breaker.hpp>
#include <belay/call/hedge.hpp>
#include <belay/call/layers.hpp>
#include <belay/call/limiters.hpp>
#include <belay/call/pipeline.hpp>
#include <belay/call/pipeline_task.hpp>
#include <belay/call/retry.hpp>
#include <belay/call/retry_outcome.hpp>
#include <belay/call/retry_task.hpp>
#include <belay/core/clocks.hpp>
#include <belay/policy/policy.hpp>
#include <belay/policy/rules.hpp>
#include <belay/policy/shared.hpp>

#include "support/archetypes.hpp"

using namespace belay;
using namespace std::chrono_literals;

namespace {

int failures = 0;

void check(bool ok, const char* what) {
    if (ok) return;
    ++failures;
    std::fprintf(stderr, "failed: %s\n", what);
}

void retries_until_it_works() {
    Random bits{Seed{1}};
    belay_test::MinimalSleeper sleeper{bits};
    const Policy policy{Backoff{NoJitter{}, Cap{30s}, 1s},
                        CooldownOn{Cause::overloaded, 5s, 15s},
                        Breaker{ConsecutiveFailures{5}, OpenFor{300s}},
                        StopOn{Cause::permanent},
                        MaxAttempts{10},
                        ResetWhenStable{10s},
                        AttemptTimeout{5s}};
    int calls = 0;
    check(retry(policy, sleeper, [&](Attempt) { return ++calls == 4; }).has_value(),
          "retry of a bool");
    check(sleeper.now() == Instant{} + 7s, "the waits of retry");
    check(retry(policy, sleeper, [](Attempt) { return std::optional{5}; }).value() == 5,
          "optional");
    const auto error = std::make_error_code(std::errc::no_such_device);
    check(retry(policy, sleeper, [&](Attempt) { return error; }) == error,
          "retry of an error code");
    check(retry(policy, sleeper, [](Attempt) {}).has_value(), "retry of void");
    const StopSource source;
    source.request_stop();
    check(retry(
              policy, sleeper, [](Attempt) -> Result<int> { return 1; }, source.token())
                  .error() == CallErrc::stopped,
          "a stopped retry");
}

void goes_through_a_pipeline() {
    Random bits{Seed{1}};
    belay_test::MinimalSleeper sleeper{bits};
    RateLimiter limiter{Rate{1, 10s}, Burst{1}};
    Bulkhead bulkhead{{.limit = 1, .queue = 1}};
    RetryCounters counters;
    const Pipeline pipeline{
        Fallback{[] { return -1; }},
        Retrying{Policy{Backoff{NoJitter{}, Cap{1s}, 1s}, MaxAttempts{3}}, counters},
        Shared{limiter}, Queued{bulkhead}, Timeout{1min}};
    const auto bad = [](int n) { return n < 2; };
    const auto number = [](Attempt attempt) { return static_cast<int>(attempt.number); };
    check(pipeline(sleeper, fails_if(number, bad)).value() == 3, "a pipeline");
    check(sleeper.now() == Instant{} + 10s, "the wait for the limiter");
    check(pipeline(sleeper, [](Attempt) { return std::optional<int>{}; }).value() == -1,
          "a fallback");
    check(counters.give_ups == 1, "the counters");
}

// A sleeper that never waits. A coroutine that waited would not be resumed.
struct AtOnce {
    [[nodiscard]] Instant now() const noexcept { return Instant{}; }
    Random& bits() noexcept { return random; }
    std::suspend_never async_sleep_until(Instant, const auto&) noexcept { return {}; }
    Random random{Seed{1}};
};

Task<bool> third_time(int& calls) { co_return ++calls == 3; }

void retries_in_a_coroutine() {
    AtOnce sleeper;
    int calls = 0;
    auto task = retry(MaxAttempts{5}, sleeper, [&] { return third_time(calls); });
    task.start();
    check(task.done() && task.take().has_value() && calls == 3, "retry in a coroutine");
    const Pipeline pipeline{Retrying{MaxAttempts{5}}, Timeout{1s}, Hedge{1s, 1}};
    calls = 0;
    auto hedged = pipeline(sleeper, [&] { return third_time(calls); });
    hedged.start();
    check(hedged.done() && hedged.take().has_value() && calls == 3, "a pipeline in a coroutine");
}

}  // namespace

int main() {
    goes_through_a_pipeline();
    retries_in_a_coroutine();
    retries_until_it_works();
    return failures == 0 ? 0 : 1;
}
