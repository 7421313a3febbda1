// SPDX-License-Identifier: MIT
// What a breaker costs on the path where nothing is wrong: alone, and with two threads on one.
#include <belay/policy/circuit_breaker.hpp>

#include <mutex>

#include <benchmark/benchmark.h>

using namespace belay;
using namespace std::chrono_literals;

namespace {

// What a user would write by hand.
class MutexBreaker {
public:
    bool allow(Instant now) {
        const std::lock_guard lock{mutex_};
        return !open_ || now >= open_until_;
    }
    void record(bool worked, Instant now) {
        const std::lock_guard lock{mutex_};
        if (worked) {
            failures_ = 0;
            open_ = false;
        } else if (++failures_ >= 5) {
            open_ = true;
            open_until_ = now + 300s;
        }
    }

private:
    std::mutex mutex_;
    int failures_ = 0;
    bool open_ = false;
    Instant open_until_{};
};

CircuitBreaker<SteadyClock> lock_free{ConsecutiveFailures{5}, OpenFor{300s}};
MutexBreaker with_mutex;

void lock_free_call(benchmark::State& state) {
    for (auto _ : state) {
        auto permit = lock_free.acquire();
        benchmark::DoNotOptimize(permit);
        permit.success();
    }
    state.SetItemsProcessed(state.iterations());
}
BENCHMARK(lock_free_call)
    ->Name("policy/circuit_breaker/acquire_success/belay")
    ->ThreadRange(1, 2)
    ->UseRealTime();

// Without its clock read, which would dominate.
void mutex_call(benchmark::State& state) {
    for (auto _ : state) {
        bool allowed = with_mutex.allow(Instant{});
        benchmark::DoNotOptimize(allowed);
        with_mutex.record(true, Instant{});
    }
    state.SetItemsProcessed(state.iterations());
}
BENCHMARK(mutex_call)
    ->Name("policy/circuit_breaker/acquire_success/mutex")
    ->ThreadRange(1, 2)
    ->UseRealTime();

void value_call(benchmark::State& state) {
    Breaker breaker{ConsecutiveFailures{5}, OpenFor{300s}};
    Random bits{Seed{1}};
    Turn turn{Instant{}, bits};
    for (auto _ : state) {
        benchmark::DoNotOptimize(breaker.admit(turn.now));
        breaker.begin(turn);
        breaker.succeeded(turn);
        benchmark::DoNotOptimize(breaker);
    }
    state.SetItemsProcessed(state.iterations());
}
BENCHMARK(value_call)->Name("policy/breaker/admit_succeeded/belay");

}  // namespace
