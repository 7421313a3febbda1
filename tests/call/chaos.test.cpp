// SPDX-License-Identifier: MIT
// Goal: faults are injected at their rates, seeded, counted and reported, and nothing happens while
// they are off. Method: pipelines in virtual time, blocking and as coroutines; threads.
#include <belay/call/chaos.hpp>

#include <algorithm>
#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include <belay/backoff/backoff.hpp>
#include <belay/backoff/caps.hpp>
#include <belay/backoff/jitters.hpp>
#include <belay/breaker/circuit_breaker.hpp>
#include <belay/call/layers.hpp>
#include <belay/call/pipeline.hpp>
#include <belay/call/pipeline_task.hpp>
#include <belay/call/retry_outcome.hpp>
#include <belay/core/stop_source.hpp>
#include <belay/policy/policy.hpp>
#include <belay/policy/rules.hpp>
#include <belay/policy/shared.hpp>

#include "support/call/async_sleeper.hpp"
#include "support/catch.hpp"
#include "support/default_member.hpp"
#include "support/shorthand.hpp"

using namespace belay;
using namespace std::chrono_literals;

namespace {

using ChaosSleeper = belay_test::AsyncSleeper;

/// Calls through a pipeline, blocking or as a coroutine, and counts the calls of the function.
struct ChaosCaller {
    bool awaits = false;
    ChaosSleeper sleeper{};
    int calls = 0;

    bool operator()(const auto& pipeline) {
        if (!awaits)
            return pipeline(sleeper, [this](Attempt) { return ++calls, true; }).has_value();
        const auto counts = [this]() -> Task<bool> {
            ++calls;
            co_return true;
        };
        return belay_test::await(pipeline, sleeper, counts).has_value();
    }
};

struct InjectedNotes {
    std::vector<chaos::Injected>& all;
    void on_injected(const chaos::Injected& fault) { all.push_back(fault); }
};

struct WronglyNotedFault : NoObserver {
    void on_injected(chaos::Injected&);
};
static_assert(detail::PipelineHooks::Fault::right<InjectedNotes>);
static_assert(!detail::PipelineHooks::Fault::right<WronglyNotedFault>);

struct ChaosResponse {
    int code = 200;
};

}  // namespace

TEST_CASE("chaos::Layer injects nothing while its Faults are off", "[call][chaos][unit]") {
    const bool awaits = GENERATE(false, true);
    CAPTURE(awaits);
    chaos::Faults faults{{.failures_per_thousand = 1000, .delays_per_thousand = 1000, .delay = 1s}};
    const Pipeline pipeline{chaos::Layer{faults}};
    ChaosCaller call{awaits};
    CHECK_FALSE(faults.is_on());
    CHECK(call(pipeline));
    faults.switch_on();
    CHECK_FALSE(call(pipeline));
    faults.switch_off();
    CHECK(call(pipeline));
    CHECK(call.calls == 2);
    CHECK(faults.counters() == chaos::Counters{.delays = 1, .failures = 1});
    CHECK(call.sleeper.now() == belay_test::at(1s));
}

TEST_CASE("chaos::Layer at 1000 per thousand fails every call without making it",
          "[call][chaos][unit]") {
    const bool awaits = GENERATE(false, true);
    CAPTURE(awaits);
    chaos::Faults faults{{.failures_per_thousand = 1000}};
    faults.switch_on();
    const Pipeline pipeline{Retrying{Policy{Backoff{NoJitter{}, Cap{1ms}, 1ms}, MaxAttempts{3}}},
                            chaos::Layer{faults}};
    ChaosCaller call{awaits};
    for (int i = 0; i < 100; ++i) CHECK_FALSE(call(pipeline));
    CHECK(call.calls == 0);
    CHECK(faults.counters().failures == 300);
    faults.set({});
    CHECK(call(pipeline));
    CHECK(faults.counters().failures == 300);
}

static_assert(belay_test::DefaultMember<chaos::Faults>);

TEST_CASE("chaos::Layer injects at its rate, and the same faults for the same seed",
          "[call][chaos][property]") {
    const auto failed = [](Seed seed) {
        chaos::Faults faults{{.failures_per_thousand = 250}, seed};
        faults.switch_on();
        const Pipeline pipeline{chaos::Layer{faults}};
        ChaosCaller call;
        std::string all;
        for (int i = 0; i < 4000; ++i) all += call(pipeline) ? '.' : 'F';
        CHECK(faults.counters().failures ==
              static_cast<std::uint64_t>(std::count(all.begin(), all.end(), 'F')));
        return all;
    };
    const std::string faults = failed(Seed{7});
    CHECK(faults == failed(Seed{7}));
    CHECK(faults != failed(Seed{8}));
    // 1000 are expected, with a standard deviation of 27.
    const auto count = std::count(faults.begin(), faults.end(), 'F');
    CHECK(count > 850);
    CHECK(count < 1150);
}

