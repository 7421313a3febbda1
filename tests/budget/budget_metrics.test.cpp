// SPDX-License-Identifier: MIT
// Goal: the metrics of budgets and limits show the remaining amounts, also while threads change
// them. Method: permits by hand; threads.
#include <belay/budget/budget_metrics.hpp>

#include <atomic>
#include <thread>

#include <belay/budget/cubic_rate.hpp>
#include <belay/core/random.hpp>

#include "support/catch.hpp"
#include "support/metrics/collected.hpp"
#include "support/shorthand.hpp"

using namespace belay;
using namespace std::chrono_literals;
using belay_test::Collected;

TEST_CASE("visit_metrics passes the remaining amount of each budget", "[budget][metrics][unit]") {
    Random bits{Seed{1}};
    Turn turn{belay_test::at(0s), bits};
    TokenBudget tokens{
        {.capacity_milli = 2500, .retry_cost_milli = 1000, .timeout_cost_milli = 1000}};
    const auto retry = tokens.reserve(Cause::lost, turn);
    CHECK(Collected{tokens}["token_budget.tokens"] == 1500);
    CHECK(Collected{tokens}["token_budget.capacity"] == 2500);
    metrics::Page page;
    REQUIRE(page.add("api", tokens));
    std::string text;
    to_prometheus(text, page);
    CHECK(text.find("belay_token_budget_tokens{token_budget=\"api\"} 1.5\n") != std::string::npos);

    RatioBudget ratio{{.at_least = 10}};
    const auto planned = ratio.reserve(Cause::lost, turn);
    CHECK(Collected{metrics::At{ratio, turn.now}}["ratio_budget.left"] == 9);

    AdaptiveThrottle throttle;
    for (int i = 0; i < 9; ++i) static_cast<void>(throttle.acquire(turn).failure(turn));
    const Collected rejected{metrics::At{throttle, turn.now}};
    CHECK(rejected["throttle.rejected_ratio"] == throttle.rejected_per_thousand(turn.now));
    CHECK(rejected["throttle.rejected_ratio"] > 0);

    AdaptiveThrottle::CubicRate rate;
    CHECK(Collected{rate}["cubic_rate.rate"] == 0);
    for (int second = 0; second < 5; ++second) {
        Turn then{belay_test::at(std::chrono::seconds{second}), bits};
        static_cast<void>(rate.acquire(then).failure(Failure{.cause = Cause::overloaded}, then));
    }
    CHECK(Collected{rate}["cubic_rate.rate"] == rate.rate_milli());
    CHECK(Collected{rate}["cubic_rate.rate"] > 0);

    AdaptiveLimit limit;
    const auto attempt = limit.acquire(turn);
    CHECK(Collected{limit}["adaptive_limit.in_flight"] == 1);
    CHECK(Collected{limit}["adaptive_limit.limit"] == limit.limit());
}

TEST_CASE("Page::add of budgets may run while another thread uses them",
          "[budget][metrics][threads]") {
    TokenBudget tokens;
    RatioBudget ratio;
    AdaptiveThrottle throttle;
    AdaptiveThrottle::CubicRate rate;
    AdaptiveLimit limit;
    std::atomic<bool> done{false};
    std::thread caller{[&] {
        Random bits{Seed{1}};
        for (int call = 0; !done.load() || call < 100; ++call) {
            Turn turn{belay_test::at(std::chrono::milliseconds{call}), bits};
            const auto a = tokens.reserve(Cause::lost, turn);
            const auto b = ratio.reserve(Cause::lost, turn);
            static_cast<void>(throttle.acquire(turn).failure(turn));
            static_cast<void>(
                rate.acquire(turn).failure(Failure{.cause = Cause::overloaded}, turn));
            const auto c = limit.acquire(turn);
        }
    }};
    bool added = true;
    for (int scrape = 0; scrape < 200; ++scrape) {
        metrics::Page page;
        added = page.add("a", tokens) && page.add("a", limit) && page.add("a", rate) &&
                page.add("a", metrics::At{ratio, belay_test::at(1s)}) &&
                page.add("a", metrics::At{throttle, belay_test::at(1s)}) && added;
    }
    done = true;
    caller.join();
    CHECK(added);
}
