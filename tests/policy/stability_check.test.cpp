// SPDX-License-Identifier: MIT
// Goal: check::stability finds each kind of policy that makes an outage worse, and accepts others.
// Method: planted mistakes for each rule, each with a near miss; golden figures by seed.
#include <belay/policy/stability_check.hpp>

#include <memory>

#include <belay/backoff/backoff.hpp>
#include <belay/breaker/circuit_breaker.hpp>
#include <belay/budget/budgets.hpp>
#include <belay/policy/rules.hpp>
#include <belay/policy/shared.hpp>

#include "support/catch.hpp"

using namespace belay;
using namespace std::chrono_literals;
using check::StabilityLoad;
using check::StabilityReport;
using check::StabilityRule;

namespace {

// A fifth of the usual load, with all calls in one process: enough for the rules.
constexpr StabilityLoad small_load{
    .calls_per_second = 200, .processes = 1, .server = {.capacity_per_second = 300}};

// The usual load, for less time.
constexpr StabilityLoad short_load{
    .phases = {
        .steady = 5s, .outage = 20s, .recovery = 10s, .errors = 10s, .slow = 5s, .brown_out = 10s}};

[[nodiscard]] StabilityLoad without_bound(StabilityLoad load) {
    load.server.queue_wait_max = forever;
    return load;
}

// A process with one object that all of its calls share.
template <class Object, class... Rules>
struct StabilityProcess {
    template <class Terms>
    StabilityProcess(Terms terms, Rules... rules)
        : object{terms}, whole{Shared{object}, rules...} {}
    [[nodiscard]] auto policy() const { return whole; }
    Object object;
    Policy<Shared<Object>, Rules...> whole;
};
template <class Object, class Terms, class... Rules>
auto processes_with(Terms terms, Rules... rules) {
    return [=] { return std::make_unique<StabilityProcess<Object, Rules...>>(terms, rules...); };
}

const Backoff usual_backoff{FullJitter{}, Cap{10s}, 100ms};

// Waits until one instant for all callers, or until a random time up to `spread` after it.
struct WaitUntil {
    Instant at;
    Duration spread{};
    [[nodiscard]] Advice failed(const Failure&, Turn& turn) const noexcept {
        if (turn.now >= at) return Advice::stop();
        const auto upto = static_cast<std::uint64_t>(spread.count());
        return Advice::wait_at_least(
            after(at, Duration{static_cast<std::int64_t>(uniform_upto(turn.bits, upto))}));
    }
};

// Rejects all calls of the process for a time after each failure.
struct BlockAfterFailure {
    Duration how_long;
    std::shared_ptr<Instant> until = std::make_shared<Instant>(always);
    [[nodiscard]] Advice admit(Instant now) const noexcept {
        return now < *until ? Advice::stop() : Advice::go();
    }
    [[nodiscard]] Advice failed(const Failure&, Turn& turn) const noexcept {
        *until = after(turn.now, how_long);
        return Advice::stop();
    }
};

}  // namespace