TEST_CASE("chaos::Layer fails with the error of its options, else with CallErrc::injected",
          "[call][chaos][unit]") {
    ChaosSleeper sleeper;
    chaos::Faults faults{{.failures_per_thousand = 1000}};
    faults.switch_on();
    const Pipeline pipeline{chaos::Layer{faults}};
    const auto call = [&] { return pipeline(sleeper, [] { return true; }).error(); };
    CHECK(call() == CallErrc::injected);
    const auto reset = std::make_error_code(std::errc::connection_reset);
    faults.set({.failures_per_thousand = 1000, .failure = Failure::from(reset)});
    CHECK(call() == reset);
}

TEST_CASE("chaos::Layer delays a call, at most until its deadline", "[call][chaos][unit]") {
    const bool awaits = GENERATE(false, true);
    CAPTURE(awaits);
    chaos::Faults faults{{.delays_per_thousand = 1000, .delay = 3s}};
    faults.switch_on();
    ChaosCaller call{awaits};
    CHECK(call(Pipeline{chaos::Layer{faults}}));
    CHECK(call.sleeper.now() == belay_test::at(3s));
    CHECK(call.calls == 1);
    const Pipeline limited{Timeout{2s}, chaos::Layer{faults}};
    if (awaits) {
        CHECK_FALSE(call(limited));
    } else {
        const auto result = limited(call.sleeper, [](Attempt) { return true; });
        CHECK(result.error() == std::errc::timed_out);
    }
    CHECK(call.sleeper.now() == belay_test::at(5s));
    CHECK(call.calls == 1);
}

TEST_CASE("chaos::Layer makes no call after a stop in its delay", "[call][chaos][regression]") {
    for (const Duration delay : {Duration{5s}, forever}) {
        chaos::Faults faults{{.delays_per_thousand = 1000, .delay = delay}};
        faults.switch_on();
        ChaosSleeper sleeper;
        int calls = 0;
        const StopSource stop;
        const Pipeline pipeline{chaos::Layer{faults}};
        auto task = pipeline(
            sleeper,
            [&calls]() -> Task<bool> {
                ++calls;
                co_return true;
            },
            stop.token());
        task.start();
        CHECK_FALSE(task.done());
        stop.request_stop();
        sleeper.run();
        REQUIRE(task.done());
        CHECK(task.take().error() == CallErrc::stopped);
        CHECK(calls == 0);
        CHECK(sleeper.now() == Instant{});
    }
}

TEST_CASE("chaos::Layer reports no failure or result that a deadline prevents",
          "[call][chaos][regression]") {
    const bool awaits = GENERATE(false, true);
    CAPTURE(awaits);
    chaos::Faults faults{{.failures_per_thousand = 1000, .delays_per_thousand = 1000, .delay = 3s}};
    faults.switch_on();
    ChaosSleeper sleeper;
    std::vector<chaos::Injected> all;
    const auto call = [&](const auto& pipeline) {
        if (awaits) {
            auto task = pipeline(
                sleeper, []() -> Task<bool> { co_return true; }, NeverStops{}, InjectedNotes{all});
            task.start();
            sleeper.run();
            return task.take().error();
        } else {
            return pipeline(
                       sleeper, [](Attempt) { return true; }, NeverStops{}, InjectedNotes{all})
                .error();
        }
    };
    const auto kinds = [&] {
        std::vector<chaos::Injected::Kind> found;
        for (const chaos::Injected& fault : std::exchange(all, {})) found.push_back(fault.kind);
        return found;
    };
    using Kind = chaos::Injected::Kind;
    CHECK(call(Pipeline{Timeout{2s}, chaos::Layer{faults}}) == std::errc::timed_out);
    CHECK(kinds() == std::vector{Kind::delay});
    CHECK(faults.counters() == chaos::Counters{.delays = 1});
    // The deadline is after the delay: the failure is injected at the end of the delay.
    CHECK(call(Pipeline{Timeout{4s}, chaos::Layer{faults}}) == CallErrc::injected);
    CHECK(kinds() == std::vector{Kind::delay, Kind::failure});
    CHECK(faults.counters() == chaos::Counters{.delays = 2, .failures = 1});
    faults.set({.delays_per_thousand = 1000, .delay = 3s, .results_per_thousand = 1000});
    const chaos::Layer answers{faults, [] { return true; }};
    CHECK(call(Pipeline{Timeout{2s}, answers}) == std::errc::timed_out);
    CHECK(kinds() == std::vector{Kind::delay});
    CHECK(faults.counters() == chaos::Counters{.delays = 3, .failures = 1});
}

TEST_CASE("chaos::Layer reports no failure that a stop prevents", "[call][chaos][regression]") {
    chaos::Faults faults{{.failures_per_thousand = 1000, .delays_per_thousand = 1000, .delay = 3s}};
    faults.switch_on();
    ChaosSleeper sleeper;
    std::vector<chaos::Injected> all;
    const StopSource stop;
    const Pipeline pipeline{chaos::Layer{faults}};
    auto task = pipeline(
        sleeper, []() -> Task<bool> { co_return true; }, stop.token(), InjectedNotes{all});
    task.start();
    stop.request_stop();
    sleeper.run();
    REQUIRE(task.done());
    CHECK(task.take().error() == CallErrc::stopped);
    CHECK(all.size() == 1);
    CHECK(faults.counters() == chaos::Counters{.delays = 1});
}

