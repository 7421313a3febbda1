// SPDX-License-Identifier: MIT
// Goal: the shared breaker is correct under threads. Method: many short concurrent calls, under
// TSan.
#include <belay/breaker/circuit_breaker.hpp>

#include <atomic>
#include <functional>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include <belay/breaker/trips.hpp>
#include <belay/core/clocks.hpp>
#include <belay/core/time_window.hpp>

#include "support/breaker/breaker_archetypes.hpp"
#include "support/catch.hpp"

using namespace belay;
using namespace std::chrono_literals;
using belay_test::open;

namespace {

using Breaking = CircuitBreaker<ManualClock::View>;
using Permit = Breaking::Permit;

// A concurrent thread whose calls happen between a caller's read of the state and its lock. The
// clock is read at that time.
struct ConcurrentThread {
    std::function<void()> act;
};
struct InterruptingClock {
    ConcurrentThread* concurrent;
    [[nodiscard]] Instant now() const noexcept {
        if (auto act = std::exchange(concurrent->act, nullptr)) act();
        return Instant{};
    }
};

template <class Work>
void on_threads(std::uint64_t count, Work work) {
    std::vector<std::thread> threads;
    for (std::uint64_t t = 1; t <= count; ++t) threads.emplace_back(work, t);
    for (auto& t : threads) t.join();
}

}  // namespace

TEST_CASE("CircuitBreaker stays closed when a success comes just before the deciding failure",
          "[breaker][circuit_breaker_threads][unit]") {
    ConcurrentThread concurrent;
    CircuitBreaker breaker{ConsecutiveFailures{2}, OpenFor{1s}, InterruptingClock{&concurrent}};
    breaker.acquire().failure();
    concurrent.act = [&] { breaker.acquire().success(); };
    breaker.acquire().failure();
    CHECK(concurrent.act == nullptr);
    CHECK(breaker.state() == BreakerState::closed);
    // The failure still counts: one more is the second in a row.
    breaker.acquire().failure();
    CHECK(breaker.state() == BreakerState::open);
    CHECK(breaker.counters().failures == 3);
}

TEST_CASE("CircuitBreaker opens once when two deciding failures meet",
          "[breaker][circuit_breaker_threads][unit]") {
    ConcurrentThread concurrent;
    CircuitBreaker breaker{ConsecutiveFailures{2}, OpenFor{1s}, InterruptingClock{&concurrent}};
    breaker.acquire().failure();
    auto other = breaker.acquire();
    concurrent.act = [&] { other.failure(); };
    breaker.acquire().failure();
    CHECK(breaker.state() == BreakerState::open);
    CHECK(breaker.counters() == BreakerCounters{.failures = 2, .stale = 1, .opened = 1});
}

TEST_CASE("CircuitBreaker admits a caller when it closes just before the call",
          "[breaker][circuit_breaker_threads][unit]") {
    ConcurrentThread concurrent;
    CircuitBreaker breaker{ConsecutiveFailures{1}, OpenFor{1s}, InterruptingClock{&concurrent}};
    breaker.acquire().failure();
    concurrent.act = [&] { breaker.set_mode(BreakerMode::automatic); };
    auto permit = breaker.acquire();
    CHECK(permit);
    CHECK(breaker.counters().probes == 0);
    permit.failure();
    CHECK(breaker.counters().opened == 2);
    concurrent.act = [&] { breaker.set_mode(BreakerMode::automatic); };
    CHECK(breaker.state() == BreakerState::closed);
}

