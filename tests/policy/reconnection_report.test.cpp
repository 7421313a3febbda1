// SPDX-License-Identifier: MIT
// Goal: check::reconnection finds policies whose clients dial at the same time, or do not connect
// again. Method: planted mistakes for each rule, each with a near miss; golden figures by seed.
#include <belay/policy/stability_check.hpp>

#include <belay/backoff/backoff.hpp>
#include <belay/backoff/jitters.hpp>
#include <belay/breaker/breaker.hpp>
#include <belay/budget/budgets.hpp>
#include <belay/policy/rules.hpp>
#include <belay/policy/shared.hpp>

#include <memory>

#include "support/catch.hpp"

using namespace belay;
using namespace std::chrono_literals;
using check::ReconnectionLoad;
using check::ReconnectionReport;
using check::StabilityRule;

namespace {

constexpr ReconnectionLoad few_clients{.clients = 1000, .outage = 120s, .recovery = 60s};
const Policy spread_dials{Backoff{FullJitter{}, Cap{30s}, 1s}, ResetWhenStable{10s}};

}  // namespace

TEST_CASE("check::reconnection has the same figures for the same seed on every platform",
          "[policy][reconnection_report][golden]") {
    const ReconnectionReport report = check::reconnection(spread_dials, few_clients);
    CHECK(report.dials == 12'630);
    CHECK(report.first_peak == 1261);
    CHECK(report.later_peak == 83);
    CHECK(report.later_peak_max == 107);
    CHECK(report.return_peak == 77);
    CHECK(report.back_after == 27'415'527'439ns);
    CHECK(report.longest_wait == 29'998'980'247ns);
    CHECK(report.gave_up == 0);
    CHECK(report.dials_by_second.size() == 180);
    ReconnectionLoad other = few_clients;
    other.seed = Seed{2};
    CHECK(check::reconnection(spread_dials, other).dials != report.dials);
}

TEST_CASE("check::reconnection breaks no rule with full jitter",
          "[policy][reconnection_report][unit]") {
    CHECK(check::reconnection(spread_dials).broken() == std::nullopt);
    CHECK(check::reconnection(spread_dials, few_clients).broken() == std::nullopt);
}

TEST_CASE("check::reconnection reports clients that dial at the same time",
          "[policy][reconnection_report][fault]") {
    const Policy together{Backoff{NoJitter{}, Cap{30s}, 1s}};
    CHECK(check::reconnection(together, few_clients).broken() == StabilityRule::dials_stay_spread);
    CHECK(check::reconnection(together, few_clients).later_peak == 1000);
    // Each client opens its own breaker at about the same time, and no rule jitters the open wait.
    const Policy breaker{Backoff{FullJitter{}, Cap{30s}, 10ms},
                         Breaker{ConsecutiveFailures{5}, OpenFor{40s}}};
    CHECK(check::reconnection(breaker, few_clients).broken() == StabilityRule::dials_stay_spread);
    // A single client cannot dial at the same time as another.
    ReconnectionLoad single = few_clients;
    single.clients = 1;
    CHECK(check::reconnection(together, single).broken() == std::nullopt);
}

TEST_CASE("check::reconnection reports clients that do not connect again",
          "[policy][reconnection_report][fault]") {
    const Policy gives_up{spread_dials, MaxAttempts{5}};
    const auto report = check::reconnection(gives_up, few_clients);
    CHECK(report.broken() == StabilityRule::clients_return);
    CHECK(report.gave_up == 1000);
    CHECK(report.back_after == forever);
    // The near miss: enough attempts for the outage.
    CHECK(check::reconnection(Policy{spread_dials, MaxElapsed{181s}}, few_clients).broken() ==
          std::nullopt);
}

TEST_CASE("check::reconnection finds that connections that share only a budget connect again",
          "[policy][reconnection_report][regression]") {
    // Each of these budgets is empty soon after the loss, and gains no tokens while no attempt
    // succeeds.
    struct OfTokens {
        TokenBudget budget{TokenBudgetOptions::aws()};
        auto policy() { return Policy{spread_dials, Shared{budget, AskAgain{15s}}}; }
    };
    struct OfGrpc {
        TokenBudget budget{TokenBudgetOptions::grpc(10, 100)};
        auto policy() { return Policy{spread_dials, Shared{budget, AskAgain{15s}}}; }
    };
    struct WithoutFloor {
        RatioBudget budget{{.retries_per_thousand = 200, .at_least = 0}};
        auto policy() { return Policy{spread_dials, Shared{budget, AskAgain{15s}}}; }
    };
    const auto judge = [](auto make, std::uint32_t processes) {
        const ReconnectionLoad load{
            .clients = 300, .processes = processes, .outage = 120s, .recovery = 60s};
        const ReconnectionReport report = check::reconnection(make, load);
        INFO("back after " << report.back_after.count() << " ns");
        CHECK(report.broken() == std::nullopt);
        // The empty budget avoids dials.
        CHECK(report.dials < check::reconnection(spread_dials, load).dials * 8 / 10);
    };
    for (const std::uint32_t processes : {1U, 20U}) {
        INFO("processes: " << processes);
        judge([] { return std::make_unique<OfGrpc>(); }, processes);
        judge([] { return std::make_unique<WithoutFloor>(); }, processes);
    }
    judge([] { return std::make_unique<OfTokens>(); }, 1);
}

TEST_CASE("check::reconnection ends early if the clients dial at full speed",
          "[policy][reconnection_report][unit]") {
    ReconnectionLoad fast = few_clients;
    fast.latency = 1ms;
    const auto report = check::reconnection(StopOn{Cause::permanent}, fast);
    CHECK(report.ended_early);
    CHECK(report.broken() == StabilityRule::clients_return);
}

TEST_CASE("ReconnectionReport::broken permits each figure at its limit",
          "[policy][reconnection_report][unit]") {
    const ReconnectionReport at_limits{
        .longest_wait = 10s, .later_peak = 100, .later_peak_max = 100, .back_after = 10s + 20ms};
    CHECK(at_limits.broken() == std::nullopt);
    ReconnectionReport report = at_limits;
    report.later_peak = 101;
    CHECK(report.broken() == StabilityRule::dials_stay_spread);
    report = at_limits;
    report.back_after = 10s + 20ms + 1ns;
    CHECK(report.broken() == StabilityRule::clients_return);
}

TEST_CASE("ReconnectionLoad::check returns a message for each field that is out of range",
          "[policy][reconnection_report][unit]") {
    STATIC_REQUIRE(ReconnectionLoad{}.check().empty());
    CHECK_FALSE(ReconnectionLoad{.clients = 0}.check().empty());
    CHECK_FALSE(ReconnectionLoad{.clients = 1'000'001}.check().empty());
    CHECK_FALSE(ReconnectionLoad{.processes = 0}.check().empty());
    CHECK_FALSE(ReconnectionLoad{.outage = 0s}.check().empty());
    CHECK_FALSE(ReconnectionLoad{.outage = 1500ms}.check().empty());
    CHECK_FALSE(ReconnectionLoad{.recovery = 25h}.check().empty());
    CHECK_FALSE(ReconnectionLoad{.latency = 0ns}.check().empty());
}

TEST_CASE("root_of returns the integer part of a square root",
          "[policy][reconnection_report][unit]") {
    STATIC_REQUIRE(belay::detail::root_of(0) == 0);
    STATIC_REQUIRE(belay::detail::root_of(15) == 3);
    STATIC_REQUIRE(belay::detail::root_of(16) == 4);
    STATIC_REQUIRE(belay::detail::root_of(~std::uint64_t{0}) == 0xFFFFFFFF);
}
