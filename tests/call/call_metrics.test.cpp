// SPDX-License-Identifier: MIT
// Goal: the metrics of retries, rate limiters and bulkheads have all their numbers, also while
// threads change them. Method: structured bindings that name each member; calls by hand; threads.
#include <belay/call/call_metrics.hpp>

#include <atomic>
#include <thread>
#include <vector>

#include "support/catch.hpp"
#include "support/metrics/collected.hpp"
#include "support/shorthand.hpp"

using namespace belay;
using namespace std::chrono_literals;
using belay_test::Collected;

TEST_CASE("visit_metrics passes each member of RetryCounters and PermitCounters",
          "[call][metrics][unit]") {
    RetryCounters retries;
    auto& [attempts, again, successes, rejections, give_ups, waited] = retries;
    belay_test::check_each_member_visited(retries, attempts, again, successes, rejections, give_ups,
                                          waited);
    PermitCounters permits;
    auto& [admitted, rejected, entered, left] = permits;
    belay_test::check_each_member_visited(permits, admitted, rejected, entered, left);
}

TEST_CASE("visit_metrics passes waits of retries in seconds", "[call][metrics][unit]") {
    RetryCounters retries;
    retries.on_retry({.wait = 1500ms});
    metrics::Page page;
    REQUIRE(page.add("api", retries));
    std::string text;
    to_prometheus(text, page);
    CHECK(text.find("belay_retry_wait_seconds_total{retry=\"api\"} 1.5\n") != std::string::npos);
}

TEST_CASE("visit_metrics passes the calls under way of a Bulkhead, and the counts of a RateLimiter",
          "[call][metrics][unit]") {
    Bulkhead bulkhead{{.limit = 1}};
    const auto permit = bulkhead.acquire(belay_test::at(0s));
    static_cast<void>(bulkhead.acquire(belay_test::at(0s)));
    const Collected of_bulkhead{bulkhead};
    CHECK(of_bulkhead["bulkhead.running"] == 1);
    CHECK(of_bulkhead["bulkhead.waiting"] == 0);
    CHECK(of_bulkhead["bulkhead.admitted"] == 1);
    CHECK(of_bulkhead["bulkhead.rejected"] == 1);
    RateLimiter limiter{Rate{1, 1s}, Burst{1}};
    static_cast<void>(limiter.acquire(belay_test::at(0s)));
    static_cast<void>(limiter.acquire(belay_test::at(0s)));
    const Collected of_limiter{limiter};
    CHECK(of_limiter["rate_limiter.admitted"] == 1);
    CHECK(of_limiter["rate_limiter.rejected"] == 1);
    CHECK(of_limiter["rate_limiter.waiting"] == 0);
}

TEST_CASE("Page::add of permits may run while other threads use them", "[call][metrics][threads]") {
    Bulkhead bulkhead{{.limit = 1}};
    RateLimiter limiter{Rate{1'000'000, 1s}, Burst{10}};
    std::atomic<bool> done{false};
    std::vector<std::thread> callers;
    for (int i = 0; i < 2; ++i) {
        callers.emplace_back([&] {
            for (int call = 0; !done.load() || call < 100; ++call) {
                const auto now = belay_test::at(std::chrono::microseconds{call});
                const auto running = bulkhead.acquire(now);
                const auto spent = limiter.acquire(now);
            }
        });
    }
    bool added = true;
    for (int scrape = 0; scrape < 200; ++scrape) {
        metrics::Page page;
        added = page.add("storm", bulkhead) && page.add("storm", limiter) && added;
    }
    done = true;
    for (std::thread& caller : callers) caller.join();
    CHECK(added);
    CHECK(Collected{bulkhead}["bulkhead.running"] == 0);
}
