// SPDX-License-Identifier: MIT
// Goal: an operator changes the rules of a breaker while callers use it. Method: examples in
// virtual time, and threads under TSan.
#include <atomic>
#include <thread>
#include <vector>

#include <belay/backoff/backoff.hpp>
#include <belay/backoff/jitters.hpp>
#include <belay/breaker/circuit_breaker.hpp>
#include <belay/breaker/trips.hpp>
#include <belay/core/clocks.hpp>

#include "support/budget/granted.hpp"
#include "support/catch.hpp"

using namespace belay;
using namespace std::chrono_literals;
using belay_test::granted;

namespace {

struct Ruled {
    ManualClock clock{Instant{1h}};
    CircuitBreaker<ManualClock::View> breaker{ConsecutiveFailures{5}, OpenFor{300s}, clock.view()};

    void fail(int times) {
        for (int i = 0; i < times; ++i) breaker.acquire().failure();
    }
};

struct InRow {
    static ConsecutiveFailures trip(std::uint32_t limit) { return ConsecutiveFailures{limit}; }
};
struct LostInRow {
    static auto trip(std::uint32_t limit) {
        return CountOnly{ConsecutiveFailures{limit}, Cause::lost};
    }
};

}  // namespace

TEST_CASE("CircuitBreaker::set_rules of a closed breaker counts from zero, with the new limit",
          "[breaker][circuit_breaker_rules][unit]") {
    Ruled r;
    r.fail(4);
    r.breaker.set_rules(ConsecutiveFailures{2}, OpenFor{5s});
    r.fail(1);
    CHECK(r.breaker.state() == BreakerState::closed);
    r.fail(1);
    CHECK(r.breaker.state() == BreakerState::open);
    r.clock.advance(5s);
    CHECK(r.breaker.state() == BreakerState::half_open);
    // The same with a higher limit.
    r.breaker.acquire().success();
    r.breaker.set_rules(ConsecutiveFailures{3}, OpenFor{5s});
    r.fail(2);
    CHECK(r.breaker.state() == BreakerState::closed);
    r.fail(1);
    CHECK(r.breaker.state() == BreakerState::open);
}

TEST_CASE("CircuitBreaker::set_rules makes an open breaker admit a probe at once",
          "[breaker][circuit_breaker_rules][unit]") {
    Ruled r;
    r.fail(5);
    REQUIRE_FALSE(granted(r.breaker.acquire()));
    r.breaker.set_rules(ConsecutiveFailures{5}, OpenFor{5s}, {.probes = 2, .successes = 2});
    CHECK(r.breaker.admit(r.clock.now()).verb == Advice::Verb::go);
    auto first = r.breaker.acquire();
    auto second = r.breaker.acquire();
    CHECK((first && second && !granted(r.breaker.acquire())));
    first.failure();
    CHECK(r.breaker.state() == BreakerState::open);
    CHECK(r.breaker.acquire().retry_at() == r.clock.now() + 5s);
}

TEST_CASE("CircuitBreaker::set_rules makes a breaker admit a probe at once by the time of any turn",
          "[breaker][circuit_breaker_rules][unit]") {
    // The clock of the breaker is far ahead of the turns, like a SteadyClock in a simulated world.
    ManualClock clock{Instant{1000h}};
    CircuitBreaker breaker{ConsecutiveFailures{1}, OpenFor{300s}, clock.view()};
    Random bits{Seed{1}};
    Turn turn{Instant{1s}, bits};
    breaker.acquire(turn).failure(turn);
    REQUIRE(breaker.state(turn.now) == BreakerState::open);
    breaker.set_rules(ConsecutiveFailures{1}, OpenFor{5s});
    CHECK(breaker.state(turn.now) == BreakerState::half_open);
    CHECK(breaker.admit(turn.now) == Advice::go());
    CHECK(breaker.snapshot().remaining == 0s);
    breaker.acquire(turn).success(turn);
    CHECK(breaker.state(turn.now) == BreakerState::closed);
}

