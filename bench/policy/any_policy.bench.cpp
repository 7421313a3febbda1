// SPDX-License-Identifier: MIT
// What it costs that a policy is known only at run time: beside the same policy as a type.
#include <belay/policy/any_policy.hpp>

#include <benchmark/benchmark.h>

#include <belay/backoff/backoff.hpp>
#include <belay/call/retry.hpp>
#include <belay/policy/rules.hpp>

using namespace belay;
using namespace std::chrono_literals;

namespace {

// Waits take no time: only the decisions are measured.
class VirtualSleeper {
public:
    [[nodiscard]] Instant now() const noexcept { return now_; }
    [[nodiscard]] Random& bits() noexcept { return bits_; }
    template <class Stop>
    void sleep_until(Instant until, const Stop&) noexcept {
        now_ = until;
    }

private:
    Instant now_{};
    Random bits_{Seed{1}};
};

auto usual_policy() {
    return Policy{Backoff{FullJitter{}, Cap{10s}, 100ms},
                  StopOn{Cause::permanent, Cause::forbidden, Cause::unauthorized}, MaxElapsed{30s},
                  MaxAttempts{5}};
}

template <class P>
void run_policy(benchmark::State& state, const P& policy) {
    const auto failures = static_cast<int>(state.range(0));
    VirtualSleeper sleeper;
    for (auto _ : state) {
        int calls = 0;
        benchmark::DoNotOptimize(&calls);
        auto done = retry(policy, sleeper, [&](const Attempt&) { return calls++ == failures; });
        benchmark::DoNotOptimize(done);
    }
    state.SetItemsProcessed(state.iterations());
}

void run_static(benchmark::State& state) { run_policy(state, usual_policy()); }
void run_any(benchmark::State& state) { run_policy(state, policies::AnyPolicy{usual_policy()}); }
BENCHMARK(run_static)
    ->Name("policy/any_policy/run/static_policy")
    ->ArgName("failures")
    ->Arg(0)
    ->Arg(3);
BENCHMARK(run_any)->Name("policy/any_policy/run/belay")->ArgName("failures")->Arg(0)->Arg(3);

}  // namespace