TEST_CASE("chaos::Layer injects a result that is judged like one of the call",
          "[call][chaos][unit]") {
    ChaosSleeper sleeper;
    chaos::Faults faults{{.results_per_thousand = 1000}};
    const Pipeline pipeline{chaos::Layer{faults, [] { return ChaosResponse{503}; }}};
    const auto ask = [&] {
        return pipeline(sleeper, fails_if([] { return ChaosResponse{}; },
                                          [](const ChaosResponse& r) { return r.code >= 500; }));
    };
    CHECK(ask().value().code == 200);
    faults.switch_on();
    CircuitBreaker breaker{ConsecutiveFailures{1}, OpenFor{30s}};
    const Pipeline guarded{Shared{breaker},
                           chaos::Layer{faults, [] { return ChaosResponse{503}; }}};
    const auto answer =
        guarded(sleeper, fails_if([] { return ChaosResponse{}; },
                                  [](const ChaosResponse& r) { return r.code >= 500; }));
    CHECK_FALSE(answer);
    CHECK(breaker.counters().failures == 1);
    CHECK(faults.counters() == chaos::Counters{.results = 1});
    // The same call as a coroutine.
    const auto awaited =
        belay_test::await(pipeline, sleeper,
                          fails_if([]() -> Task<ChaosResponse> { co_return ChaosResponse{}; },
                                   [](const ChaosResponse& r) { return r.code >= 500; }));
    CHECK_FALSE(awaited);
    CHECK(faults.counters().results == 2);
}

TEST_CASE("A breaker opens because of injected failures", "[call][chaos][unit]") {
    const bool awaits = GENERATE(false, true);
    CAPTURE(awaits);
    chaos::Faults faults{{.failures_per_thousand = 1000}};
    faults.switch_on();
    CircuitBreaker breaker{ConsecutiveFailures{3}, OpenFor{30s}};
    const Pipeline pipeline{Shared{breaker}, chaos::Layer{faults}};
    ChaosCaller call{awaits};
    for (int i = 0; i < 10; ++i) CHECK_FALSE(call(pipeline));
    CHECK(breaker.counters().opened == 1);
    CHECK(faults.counters().failures == 3);
    CHECK(call.calls == 0);
}

TEST_CASE("The observer of a Pipeline is notified that a fault was injected",
          "[call][chaos][observer]") {
    ChaosSleeper sleeper;
    chaos::Faults faults{{.failures_per_thousand = 1000, .delays_per_thousand = 1000, .delay = 1s}};
    const Pipeline pipeline{Timeout{5s}, chaos::Layer{faults}};
    std::vector<chaos::Injected> all;
    const auto call = [&] {
        static_cast<void>(pipeline(
            sleeper, [](Attempt) { return true; }, NeverStops{}, InjectedNotes{all}));
    };
    call();
    CHECK(all.empty());
    faults.switch_on();
    call();
    REQUIRE(all.size() == 2);
    CHECK(all[0].kind == chaos::Injected::Kind::delay);
    CHECK(all[1].kind == chaos::Injected::Kind::failure);
    CHECK(all[1].attempt.number == 1);
}

TEST_CASE("chaos::Faults may be switched and changed while other threads call",
          "[call][chaos][threads]") {
    chaos::Faults faults{{.failures_per_thousand = 500}};
    const Pipeline pipeline{chaos::Layer{faults}};
    std::atomic<std::uint64_t> failed{0};
    std::vector<std::thread> callers;
    for (int i = 0; i < 2; ++i) {
        callers.emplace_back([&] {
            ChaosSleeper sleeper;
            for (int call = 0; call < 2000; ++call) {
                if (!pipeline(sleeper, [] { return true; })) ++failed;
            }
        });
    }
    for (int i = 0; i < 500; ++i) {
        faults.switch_on();
        faults.set({.failures_per_thousand = static_cast<std::uint32_t>(i)});
        faults.switch_off();
    }
    for (std::thread& caller : callers) caller.join();
    CHECK(faults.counters().failures == failed.load());
}

TEST_CASE("chaos::Options::check names the option that is wrong", "[call][chaos][unit]") {
    CHECK(chaos::Options{}.check().empty());
    CHECK_FALSE(chaos::Options{.failures_per_thousand = 1001}.check().empty());
    CHECK_FALSE(chaos::Options{.delays_per_thousand = 1001}.check().empty());
    CHECK_FALSE(chaos::Options{.results_per_thousand = 1001}.check().empty());
    CHECK_FALSE(chaos::Options{.delay = -1s}.check().empty());
    CHECK_FALSE(chaos::Options{.failure = {}}.check().empty());
}
