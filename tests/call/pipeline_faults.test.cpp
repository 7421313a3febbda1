// SPDX-License-Identifier: MIT
// Goal: however a call in a pipeline of many layers ends, every permit and every slot in a queue is
// returned, and callers get answers again once the faults are over. Method: random pipelines, calls
// that fail, throw or hang, callers that stop waiting, and limits that change, in virtual time.
#include <belay/call/pipeline_task.hpp>

#include <memory>
#include <optional>
#include <vector>

#include <belay/backoff/backoff.hpp>
#include <belay/backoff/jitters.hpp>
#include <belay/breaker/circuit_breaker.hpp>
#include <belay/budget/adaptive_limit.hpp>
#include <belay/budget/budgets.hpp>
#include <belay/call/chaos.hpp>
#include <belay/call/hedge.hpp>
#include <belay/call/layers.hpp>
#include <belay/call/limiters.hpp>
#include <belay/policy/rules.hpp>
#include <belay/policy/shared.hpp>

#include "support/call/async_sleeper.hpp"
#include "support/call/sleeper_clock.hpp"
#include "support/catch.hpp"

using namespace belay;
using namespace std::chrono_literals;
using belay_test::AsyncSleeper;
using belay_test::SleeperClock;

namespace {

struct CallThrew {};

/// The objects that the layers share, and the peer of the calls.
struct FaultyCalls {
    explicit FaultyCalls(std::uint64_t seed) : random{Seed{seed}} { faults.switch_on(); }

    std::uint64_t some(std::uint64_t most) { return uniform_upto(random, most); }
    Duration some_ms(std::uint64_t most) { return std::chrono::milliseconds{some(most)}; }
    std::uint32_t one_to(std::uint32_t most) {
        return 1 + static_cast<std::uint32_t>(some(most - 1));
    }
    void pass(Duration time) { sleeper.run_until(after(sleeper.now(), time)); }

    struct UnderWay {
        explicit UnderWay(int& c) : count{c} { ++count; }
        ~UnderWay() { --count; }
        int& count;
    };
    Task<Result<int>> ask() {
        const UnderWay counted{under_way};
        const Duration time = some_ms(is_well ? 20 : 1500);
        if (some(3) != 0) co_await sleeper.async_sleep_until(after(sleeper.now(), time));
        if (!is_well) {
            const std::uint64_t fault = some(9);
            if (fault < 4) co_return std::make_error_code(std::errc::connection_reset);
            if (fault == 4) throw CallThrew{};
            if (fault == 5) co_await sleeper.async_sleep_until(never);
        }
        co_return 1;
    }
    /// Changes one of the limits, as an operator may do at any time.
    void change_limits() {
        switch (some(40)) {
            case 0:
                return bulkhead.set_limit(one_to(5));
            case 1:
                return limiter.set_rate(sleeper.now(), Rate{one_to(30), 1s}, Burst{one_to(6)});
            case 2:
                return limit.set_algorithm(Aimd{{.initial = one_to(8), .least = 1, .most = 20}});
            case 3:
                return breaker.set_rules(ConsecutiveFailures{one_to(6)}, OpenFor{1s},
                                         {.probe_timeout = 5s});
            default:
                return;
        }
    }
    void mend() {
        is_well = true;
        faults.switch_off();
        bulkhead.set_limit(3);
        limiter.set_rate(sleeper.now(), Rate{20, 1s}, Burst{5});
    }

    AsyncSleeper sleeper{};
    Random random;
    bool is_well = false;
    int under_way = 0;
    CircuitBreaker<SleeperClock> breaker{ConsecutiveFailures{5}, OpenFor{2s},
                                         SleeperClock{&sleeper},
                                         HalfOpenOptions{.probes = 2, .probe_timeout = 20s}};
    Bulkhead bulkhead{{.limit = 3, .queue = 5}};
    RateLimiter limiter{Rate{20, 1s}, Burst{5}, 4};
    AdaptiveLimit<> limit{Aimd{{.initial = 6, .least = 1, .most = 30}}};
    TokenBudget tokens{};
    RatioBudget ratio{};
    chaos::Faults faults{{.failures_per_thousand = 200, .delays_per_thousand = 200, .delay = 700ms},
                         Seed{3}};
};

template <class Pipeline>
void try_out(FaultyCalls& calls, const Pipeline& pipeline) {
    const auto begin = [&](const StopToken& stop) {
        auto task = pipeline(
            calls.sleeper, [&calls](Attempt) { return calls.ask(); }, stop);
        task.start();
        return task;
    };
    using Call = decltype(begin(StopToken{}));
    const auto answered = [](Call& call) {
        try {
            return call.take().has_value();
        } catch (const CallThrew&) {
            return false;
        }
    };
    {
        std::vector<Call> open;
        std::vector<std::unique_ptr<StopSource>> stops;
        for (int i = 0; i < 200; ++i) {
            for (std::uint64_t n = calls.some(3); n != 0; --n) {
                stops.push_back(std::make_unique<StopSource>());
                open.push_back(begin(stops.back()->token()));
            }
            calls.pass(calls.some_ms(300));
            std::erase_if(open, [](const Call& call) { return call.done(); });
            if (!open.empty() && calls.some(2) == 0) {
                open.erase(open.begin() + static_cast<std::ptrdiff_t>(calls.some(open.size() - 1)));
            }
            if (!stops.empty() && calls.some(4) == 0) {
                stops[calls.some(stops.size() - 1)]->request_stop();
            }
            calls.change_limits();
        }
    }
    CHECK(calls.under_way == 0);
    CHECK(calls.bulkhead.running() == 0);
    CHECK(calls.bulkhead.waiting() == 0);
    CHECK(calls.limiter.waiting() == 0);
    CHECK(calls.limit.in_flight() == 0);
    CHECK(calls.sleeper.waiting() == 0);

    calls.mend();
    int in_row = 0;
    for (int i = 0; i < 150; ++i) {
        Call call = begin(StopToken{});
        calls.pass(200ms);
        in_row = call.done() && answered(call) ? in_row + 1 : 0;
    }
    // 30 s have passed, and all calls of the last 20 s have succeeded.
    CHECK(in_row >= 100);
}

auto retries(auto&... rules) {
    return Policy{Backoff{FullJitter{}, Cap{1s}, 50ms}, Shared{rules}..., MaxAttempts{4},
                  MaxElapsed{5s}};
}

}  // namespace

TEST_CASE("Pipeline returns all permits, and recovers, after failures, timeouts and cancellations",
          "[call][pipeline_faults][property]") {
    for (std::uint64_t seed = 1; seed <= 8; ++seed) {
        INFO(seed);
        {
            FaultyCalls c{seed};
            try_out(c, Pipeline{Timeout{3s}, Retrying{retries(c.breaker, c.tokens)},
                                Hedge{200ms, 2, Shared{c.tokens}}, Queued{c.bulkhead}, Timeout{1s},
                                chaos::Layer{c.faults}});
        }
        {
            FaultyCalls c{seed};
            try_out(c, Pipeline{Shared{c.breaker}, Timeout{2s}, Queued{c.limiter},
                                Retrying{retries(c.ratio)}, Shared{c.limit}, Queued{c.bulkhead},
                                chaos::Layer{c.faults}, Hedge{100ms, 3}});
        }
        {
            FaultyCalls c{seed};
            try_out(c, Pipeline{Queued{c.bulkhead}, Hedge{50ms, 2}, Queued{c.limiter, 2},
                                Shared{c.breaker}, Shared{c.limit}, Timeout{500ms},
                                chaos::Layer{c.faults}});
        }
    }
}
