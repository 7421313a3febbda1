// SPDX-License-Identifier: MIT
// What a shared budget adds to a call: the path where nothing is wrong, and a retry that is paid
// for; alone, and with two threads on one budget.
#include <belay/budget/adaptive_limit.hpp>
#include <belay/budget/adaptive_throttle.hpp>
#include <belay/budget/budgets.hpp>

#include <mutex>

#include <benchmark/benchmark.h>

using namespace belay;

namespace {

// What a user would write by hand.
class MutexBudget {
public:
    bool take() {
        const std::lock_guard lock{mutex_};
        if (tokens_ < 5000) return false;
        tokens_ -= 5000;
        return true;
    }
    void give(int tokens) {
        const std::lock_guard lock{mutex_};
        tokens_ = tokens_ + tokens < 500'000 ? tokens_ + tokens : 500'000;
    }

private:
    std::mutex mutex_;
    int tokens_ = 500'000;
};

TokenBudget tokens;
MutexBudget with_mutex;
RatioBudget ratio;
AdaptiveThrottle throttle;
AdaptiveLimit limit;

template <auto& budget>
void call(benchmark::State& state) {
    Random bits{Seed{1}};
    Turn turn{Instant{std::chrono::seconds{1000}}, bits};
    for (auto _ : state) {
        auto permit = budget.acquire(turn);
        benchmark::DoNotOptimize(permit);
        permit.success(turn);
        turn.now += std::chrono::microseconds{1};
    }
    state.SetItemsProcessed(state.iterations());
}
template <auto& budget>
void paid_retry(benchmark::State& state) {
    Random bits{Seed{1}};
    Turn turn{Instant{std::chrono::seconds{1000}}, bits};
    for (auto _ : state) {
        auto permit = budget.reserve(Cause::lost, turn);
        benchmark::DoNotOptimize(permit);
        permit.neutral();
    }
    state.SetItemsProcessed(state.iterations());
}
void mutex_call(benchmark::State& state) {
    for (auto _ : state) with_mutex.give(1000);
    state.SetItemsProcessed(state.iterations());
}
void mutex_retry(benchmark::State& state) {
    for (auto _ : state) {
        bool granted = with_mutex.take();
        benchmark::DoNotOptimize(granted);
        if (granted) with_mutex.give(5000);
    }
    state.SetItemsProcessed(state.iterations());
}

BENCHMARK(call<tokens>)
    ->Name("budget/token_budget/success/belay")
    ->ThreadRange(1, 2)
    ->UseRealTime();
BENCHMARK(mutex_call)->Name("budget/token_budget/success/mutex")->ThreadRange(1, 2)->UseRealTime();
BENCHMARK(paid_retry<tokens>)
    ->Name("budget/token_budget/reserve_release/belay")
    ->ThreadRange(1, 2)
    ->UseRealTime();
BENCHMARK(mutex_retry)
    ->Name("budget/token_budget/reserve_release/mutex")
    ->ThreadRange(1, 2)
    ->UseRealTime();
BENCHMARK(paid_retry<ratio>)->Name("budget/ratio_budget/reserve_release/belay");
BENCHMARK(call<ratio>)->Name("budget/ratio_budget/success/belay");
BENCHMARK(call<throttle>)->Name("budget/adaptive_throttle/success/belay");
BENCHMARK(call<limit>)->Name("budget/adaptive_limit/success/belay");

}  // namespace
