// SPDX-License-Identifier: MIT
// What a breaker costs on the path where nothing is wrong: alone, and with two threads on one.
#include <belay/breaker/circuit_breaker.hpp>

#include <deque>
#include <mutex>

#include <benchmark/benchmark.h>

#include <belay/breaker/trips.hpp>
#include <belay/core/time_window.hpp>

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
    ->Name("breaker/circuit_breaker/acquire_success/belay")
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
    ->Name("breaker/circuit_breaker/acquire_success/mutex")
    ->ThreadRange(1, 2)
    ->UseRealTime();

// The share of failures among the last 100 calls, by hand.
class MutexRate {
public:
    bool allow() {
        const std::lock_guard lock{mutex_};
        return !open_;
    }
    void record(bool failed) {
        const std::lock_guard lock{mutex_};
        last_.push_back(failed);
        failures_ += failed ? 1U : 0U;
        if (last_.size() > 100) {
            failures_ -= last_.front() ? 1U : 0U;
            last_.pop_front();
        }
        if (last_.size() >= 10 && failures_ * 2 >= last_.size()) open_ = true;
    }

private:
    std::mutex mutex_;
    std::deque<bool> last_;
    std::size_t failures_ = 0;
    bool open_ = false;
};

CircuitBreaker rated{FailureRate{CountWindow<100>{}}, OpenFor{300s}};
CircuitBreaker rated_in_time{FailureRate{TimeWindow{60s}}, OpenFor{300s}};
MutexRate rated_by_hand;

void rate_call(benchmark::State& state) {
    for (auto _ : state) {
        auto permit = rated.acquire();
        benchmark::DoNotOptimize(permit);
        permit.success();
    }
    state.SetItemsProcessed(state.iterations());
}
BENCHMARK(rate_call)
    ->Name("breaker/circuit_breaker/rate_of_100_calls/belay")
    ->ThreadRange(1, 2)
    ->UseRealTime();

void rate_call_by_hand(benchmark::State& state) {
    for (auto _ : state) {
        bool allowed = rated_by_hand.allow();
        benchmark::DoNotOptimize(allowed);
        rated_by_hand.record(false);
    }
    state.SetItemsProcessed(state.iterations());
}
BENCHMARK(rate_call_by_hand)
    ->Name("breaker/circuit_breaker/rate_of_100_calls/mutex_deque")
    ->ThreadRange(1, 2)
    ->UseRealTime();

// By a turn, so that no clock is measured.
void rate_in_time_call(benchmark::State& state) {
    Random bits{Seed{1}};
    Turn turn{Instant{}, bits};
    for (auto _ : state) {
        turn.now += 1us;
        auto permit = rated_in_time.acquire(turn);
        benchmark::DoNotOptimize(permit);
        permit.success(turn);
    }
    state.SetItemsProcessed(state.iterations());
}
BENCHMARK(rate_in_time_call)
    ->Name("breaker/circuit_breaker/rate_of_60_seconds/belay")
    ->ThreadRange(1, 2)
    ->UseRealTime();

// The cost of a rejected call.
void rejected_call(benchmark::State& state) {
    CircuitBreaker breaker{ConsecutiveFailures{1}, OpenFor{forever}};
    breaker.acquire().failure();
    Random bits{Seed{1}};
    Turn turn{Instant{}, bits};
    for (auto _ : state) benchmark::DoNotOptimize(breaker.acquire(turn));
    state.SetItemsProcessed(state.iterations());
}
BENCHMARK(rejected_call)->Name("breaker/circuit_breaker/rejected/belay");

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
BENCHMARK(value_call)->Name("breaker/breaker/admit_succeeded/belay");

}  // namespace
