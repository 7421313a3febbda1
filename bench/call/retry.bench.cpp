// SPDX-License-Identifier: MIT
// What a retry adds to a call that works at once, beside the loop that a user would write by hand.
// Virtual time: no clock is read.
#include <belay/backoff/backoff.hpp>
#include <belay/breaker/circuit_breaker.hpp>
#include <belay/budget/budgets.hpp>
#include <belay/call/retry.hpp>
#include <belay/policy/rules.hpp>
#include <belay/policy/shared.hpp>

#include <mutex>

#include <benchmark/benchmark.h>

using namespace belay;
using namespace std::chrono_literals;

namespace {

struct NoTime {
    [[nodiscard]] Instant now() const noexcept { return time; }
    [[nodiscard]] Random& bits() noexcept { return random; }
    void sleep_until(Instant until, const auto&) noexcept { time = until; }

    Instant time{1000s};
    Random random{Seed{1}};
};

[[gnu::noinline]] bool ask(std::uint64_t& calls) {
    benchmark::DoNotOptimize(++calls);
    return true;
}

[[gnu::noinline]] bool by_hand(std::uint64_t& calls) {
    for (int attempt = 0; attempt < 3; ++attempt) {
        if (ask(calls)) return true;
    }
    return false;
}

// A breaker of consecutive failures and a ratio budget, for several threads.
struct SharedByHand {
    std::mutex breaker;
    int failures = 0;
    std::mutex budget;
    int calls = 0;
};
[[gnu::noinline]] bool guarded_by_hand(std::uint64_t& calls, SharedByHand& shared, NoTime& time) {
    const Instant begin = time.now();
    for (int attempt = 0; attempt < 3 && time.now() - begin < 10s; ++attempt) {
        {
            const std::lock_guard lock{shared.breaker};
            if (shared.failures >= 5) return false;
        }
        {
            const std::lock_guard lock{shared.budget};
            ++shared.calls;
        }
        const bool worked = ask(calls);
        const std::lock_guard lock{shared.breaker};
        shared.failures = worked ? 0 : shared.failures + 1;
        if (worked) return true;
    }
    return false;
}

void plain(benchmark::State& state) {
    const Policy policy{MaxAttempts{3}, Backoff{FullJitter{}, Cap{1s}, 10ms}};
    NoTime time;
    std::uint64_t calls = 0;
    for (auto _ : state) {
        auto result = retry(policy, time, [&] { return ask(calls); });
        benchmark::DoNotOptimize(result);
    }
    state.SetItemsProcessed(state.iterations());
}
void plain_by_hand(benchmark::State& state) {
    std::uint64_t calls = 0;
    for (auto _ : state) {
        bool result = by_hand(calls);
        benchmark::DoNotOptimize(result);
    }
    state.SetItemsProcessed(state.iterations());
}

void guarded(benchmark::State& state) {
    CircuitBreaker breaker{ConsecutiveFailures{5}, OpenFor{30s}};
    RatioBudget budget;
    const Policy policy{MaxAttempts{3}, MaxElapsed{10s}, Shared{breaker, FailFast{}},
                        Shared{budget, FailFast{}}, Backoff{FullJitter{}, Cap{1s}, 10ms}};
    NoTime time;
    std::uint64_t calls = 0;
    for (auto _ : state) {
        auto result = retry(policy, time, [&] { return ask(calls); });
        benchmark::DoNotOptimize(result);
    }
    state.SetItemsProcessed(state.iterations());
}
void guarded_loop(benchmark::State& state) {
    SharedByHand shared;
    NoTime time;
    std::uint64_t calls = 0;
    for (auto _ : state) {
        bool result = guarded_by_hand(calls, shared, time);
        benchmark::DoNotOptimize(result);
    }
    state.SetItemsProcessed(state.iterations());
}

BENCHMARK(plain)->Name("call/retry/success_at_once/belay");
BENCHMARK(plain_by_hand)->Name("call/retry/success_at_once/loop_by_hand");
BENCHMARK(guarded)->Name("call/retry/with_breaker_and_budget/belay");
BENCHMARK(guarded_loop)->Name("call/retry/with_breaker_and_budget/two_mutexes_by_hand");

}  // namespace