TEST_CASE("CircuitBreaker has at most one probe in use, under concurrent calls",
          "[breaker][circuit_breaker_threads][unit]") {
    ManualClock clock;
    Breaking breaker{ConsecutiveFailures{1}, OpenFor{1ms}, clock.view()};
    open(breaker, 1);
    // No verdict closes the breaker, so every permit from now on is a probe.
    std::atomic<int> out{0};
    std::atomic<int> granted{0};
    std::atomic<bool> overlapped{false};
    const auto work = [&](std::uint64_t seed) {
        Random bits{Seed{seed}};
        for (int i = 0; i < 20'000; ++i) {
            Permit permit = breaker.acquire();
            if (!permit) {
                clock.advance(100us);
                continue;
            }
            granted.fetch_add(1);
            if (out.fetch_add(1) != 0) overlapped = true;
            if (uniform_upto(bits, 1) == 0) std::this_thread::yield();
            out.fetch_sub(1);
            if (uniform_upto(bits, 1) == 0) permit.failure();
        }
    };
    on_threads(3, work);
    // The number is small at times: a suspended thread with the permit blocks the others.
    CHECK(granted.load() > 0);
    CHECK_FALSE(overlapped.load());
}

TEST_CASE("CircuitBreaker is consistent after any mix of verdicts from threads",
          "[breaker][circuit_breaker_threads][unit]") {
    ManualClock clock;
    Breaking breaker{ConsecutiveFailures{3}, OpenFor{1ms}, clock.view()};
    const auto work = [&](std::uint64_t seed) {
        Random bits{Seed{seed}};
        Permit kept;
        for (int i = 0; i < 20'000; ++i) {
            Permit permit = breaker.acquire();
            if (!permit) clock.advance(100us);
            switch (uniform_upto(bits, 7)) {
                case 0:
                    permit.success();
                    break;
                case 1:
                    permit.neutral();
                    break;
                case 2:
                    kept.failure();
                    break;
                case 3:
                    kept = std::move(permit);
                    break;
                default:
                    permit.failure();
                    break;
            }
            static_cast<void>(breaker.state());
        }
    };
    on_threads(4, work);
    // In any state: after the open wait one call decides.
    clock.advance(1h);
    breaker.acquire().success();
    REQUIRE(breaker.state() == BreakerState::closed);
    open(breaker, 2);
    CHECK(breaker.state() == BreakerState::closed);
    open(breaker, 1);
    CHECK(breaker.state() == BreakerState::open);
}

TEST_CASE("CircuitBreaker grants the probe to exactly one of many threads",
          "[breaker][circuit_breaker_threads][unit]") {
    for (int round = 0; round < 200; ++round) {
        ManualClock clock;
        Breaking breaker{ConsecutiveFailures{1}, OpenFor{1s}, clock.view()};
        open(breaker, 1);
        clock.advance(1s);
        std::atomic<int> granted{0};
        std::atomic<bool> go{false};
        std::vector<std::optional<Permit>> permits(3);
        std::vector<std::thread> threads;
        for (auto& permit : permits) {
            threads.emplace_back([&] {
                while (!go.load()) std::this_thread::yield();
                permit.emplace(breaker.acquire());
                if (*permit) granted.fetch_add(1);
            });
        }
        go.store(true);
        for (auto& t : threads) t.join();
        REQUIRE(granted.load() == 1);
    }
}

TEST_CASE("CircuitBreaker opens exactly once for concurrent failures",
          "[breaker][circuit_breaker_threads][unit]") {
    for (int round = 0; round < 200; ++round) {
        ManualClock clock;
        Breaking breaker{ConsecutiveFailures{4}, OpenFor{1s}, clock.view()};
        std::vector<Permit> permits;
        for (int i = 0; i < 4; ++i) permits.push_back(breaker.acquire());
        std::vector<std::thread> threads;
        for (auto& permit : permits) threads.emplace_back([&] { permit.failure(); });
        for (auto& t : threads) t.join();
        REQUIRE(breaker.state() == BreakerState::open);
        REQUIRE(breaker.admit(clock.now()) == Advice::suspend(clock.now() + 1s));
    }
}

