// SPDX-License-Identifier: MIT
// Goal: the metrics of a breaker have all its numbers, also while threads change it. Method:
// structured bindings that name each member; calls by hand; many concurrent calls, to be run under
// TSan.
#include <belay/breaker/breaker_metrics.hpp>

#include <atomic>
#include <thread>
#include <vector>

#include <belay/core/clocks.hpp>

#include "support/catch.hpp"
#include "support/metrics/collected.hpp"

using namespace belay;
using namespace std::chrono_literals;
using belay_test::Collected;

TEST_CASE("visit_metrics passes each member of BreakerCounters", "[breaker][metrics][unit]") {
    BreakerCounters counters;
    auto& [successes, failures, rejected, probes, lost, stale, opened, reopened, closed,
           would_open] = counters;
    belay_test::check_each_member_visited(counters, successes, failures, rejected, probes, lost,
                                          stale, opened, reopened, closed, would_open);
}

TEST_CASE("visit_metrics passes the state and the mode of a CircuitBreaker",
          "[breaker][metrics][unit]") {
    ManualClock clock;
    CircuitBreaker breaker{ConsecutiveFailures{1}, OpenFor{10s}, clock.view()};
    CHECK(Collected{breaker}["breaker.state.closed"] == 1);
    breaker.acquire().failure();
    static_cast<void>(breaker.acquire());  // rejected
    const Collected open{breaker};
    CHECK(open["breaker.state.open"] == 1);
    CHECK(open["breaker.state.closed"] == 0);
    CHECK(open["breaker.mode.automatic"] == 1);
    CHECK(open["breaker.failures"] == 1);
    CHECK(open["breaker.rejected"] == 1);
    CHECK(open["breaker.opened"] == 1);
    breaker.set_mode(BreakerMode::metrics_only);
    CHECK(Collected{breaker}["breaker.mode.metrics_only"] == 1);
}

TEST_CASE("visit_metrics shows every state and mode by a text of its own",
          "[breaker][metrics][unit]") {
    ManualClock clock;
    CircuitBreaker breaker{ConsecutiveFailures{1}, OpenFor{10s}, clock.view()};
    for (const auto mode : {BreakerMode::automatic, BreakerMode::forced_open, BreakerMode::disabled,
                            BreakerMode::metrics_only}) {
        breaker.set_mode(mode);
        const Collected collected{breaker};
        CHECK(collected["breaker.mode." + std::string{to_string(mode)}] == 1);
        CHECK_FALSE(collected.has("breaker.mode.unknown"));
        CHECK_FALSE(collected.has("breaker.state.unknown"));
    }
    CHECK(to_string(static_cast<BreakerMode>(99)) == "unknown");
}

TEST_CASE("Page::add of a breaker may run while other threads use the breaker",
          "[breaker][metrics][threads]") {
    CircuitBreaker breaker{ConsecutiveFailures{3}, OpenFor{1us}};
    std::atomic<bool> done{false};
    std::vector<std::thread> callers;
    for (int i = 0; i < 2; ++i) {
        callers.emplace_back([&breaker, &done, i] {
            for (int call = 0; !done.load() || call < 100; ++call) {
                if (auto permit = breaker.acquire()) {
                    if ((call + i) % 4 == 0) {
                        permit.success();
                    } else {
                        permit.failure();
                    }
                }
            }
        });
    }
    std::uint64_t last = 0;
    bool rises = true;
    for (int scrape = 0; scrape < 200; ++scrape) {
        metrics::Page page;
        rises = rises && page.add("storm", breaker);
        std::string text;
        to_prometheus(text, page);
        const auto read = belay_test::parse_exposition(text);
        const auto found = read.samples.find("belay_breaker_failures_total{breaker=\"storm\"}");
        rises = rises && read.fault.empty() && found != read.samples.end();
        if (!rises) break;
        const std::uint64_t failures = std::stoull(found->second);
        rises = failures >= last;
        last = failures;
    }
    done = true;
    for (std::thread& caller : callers) caller.join();
    CHECK(rises);
}
