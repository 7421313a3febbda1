// SPDX-License-Identifier: MIT
// What a policy costs the model of check::stability, for each attempt: beside the same server and
// calls without a policy, each of which is one attempt. A call of four attempts has more events.
#include <belay/policy/stability_check.hpp>

#include <string>
#include <utility>
#include <vector>

#include <benchmark/benchmark.h>

#include <belay/backoff/backoff.hpp>
#include <belay/budget/budgets.hpp>
#include <belay/policy/rules.hpp>
#include <belay/policy/shared.hpp>

using namespace belay;
using namespace std::chrono_literals;

namespace {

// Plays the calls as the model does, but asks nobody when a call may be sent or repeated.
std::uint64_t play_by_hand(const check::StabilityLoad& load) {
    const detail::StabilityTimes times{load.phases};
    const Instant end = times.start(detail::StabilityPhase::over);
    detail::StabilityServer server{load, times};
    detail::StabilityEvents events;
    Random bits{load.seed};
    std::vector<Cause> verdicts;
    std::vector<std::uint32_t> free;
    std::uint64_t sent = 0;
    std::uint64_t good = 0;
    const std::uint64_t gap = 2'000'000'000U / load.calls_per_second;
    for (Instant now{}; now < end;
         now = after(now, Duration{static_cast<std::int64_t>(uniform_upto(bits, gap))})) {
        while (events.due(now)) {
            const std::uint32_t index = events.pop().index();
            if (verdicts[index] == Cause::none) ++good;
            free.push_back(index);
        }
        if (free.empty()) {
            free.push_back(static_cast<std::uint32_t>(verdicts.size()));
            verdicts.emplace_back();
        }
        const std::uint32_t index = free.back();
        free.pop_back();
        const detail::StabilityVerdict verdict = server.take(now, load.timeout);
        verdicts[index] = verdict.cause;
        events.push(verdict.at, index);
        ++sent;
    }
    benchmark::DoNotOptimize(good);
    return sent;
}

void run_by_hand(benchmark::State& state) {
    std::uint64_t sent = 0;
    for (auto _ : state) sent += play_by_hand({});
    state.SetItemsProcessed(static_cast<std::int64_t>(sent));
}

template <class P>
void run_policy(benchmark::State& state, const P& policy) {
    std::uint64_t sent = 0;
    for (auto _ : state) {
        detail::StabilityModel<P> model{{}, {&policy}};
        sent += model.play().sent;
    }
    state.SetItemsProcessed(static_cast<std::int64_t>(sent));
}
void run_one(benchmark::State& state) {
    run_policy(state, Policy{Backoff{FullJitter{}, Cap{5s}, 100ms}, MaxAttempts{1}});
}
void run_budget(benchmark::State& state) {
    TokenBudget budget{TokenBudgetOptions::grpc(10, 100)};
    run_policy(state,
               Policy{Backoff{FullJitter{}, Cap{5s}, 100ms}, Shared{budget}, MaxAttempts{4}});
}
void run_four(benchmark::State& state) {
    run_policy(state, Policy{Backoff{FullJitter{}, Cap{5s}, 100ms}, MaxAttempts{4}});
}
void name(const char* operation, void (*run)(benchmark::State&), const char* implementation) {
    benchmark::RegisterBenchmark(
        (std::string{"policy/stability/"} + operation + implementation).c_str(), run)
        ->Unit(benchmark::kMillisecond);
}
[[maybe_unused]] const bool registered = [] {
    const std::pair<const char*, void (*)(benchmark::State&)> operations[] = {
        {"attempt", run_one}, {"attempt_with_budget", run_budget}, {"attempt_of_four", run_four}};
    for (const auto& [operation, run] : operations) {
        name(operation, run_by_hand, "/no_policy");
        name(operation, run, "/belay");
    }
    return true;
}();

}  // namespace
