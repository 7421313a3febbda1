// SPDX-License-Identifier: MIT
// What a service in a fleet costs, beside a supervisor alone, and what its next attempt costs where
// many others wait, beside a scan of all deadlines. A program of its own, since it replaces
// operator new to count.
#include <belay/fleet/fleet.hpp>

#include <memory>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>

#include <belay/backoff/backoff.hpp>
#include <belay/backoff/caps.hpp>
#include <belay/backoff/jitters.hpp>
#include <belay/policy/rules.hpp>
#include <belay/posix.hpp>

#include "support/counting_new.hpp"

using namespace belay;
using namespace std::chrono_literals;

namespace {

constexpr std::size_t many = 100'000;

auto policy() { return Policy{Backoff{FullJitter{}, Cap{30s}, 1s, Seed{1}}, ResetWhenStable{10s}}; }

double each(std::int64_t bytes) { return static_cast<double>(bytes) / double{many}; }

/// Of a service with a name that is idle: neither its loop nor its timers know of it.
void idle_service(benchmark::State& state) {
    for (auto _ : state) {
        posix::Loop loop;
        Fleet fleet;
        fleet.attach(Waker{});
        const belay_test::Counting counting;
        for (std::size_t i = 0; i < many; ++i) {
            fleet.add("service " + std::to_string(i), posix::Tcp{loop, {"127.0.0.1", 1}}, policy());
        }
        while (fleet.deadline() <= Instant{}) fleet.advance(Instant{});
        state.counters["bytes_each"] = each(counting.held());
        if (fleet.deadline() != never) state.SkipWithError("an idle fleet woke up");
    }
}
BENCHMARK(idle_service)->Name("fleet/fleet/idle/belay")->Iterations(1);

void idle_supervisor(benchmark::State& state) {
    for (auto _ : state) {
        posix::Loop loop;
        using Alone = Supervisor<posix::Tcp<>, decltype(policy())>;
        std::vector<std::unique_ptr<Alone>> all(many);
        const belay_test::Counting counting;
        for (auto& one : all) {
            one = std::make_unique<Alone>(posix::Tcp{loop, {"127.0.0.1", 1}}, policy());
        }
        state.counters["bytes_each"] = each(counting.held());
    }
}
BENCHMARK(idle_supervisor)->Name("fleet/fleet/idle/supervisor")->Iterations(1);

/// Nobody is there.
struct Refused {
    using message_type = int;
    struct Connection {
        SendResult send(int) noexcept { return SendResult::down; }
    };
    std::size_t* dials;
    Connection open(const Link<int>& link) {
        ++*dials;
        static_cast<void>(link.closed({.cause = Cause::refused}));
        return {};
    }
};

/// A failed attempt, of one of those that all wait for theirs.
void attempt_in_fleet(benchmark::State& state) {
    const auto n = static_cast<std::size_t>(state.range(0));
    std::size_t dials = 0;
    Fleet fleet{{.dials_max = n, .hold = 0s}};
    fleet.attach(Waker{});
    for (std::size_t i = 0; i < n; ++i) fleet.add(std::to_string(i), Refused{&dials}, policy());
    fleet.start();
    Instant now{};
    const auto attempt = [&] {
        const std::size_t before = dials;
        while (dials == before) {
            now = detail::larger(now, fleet.deadline());
            fleet.advance(now);
        }
    };
    while (now < Instant{60s}) attempt();
    dials = 0;
    for (auto _ : state) attempt();
    state.SetItemsProcessed(static_cast<std::int64_t>(dials));
}
BENCHMARK(attempt_in_fleet)
    ->Name("fleet/fleet/attempt/belay")
    ->ArgName("services")
    ->RangeMultiplier(10)
    ->Range(1000, 100'000);

void attempt_by_scan(benchmark::State& state) {
    const auto n = static_cast<std::size_t>(state.range(0));
    using Alone = Supervisor<Refused, decltype(policy())>;
    std::size_t dials = 0;
    std::vector<std::unique_ptr<Alone>> all(n);
    for (auto& one : all) one = std::make_unique<Alone>(Refused{&dials}, policy());
    for (auto& one : all) one->start();
    Instant now{};
    // Those that have not begun are due at once; then one after the other.
    for (auto& one : all) one->advance(now);
    dials = 0;
    for (auto _ : state) {
        const std::size_t before = dials;
        while (dials == before) {
            Alone* first = all[0].get();
            for (auto& one : all) {
                if (one->deadline() < first->deadline()) first = one.get();
            }
            now = detail::larger(now, first->deadline());
            first->advance(now);
        }
    }
    state.SetItemsProcessed(static_cast<std::int64_t>(dials));
}
BENCHMARK(attempt_by_scan)
    ->Name("fleet/fleet/attempt/scan")
    ->ArgName("services")
    ->RangeMultiplier(10)
    ->Range(1000, 100'000);

}  // namespace
