// SPDX-License-Identifier: MIT
// Goal: blocking calls allocate nothing, a coroutine's retry only its frame. Method: a counting
// operator new.
#include <belay/backoff/backoff.hpp>
#include <belay/backoff/jitters.hpp>
#include <belay/breaker/circuit_breaker.hpp>
#include <belay/call/layers.hpp>
#include <belay/call/limiters.hpp>
#include <belay/call/pipeline.hpp>
#include <belay/call/retry_task.hpp>
#include <belay/core/clocks.hpp>
#include <belay/policy/policy.hpp>
#include <belay/policy/rules.hpp>
#include <belay/policy/shared.hpp>

#include "support/call/async_sleeper.hpp"
#include "support/catch.hpp"
#include "support/counting_new.hpp"

using namespace belay;
using namespace std::chrono_literals;
using belay_test::Counting;

TEST_CASE("Blocking calls through a Pipeline never allocate", "[call][allocation][unit]") {
    const ManualClock clock;
    CircuitBreaker<ManualClock::View> breaker{ConsecutiveFailures{3}, OpenFor{1s}, clock.view()};
    RateLimiter limiter{Rate{1000, 1s}, Burst{10}};
    Bulkhead bulkhead{{.limit = 2, .queue = 2}};
    RetryCounters counters;
    const Pipeline pipeline{
        Fallback{[] { return true; }},
        Retrying{Policy{Backoff{FullJitter{}, Cap{30s}, 1s}, MaxAttempts{5}}, counters},
        Shared{breaker},
        Shared{limiter},
        Queued{bulkhead},
        Timeout{1s}};
    belay_test::AsyncSleeper sleeper;
    sleeper.sleeps.reserve(1000);
    std::size_t made = 0;
    {
        const Counting counting;
        for (int i = 0; i < 50; ++i) {
            static_cast<void>(
                pipeline(sleeper, [i](Attempt a) { return i % 7 == 0 && a.number == 3; }));
        }
        made = counting.made();
    }
    CHECK(counters.attempts > 50);
    CHECK(made == 0);
}

TEST_CASE("retry in a coroutine allocates only its frame, on every path",
          "[call][allocation][unit]") {
    struct Yes {
        bool await_ready() const noexcept { return true; }
        void await_suspend(std::coroutine_handle<>) const noexcept {}
        bool await_resume() const noexcept { return works; }
        bool works;
    };
    belay_test::AsyncSleeper sleeper;
    sleeper.sleeps.reserve(1000);
    std::size_t made = 0;
    {
        const Counting counting;
        auto task = retry(MaxAttempts{5}, sleeper, [](Attempt a) { return Yes{a.number == 4}; });
        task.start();
        CHECK(task.take().has_value());
        made = counting.made();
    }
    CHECK(made == 1);
}
