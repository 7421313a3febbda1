// SPDX-License-Identifier: MIT
// What a chaos::Layer that is switched off adds to a call: to the bare call, and to a pipeline that has another layer.
#include <belay/call/chaos.hpp>

#include <benchmark/benchmark.h>

#include <belay/breaker/circuit_breaker.hpp>
#include <belay/call/pipeline.hpp>
#include <belay/policy/shared.hpp>

using namespace belay;
using namespace std::chrono_literals;

namespace {

struct StandingTime {
    [[nodiscard]] Instant now() const noexcept { return Instant{1000s}; }
    [[nodiscard]] Random& bits() noexcept { return random; }
    void sleep_until(Instant, const auto&) noexcept {}

    Random random{Seed{1}};
};

[[gnu::noinline]] bool answer_of(std::uint64_t& calls) {
    benchmark::DoNotOptimize(++calls);
    return true;
}

void bare_call(benchmark::State& state) {
    std::uint64_t calls = 0;
    for (auto _ : state) {
        bool result = answer_of(calls);
        benchmark::DoNotOptimize(result);
    }
    state.SetItemsProcessed(state.iterations());
}

template <class... Layers>
void through(benchmark::State& state, const Layers&... layers) {
    const Pipeline pipeline{layers...};
    StandingTime time;
    std::uint64_t calls = 0;
    for (auto _ : state) {
        auto result = pipeline(time, [&] { return answer_of(calls); });
        benchmark::DoNotOptimize(result);
    }
    state.SetItemsProcessed(state.iterations());
}

void layer_alone(benchmark::State& state) {
    chaos::Faults faults{{.failures_per_thousand = 500}, Seed{7}};
    through(state, chaos::Layer{faults});
}
void breaker_and_layer(benchmark::State& state) {
    chaos::Faults faults{{.failures_per_thousand = 500}, Seed{7}};
    CircuitBreaker breaker{ConsecutiveFailures{5}, OpenFor{30s}};
    through(state, Shared{breaker}, chaos::Layer{faults});
}
void breaker_only(benchmark::State& state) {
    CircuitBreaker breaker{ConsecutiveFailures{5}, OpenFor{30s}};
    through(state, Shared{breaker});
}

BENCHMARK(layer_alone)->Name("call/chaos/switched_off/belay");
BENCHMARK(bare_call)->Name("call/chaos/switched_off/bare_call");
BENCHMARK(breaker_and_layer)->Name("call/chaos/switched_off_in_a_pipeline/belay");
BENCHMARK(breaker_only)->Name("call/chaos/switched_off_in_a_pipeline/without_the_layer");

}  // namespace