TEST_CASE("CircuitBreaker counts failures and successes of threads in one order",
          "[breaker][circuit_breaker_threads][unit]") {
    const ManualClock clock;
    // No call succeeds, and the limit is the number of failures: the last one opens, and none is
    // lost.
    Breaking breaker{ConsecutiveFailures{30'000}, OpenFor{1s}, clock.view()};
    on_threads(3, [&](std::uint64_t) {
        for (int i = 0; i < 9'999; ++i) breaker.acquire().failure();
    });
    CHECK(breaker.state() == BreakerState::closed);
    open(breaker, 3);
    CHECK(breaker.state() == BreakerState::open);
    CHECK(breaker.counters().failures == 30'000);
    CHECK(breaker.counters().opened == 1);
}

TEST_CASE("CircuitBreaker with windows and several probes is consistent under threads",
          "[breaker][circuit_breaker_threads][unit]") {
    ManualClock clock;
    CircuitBreaker breaker{
        AnyTrip{FailureRate{TimeWindow{1s}, {.percent = 40, .min_calls = 5}},
                SlowCallRate{1ms, CountWindow<16>{}, {.percent = 90, .min_calls = 8}}},
        OpenFor{2ms},
        clock.view(),
        {.probes = 2, .successes = 3, .failures = 2, .probe_timeout = 1ms}};
    std::atomic<bool> fell{false};
    on_threads(3, [&](std::uint64_t seed) {
        Random bits{Seed{seed}};
        BreakerCounters before;
        decltype(breaker.acquire()) kept;
        for (int i = 0; i < 5'000; ++i) {
            auto permit = breaker.acquire();
            clock.advance(Duration{50'000});
            const auto choice = uniform_upto(bits, 9);
            // There are as many failures as successes, so the breaker opens in any interleaving.
            if (choice <= 2) permit.success();
            if (3 <= choice && choice <= 5) permit.failure();
            if (choice == 6) permit.neutral();
            if (choice == 7) kept = std::move(permit);
            if (i % 100 == 0) {
                const BreakerCounters after = breaker.counters();
                if (after.failures < before.failures || after.successes < before.successes ||
                    after.opened < before.opened || after.closed < before.closed ||
                    after.lost < before.lost || after.rejected < before.rejected ||
                    after.stale < before.stale) {
                    fell = true;
                }
                before = after;
                static_cast<void>(breaker.snapshot());
            }
        }
    });
    CHECK_FALSE(fell.load());
    const BreakerCounters counters = breaker.counters();
    CHECK(counters.closed <= counters.opened);
    CHECK(counters.opened > 0);
    // In any state: the breaker closes after successes alone.
    clock.advance(1h);
    for (int i = 0; i < 3; ++i) breaker.acquire().success();
    CHECK(breaker.state() == BreakerState::closed);
}

TEST_CASE("CircuitBreaker counts each success of each thread",
          "[breaker][circuit_breaker_threads]") {
    CircuitBreaker breaker{ConsecutiveFailures{2}, OpenFor{1s}};
    // More threads than lines, several times.
    for (int round = 0; round < 3; ++round) {
        on_threads(20, [&](std::uint64_t) {
            for (int i = 0; i < 1'000; ++i) breaker.acquire().success();
        });
    }
    CHECK(breaker.counters() == BreakerCounters{.successes = 60'000});
}

TEST_CASE("CircuitBreaker follows an operator's mode under concurrent calls",
          "[breaker][circuit_breaker_threads][unit]") {
    ManualClock clock;
    Breaking breaker{ConsecutiveFailures{2}, OpenFor{1ms}, clock.view()};
    on_threads(3, [&](std::uint64_t seed) {
        Random bits{Seed{seed}};
        for (int i = 0; i < 3'000; ++i) {
            auto permit = breaker.acquire();
            clock.advance(Duration{50'000});
            if (uniform_upto(bits, 49) == 0) {
                breaker.set_mode(static_cast<BreakerMode>(uniform_upto(bits, 3)));
            }
            uniform_upto(bits, 1) == 0 ? permit.failure() : permit.success();
        }
    });
    breaker.set_mode(BreakerMode::automatic);
    CHECK(breaker.state() == BreakerState::closed);
    open(breaker, 2);
    CHECK(breaker.state() == BreakerState::open);
}
