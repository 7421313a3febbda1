// SPDX-License-Identifier: MIT
// What a wait costs: beside the generator's bare draw, and beside what a user would write by hand.
#include <belay/backoff/backoff.hpp>

#include <algorithm>
#include <cmath>
#include <random>

#include <benchmark/benchmark.h>

#include <belay/backoff/jitters.hpp>
#include <belay/breaker/breaker.hpp>
#include <belay/policy/policy.hpp>
#include <belay/policy/rules.hpp>

using namespace belay;
using namespace std::chrono_literals;

namespace {

// A backoff waits between attempts: its state is in memory, not in registers. ClobberMemory says
// so, to all of them alike.

void generator_draw(benchmark::State& state) {
    Random bits{Seed{1}};
    benchmark::DoNotOptimize(&bits);
    for (auto _ : state) {
        benchmark::DoNotOptimize(bits());
        benchmark::ClobberMemory();
    }
    state.SetItemsProcessed(state.iterations());
}
BENCHMARK(generator_draw)->Name("backoff/backoff/full_jitter_draw/generator");

void backoff_next(benchmark::State& state) {
    Backoff backoff{FullJitter{}, Cap{30s}, 1s, Seed{1}};
    benchmark::DoNotOptimize(&backoff);
    for (auto _ : state) {
        benchmark::DoNotOptimize(backoff.next());
        benchmark::ClobberMemory();
    }
    state.SetItemsProcessed(state.iterations());
}
BENCHMARK(backoff_next)->Name("backoff/backoff/full_jitter_draw/belay");

void standard_draw(benchmark::State& state) {
    std::mt19937 bits{1};
    std::uint64_t attempts = 0;
    benchmark::DoNotOptimize(&bits);
    benchmark::DoNotOptimize(&attempts);
    for (auto _ : state) {
        const double nominal =
            1e9 * static_cast<double>(1ULL << std::min<std::uint64_t>(attempts, 30));
        const auto ceiling = static_cast<std::int64_t>(std::min(nominal, 30e9));
        ++attempts;
        benchmark::DoNotOptimize(std::uniform_int_distribution<std::int64_t>{0, ceiling}(bits));
        benchmark::ClobberMemory();
    }
    state.SetItemsProcessed(state.iterations());
}
BENCHMARK(standard_draw)->Name("backoff/backoff/full_jitter_draw/standard_library");

template <class Jitter>
void jitter_next(benchmark::State& state) {
    Backoff backoff{Jitter{}, Cap{30s}, 1s, Seed{1}};
    benchmark::DoNotOptimize(&backoff);
    for (auto _ : state) {
        benchmark::DoNotOptimize(backoff.next());
        benchmark::ClobberMemory();
    }
    state.SetItemsProcessed(state.iterations());
}
BENCHMARK(jitter_next<SmoothJitter>)->Name("backoff/backoff/smooth_jitter_draw/belay");
BENCHMARK(jitter_next<DecorrelatedJitter>)->Name("backoff/backoff/decorrelated_jitter_draw/belay");

// The formula as it is published, in floating point; it clamps where ours shrinks.
void formula_draw(benchmark::State& state) {
    std::mt19937 bits{1};
    double attempts = 0;
    double before = 0;
    benchmark::DoNotOptimize(&bits);
    benchmark::DoNotOptimize(&attempts);
    benchmark::DoNotOptimize(&before);
    for (auto _ : state) {
        const double t = attempts + std::uniform_real_distribution<double>{}(bits);
        const double here = std::exp2(t) * std::tanh(std::sqrt(4 * t));
        const double wait = std::min((here - before) / 1.4 * 1e9, 30e9);
        before = here;
        attempts = std::min(attempts + 1, 1000.0);
        benchmark::DoNotOptimize(static_cast<std::int64_t>(wait));
        benchmark::ClobberMemory();
    }
    state.SetItemsProcessed(state.iterations());
}
BENCHMARK(formula_draw)->Name("backoff/backoff/smooth_jitter_draw/standard_library");

// A whole failed attempt through three rules.
void policy_attempt(benchmark::State& state) {
    Policy policy{Backoff{FullJitter{}, Cap{30s}, 1s},
                  Breaker{ConsecutiveFailures{5}, OpenFor{300s}}, MaxAttempts{~std::uint64_t{0}}};
    Random bits{Seed{1}};
    Turn turn{Instant{}, bits};
    for (auto _ : state) {
        benchmark::DoNotOptimize(policy.admit(turn.now));
        benchmark::DoNotOptimize(policy.begin(turn));
        turn.now = policy.failed(Failure{Cause::lost}, turn).until;
    }
    state.SetItemsProcessed(state.iterations());
}
BENCHMARK(policy_attempt)->Name("policy/policy/failed_attempt/belay");

}  // namespace