TEST_CASE("CircuitBreaker::set_rules makes the probes under way void",
          "[breaker][circuit_breaker_rules][unit]") {
    Ruled r;
    r.fail(5);
    r.clock.advance(300s);
    auto former = r.breaker.acquire();
    r.breaker.set_rules(ConsecutiveFailures{5}, OpenFor{300s});
    former.success();
    CHECK(r.breaker.state() == BreakerState::half_open);
    CHECK(r.breaker.counters().stale == 1);
    r.breaker.acquire().success();
    CHECK(r.breaker.state() == BreakerState::closed);
}

TEST_CASE("CircuitBreaker::set_rules keeps the mode and the isolations",
          "[breaker][circuit_breaker_rules][unit]") {
    Ruled r;
    r.breaker.set_mode(BreakerMode::metrics_only);
    {
        const auto isolation = r.breaker.isolate();
        r.breaker.set_rules(ConsecutiveFailures{1}, OpenFor{5s});
        CHECK(r.breaker.isolations() == 1);
        CHECK_FALSE(granted(r.breaker.acquire()));
    }
    CHECK(r.breaker.mode() == BreakerMode::metrics_only);
    r.fail(1);
    CHECK(r.breaker.counters().would_open == 1);
    r.breaker.set_mode(BreakerMode::disabled);
    r.breaker.set_rules(ConsecutiveFailures{1}, OpenFor{5s});
    r.fail(3);
    CHECK(granted(r.breaker.acquire()));
}

TEST_CASE("CircuitBreaker::set_rules resets the new rules, also those that have counted",
          "[breaker][circuit_breaker_rules][unit]") {
    ManualClock clock;
    FailureRate rate{CountWindow<4>{}, {.percent = 50, .min_calls = 2}};
    CircuitBreaker breaker{rate, Backoff{NoJitter{}, Cap{60s}, 1s}, clock.view()};
    CHECK_FALSE(rate.record(true));
    breaker.set_rules(rate, Backoff{NoJitter{}, Cap{60s}, 2s});
    breaker.acquire().failure();
    CHECK(breaker.state() == BreakerState::closed);
    breaker.acquire().failure();
    CHECK(breaker.acquire().retry_at() == clock.now() + 2s);
}

TEST_CASE("CircuitBreaker::set_rules also changes the failures that count",
          "[breaker][circuit_breaker_rules][unit]") {
    ManualClock clock;
    CircuitBreaker breaker{CountOnly{ConsecutiveFailures{1}, Cause::lost}, OpenFor{1s},
                           clock.view()};
    breaker.acquire().failure(Failure{.cause = Cause::timed_out});
    CHECK(breaker.state() == BreakerState::closed);
    breaker.set_rules(CountOnly{ConsecutiveFailures{1}, Cause::timed_out}, OpenFor{1s});
    breaker.acquire().failure(Failure{.cause = Cause::lost});
    CHECK(breaker.state() == BreakerState::closed);
    breaker.acquire().failure(Failure{.cause = Cause::timed_out});
    CHECK(breaker.state() == BreakerState::open);
}

TEMPLATE_TEST_CASE("CircuitBreaker follows its last rules after any mix of threads",
                   "[breaker][circuit_breaker_rules][unit]", InRow, LostInRow) {
    ManualClock clock;
    CircuitBreaker breaker{TestType::trip(3), OpenFor{1ms}, clock.view()};
    std::atomic<bool> ended{false};
    std::vector<std::thread> callers;
    for (std::uint64_t t = 1; t <= 2; ++t) {
        callers.emplace_back([&, t] {
            Random bits{Seed{t}};
            while (!ended.load()) {
                auto permit = breaker.acquire();
                if (!permit) clock.advance(1ms);
                if (uniform_upto(bits, 3) != 0) {
                    permit.success();
                } else {
                    permit.failure(Failure{.cause = Cause::lost});
                }
            }
        });
    }
    for (std::uint32_t i = 0; i < 3000; ++i) {
        breaker.set_rules(TestType::trip(1 + i % 7), OpenFor{1ms});
    }
    ended = true;
    for (auto& caller : callers) caller.join();
    breaker.set_rules(TestType::trip(2), OpenFor{1ms});
    breaker.acquire().success();
    REQUIRE(breaker.state() == BreakerState::closed);
    const Failure lost{.cause = Cause::lost};
    breaker.acquire().failure(lost);
    CHECK(breaker.state() == BreakerState::closed);
    breaker.acquire().failure(lost);
    CHECK(breaker.state() == BreakerState::open);
}