TEST_CASE("check::stability has the same figures for the same seed on every platform",
          "[policy][stability_check][golden]") {
    const StabilityReport report =
        check::stability(Policy{usual_backoff, MaxAttempts{4}}, small_load);
    CHECK(report.offered == 50'068);
    CHECK(report.sent == 103'141);
    CHECK(report.good == 32'938);
    CHECK(report.outage_peak_per_thousand == 4420);
    CHECK(report.return_peak_per_thousand == 1455);
    CHECK(report.trouble_peak_per_thousand == 4235);
    CHECK(report.back_after == 0s);
    CHECK(report.brown_out_good == 983);
    CHECK(report.brown_out_good_once == 983);
    CHECK(report.longest_wait == 399'957'989ns);
    CHECK(report.longest_call == 1'234'534'374ns);
    CHECK(report.sent_by_second.size() == 250);

    StabilityLoad other = small_load;
    other.seed = Seed{2};
    CHECK(check::stability(Policy{usual_backoff, MaxAttempts{4}}, other).sent != report.sent);
    CHECK(check::stability(Policy{usual_backoff, MaxAttempts{4}}, small_load).sent == report.sent);
}

TEST_CASE("check::stability breaks no rule with one attempt per call, on both forms of the server",
          "[policy][stability_check][unit]") {
    CHECK(check::stability(MaxAttempts{1}, short_load).broken() == std::nullopt);
    CHECK(check::stability(MaxAttempts{1}, without_bound(short_load)).broken() == std::nullopt);
}

TEST_CASE("check::stability reports retries that multiply the load of an outage",
          "[policy][stability_check][fault]") {
    const auto report = check::stability(Policy{usual_backoff, MaxAttempts{4}}, short_load);
    CHECK(report.broken() == StabilityRule::calls_stay_bounded_in_the_outage);
    CHECK(report.outage_peak_per_thousand > 3900);
    CHECK(report.outage_peak_per_thousand < 4300);
    // The near miss: a budget of 20 % of the calls that are under way.
    const auto envoy =
        processes_with<RatioBudget>(RatioBudgetOptions::envoy(), usual_backoff, MaxAttempts{4});
    CHECK(check::stability(envoy, short_load).broken() == std::nullopt);
    StabilityLoad strict = short_load;
    strict.peak_per_thousand_max = 1200;
    CHECK(check::stability(envoy, strict).broken() ==
          StabilityRule::calls_stay_bounded_in_the_outage);
}

TEST_CASE("check::stability reports callers that return at one instant",
          "[policy][stability_check][fault]") {
    const Instant later = Instant{} + 95s;
    const auto herd = check::stability(WaitUntil{later}, small_load);
    CHECK(herd.broken() == StabilityRule::calls_stay_bounded_at_the_return);
    CHECK(herd.return_peak_per_thousand > 50'000);
    CHECK_FALSE(herd.ended_early);
    // The near miss: the same callers return over seven minutes.
    CHECK(check::stability(WaitUntil{later, 420s}, small_load).broken() == std::nullopt);
}

TEST_CASE("check::stability reports a shared breaker whose waiting callers return in one open wait",
          "[policy][stability_check][regression]") {
    CircuitBreaker breaker{ConsecutiveFailures{5}, OpenFor{30s}};
    const auto report = check::stability(
        Policy{usual_backoff, Shared{breaker}, MaxAttempts{4}, MaxElapsed{30s}}, small_load);
    CHECK(report.outage_peak_per_thousand < 1300);
    CHECK(report.broken() == StabilityRule::calls_stay_bounded_at_the_return);
    // Before Shared spread them, all callers returned in one second: 30 times the load.
    CHECK(report.return_peak_per_thousand <= 2500);
}

TEST_CASE("check::stability reports retries that multiply the load of a brown-out or of errors",
          "[policy][stability_check][fault]") {
    const Policy insists{usual_backoff, StopOn::all_but(Cause::overloaded), MaxAttempts{4}};
    CHECK(check::stability(insists, short_load).broken() ==
          StabilityRule::calls_stay_bounded_in_trouble);
    // The near miss: errors of 10 % are repeated once.
    const Policy once_more{usual_backoff, StopOn::all_but(Cause::lost), MaxAttempts{2}};
    CHECK(check::stability(once_more, short_load).broken() == std::nullopt);
    StabilityLoad many_errors = short_load;
    many_errors.server.errors_per_thousand = 500;
    CHECK(check::stability(once_more, many_errors).broken() ==
          StabilityRule::calls_stay_bounded_in_trouble);
}

TEST_CASE("check::stability reports goodput that does not return",
          "[policy][stability_check][fault]") {
    StabilityLoad load = small_load;
    load.brown_out_per_thousand_min = 0;
    const auto blocks = check::stability(BlockAfterFailure{40s}, load);
    CHECK(blocks.broken() == StabilityRule::goodput_returns);
    CHECK(blocks.back_after > 1s);
    // The near miss: the process is blocked for less than the resolution.
    CHECK(check::stability(BlockAfterFailure{700ms}, load).broken() == std::nullopt);

    SECTION("because of retries that keep a server without a bounded queue overloaded") {
        load.peak_per_thousand_max = 1'000'000;
        load.phases.recovery = 20s;
        const auto storm = check::stability(usual_backoff, without_bound(load));
        CHECK(storm.broken() == StabilityRule::goodput_returns);
        CHECK(storm.back_after == forever);
        CHECK(check::stability(usual_backoff, load).broken() == std::nullopt);
    }
}

TEST_CASE("check::stability reports a policy that loses goodput in a brown-out",
          "[policy][stability_check][fault]") {
    const BlockAfterFailure blocks{700ms};
    const auto report = check::stability(blocks, small_load);
    CHECK(report.broken() == StabilityRule::brown_out_keeps_goodput);
    CHECK(report.brown_out_good < report.brown_out_good_once);
}

TEST_CASE("check::stability ends early if the callers never stop",
          "[policy][stability_check][unit]") {
    // A policy that repeats at full speed.
    const auto report = check::stability(StopOn{Cause::permanent}, small_load);
    CHECK(report.ended_early);
    CHECK(report.broken() == StabilityRule::calls_stay_bounded_in_the_outage);
    CHECK(report.back_after == forever);
}

TEST_CASE("check::stability returns all permits at the end of the run",
          "[policy][stability_check][unit]") {
    TokenBudget budget{{.capacity_milli = 1'000'000, .failure_cost_milli = 0}};
    static_cast<void>(
        check::stability(Policy{Backoff{FullJitter{}, Cap{60s}, 60s}, Shared{budget}}, small_load));
    CHECK(budget.tokens_milli() <= 1'000'000);
    // All permits were returned, or the destructor would abort the program.
    CircuitBreaker breaker{ConsecutiveFailures{5}, OpenFor{3600s}};
    const auto report = check::stability(Policy{usual_backoff, Shared{breaker}}, small_load);
    CHECK(report.back_after == forever);
    CHECK(report.broken() == StabilityRule::goodput_returns);
    CHECK(report.longest_call > 200s);
}
