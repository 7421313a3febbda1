// SPDX-License-Identifier: MIT
// A permit of a rate limiter that many threads share: granted and rejected, beside the same rule
// under a mutex.
#include <belay/call/limiters.hpp>

#include <mutex>

#include <benchmark/benchmark.h>

using namespace belay;
using namespace std::chrono_literals;

namespace {

constexpr Instant start{1h};
// Each call of a thread comes so late that all threads together stay below the rate.
constexpr Duration pause = 10us;

// Of the same interface, as far as it is measured.
class LockedLimiter {
public:
    LockedLimiter(Rate rate, Burst burst) : state_{{rate.interval(), burst.calls()}} {}

    [[nodiscard]] bool acquire(Instant now) {
        const std::lock_guard lock{mutex_};
        if (state_.take(now, 1)) return true;
        retry_at_ = state_.turn_of(now, 0, 1);
        return false;
    }

private:
    std::mutex mutex_;
    detail::RateState state_;
    Instant retry_at_{};
};

template <class Limiter>
void acquire_granted(benchmark::State& state) {
    static Limiter* limiter = nullptr;
    if (state.thread_index() == 0) limiter = new Limiter{Rate{1'000'000, 1s}, Burst{1000}};
    Instant now = start;
    for (auto _ : state) {
        now += pause;
        auto permit = limiter->acquire(now);
        benchmark::DoNotOptimize(permit);
    }
    if (state.thread_index() == 0) delete limiter;
    state.SetItemsProcessed(state.iterations());
}
template <class Limiter>
void acquire_rejected(benchmark::State& state) {
    static Limiter* limiter = nullptr;
    if (state.thread_index() == 0) limiter = new Limiter{Rate{1, 1h}, Burst{1}};
    for (auto _ : state) {
        auto permit = limiter->acquire(start);
        benchmark::DoNotOptimize(permit);
    }
    if (state.thread_index() == 0) delete limiter;
    state.SetItemsProcessed(state.iterations());
}

BENCHMARK(acquire_granted<LockedLimiter>)
    ->Name("call/rate_limiter/granted/mutex")
    ->ThreadRange(1, 2)
    ->UseRealTime();
BENCHMARK(acquire_granted<RateLimiter>)
    ->Name("call/rate_limiter/granted/belay")
    ->ThreadRange(1, 2)
    ->UseRealTime();
BENCHMARK(acquire_rejected<LockedLimiter>)
    ->Name("call/rate_limiter/rejected/mutex")
    ->ThreadRange(1, 2)
    ->UseRealTime();
BENCHMARK(acquire_rejected<RateLimiter>)
    ->Name("call/rate_limiter/rejected/belay")
    ->ThreadRange(1, 2)
    ->UseRealTime();

}  // namespace
