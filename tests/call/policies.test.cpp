// SPDX-License-Identifier: MIT
// Goal: each ready-made policy makes the documented number of calls and waits. Method: retry
// with a sleeper whose time is virtual; a fixed seed, and the bounds for many.
#include <belay/call/policies.hpp>

#include <algorithm>
#include <vector>

#include <belay/call/retry.hpp>
#include <belay/policy/stability_check.hpp>

#include "support/catch.hpp"
#include "support/shorthand.hpp"

using namespace belay;
using namespace std::chrono_literals;
using belay_test::lost;

namespace {

// A sleeper whose time passes only in sleeps. It records them, and requests a stop at the last one.
struct StoppingSleeper {
    Random random{Seed{1}};
    Instant time{};
    std::vector<Duration> waits{};
    std::size_t most = 1000;
    StopSource stop{};

    [[nodiscard]] Instant now() const noexcept { return time; }
    Random& bits() noexcept { return random; }
    template <class Stop>
    void sleep_until(Instant until, const Stop&) noexcept {
        waits.push_back(elapsed(time, until));
        if (waits.size() == most) return stop.request_stop();
        if (until > time) time = until;
    }
};

struct Observed {
    int calls = 0;
    std::vector<Duration> waits;
    Duration sum{};
};

// Runs `policy` against a call that always fails with `failure`.
template <class P>
Observed run(const P& policy, Failure failure, std::uint64_t seed, std::size_t most_waits = 1000) {
    StoppingSleeper sleeper{.random = Random{Seed{seed}}, .most = most_waits};
    Observed observed;
    const auto call = [&](Attempt) -> std::error_code {
        ++observed.calls;
        return failure.cause == Cause::overloaded  ? make_error_code(CallErrc::breaker_open)
               : failure.cause == Cause::permanent ? make_error_code(BackoffErrc::bad_base)
                                                   : make_error_code(CallErrc::call_failed);
    };
    static_cast<void>(retry(policy, sleeper, call, sleeper.stop.token()));
    observed.waits = sleeper.waits;
    for (const Duration wait : observed.waits) observed.sum += wait;
    return observed;
}

constexpr Failure overloaded{Cause::overloaded};
constexpr Failure permanent{Cause::permanent};

}  // namespace

TEST_CASE("policies::grpc_connection waits 1 s * 1.6^n to 120 s, +-20 %",
          "[call][policies][unit]") {
    for (std::uint64_t seed = 1; seed <= 200; ++seed) {
        const Observed observed = run(policies::grpc_connection(), lost, seed, 40);
        REQUIRE(observed.waits.size() == 40);
        CHECK(observed.calls == 40);  // without an end: the sleeper stopped it
        double nominal = 1e9;
        for (const Duration wait : observed.waits) {
            const auto ns = static_cast<double>(wait.count());
            CHECK(ns >= 0.8 * nominal - 1);
            CHECK(ns <= 1.2 * nominal + 1);
            nominal = std::min(nominal * 1.6, 120e9);
        }
    }
    STATIC_REQUIRE(policies::grpc_connection().attempt_limit() == 20s);
    STATIC_REQUIRE(policies::grpc_connection().stable_window() == 0s);
    CHECK(run(policies::grpc_connection(), lost, 7, 20).sum.count() == 1'411'420'380'418);
}

TEST_CASE("policies::aws_standard makes 3 attempts, and waits at most 3 s",
          "[call][policies][unit]") {
    Duration longest{};
    for (std::uint64_t seed = 1; seed <= 1000; ++seed) {
        TokenBudget quota{TokenBudgetOptions::aws()};
        const Observed observed = run(policies::aws_standard(quota), lost, seed);
        CHECK(observed.calls == 3);
        REQUIRE(observed.waits.size() == 2);
        CHECK(observed.waits[0] <= 1s);
        CHECK(observed.waits[1] <= 2s);
        if (observed.sum > longest) longest = observed.sum;
    }
    CHECK(longest > 2800ms);
    TokenBudget quota{TokenBudgetOptions::aws()};
    CHECK(run(policies::aws_standard(quota), lost, 7).sum.count() == 2'020'916'854);
    CHECK(run(policies::aws_standard(quota), permanent, 7).calls == 1);
}

TEST_CASE("policies::aws_standard makes no retries once the quota is spent",
          "[call][policies][unit]") {
    TokenBudget quota{{.capacity_milli = 15'000}};
    auto first = policies::aws_standard(quota);
    auto second = policies::aws_standard(quota);
    auto third = policies::aws_standard(quota);
    Random bits{Seed{1}};
    Turn turn{Instant{}, bits};
    const auto fails = [&](auto& policy) {
        CHECK(policy.begin(turn).verb == Advice::Verb::go);
        return policy.failed(lost, turn).verb;
    };
    CHECK(fails(first) == Advice::Verb::wait_at_least);
    CHECK(fails(second) == Advice::Verb::wait_at_least);
    CHECK(fails(third) == Advice::Verb::wait_at_least);
    auto fourth = policies::aws_standard(quota);
    CHECK(fails(fourth) == Advice::Verb::stop);
    CHECK(first.begin(turn).verb == Advice::Verb::go);
    first.succeeded(turn);
    CHECK(quota.tokens_milli() == 5'000);
}

TEST_CASE("policies::bridge and policies::sync with a budget retry only while it lasts",
          "[call][policies][unit]") {
    const auto checks = [](auto make, int calls) {
        TokenBudget plenty{TokenBudgetOptions::aws()};
        CHECK(run(make(plenty), lost, 7).calls == calls);
        CHECK(run(make(plenty), permanent, 7).calls == 1);
        TokenBudget spent{{.capacity_milli = 10'000}};
        CHECK(run(make(spent), lost, 7).calls == 3);
    };
    checks([](TokenBudget& budget) { return policies::bridge(budget); }, 5);
    checks([](TokenBudget& budget) { return policies::sync(budget); }, 4);
}

TEST_CASE("policies::bridge makes 5 attempts, and waits at most 1.5 s", "[call][policies][unit]") {
    for (std::uint64_t seed = 1; seed <= 500; ++seed) {
        const Observed observed = run(policies::bridge(), lost, seed);
        CHECK(observed.calls == 5);
        REQUIRE(observed.waits.size() == 4);
        for (std::size_t i = 0; i < 4; ++i) CHECK(observed.waits[i] <= 100ms * (1 << i));
        CHECK(observed.sum <= 1500ms);
    }
    CHECK(run(policies::bridge(), lost, 7).sum.count() == 905'229'259);
    // A permanent failure is not repeated.
    CHECK(run(policies::bridge(), permanent, 7).calls == 1);
}

TEST_CASE("policies::sync makes 3 retries, and waits at most 1.05 s", "[call][policies][unit]") {
    for (std::uint64_t seed = 1; seed <= 500; ++seed) {
        const Observed observed = run(policies::sync(), lost, seed);
        CHECK(observed.calls == 4);
        REQUIRE(observed.waits.size() == 3);
        for (std::size_t i = 0; i < 3; ++i) {
            CHECK(observed.waits[i] >= 100ms * (1 << i));
            CHECK(observed.waits[i] <= 150ms * (1 << i));
        }
        CHECK(observed.sum <= 1050ms);
    }
    CHECK(run(policies::sync(), lost, 7).sum.count() == 910'920'708);
    CHECK(run(policies::sync(), permanent, 7).calls == 1);
}

TEST_CASE("policies::sync succeeds if the store works again within 0.7 s",
          "[call][policies][regression]") {
    for (std::uint64_t seed = 1; seed <= 500; ++seed) {
        StoppingSleeper sleeper{.random = Random{Seed{seed}}};
        const auto heals = [&](Attempt) {
            return make_error_code(sleeper.time < after(Instant{}, 700ms) ? CallErrc::call_failed
                                                                          : CallErrc{});
        };
        CHECK_FALSE(retry(policies::sync(), sleeper, heals));
    }
}

TEST_CASE("policies::reconnection makes 10 attempts; from the fifth on the breaker sets the wait",
          "[call][policies][unit]") {
    for (std::uint64_t seed = 1; seed <= 500; ++seed) {
        const Observed observed = run(policies::reconnection(), lost, seed);
        CHECK(observed.calls == 10);
        REQUIRE(observed.waits.size() == 9);
        for (std::size_t i = 0; i < 4; ++i) {
            CHECK(observed.waits[i] >= 1s * (1 << i));
            CHECK(observed.waits[i] <= 1100ms * (1 << i));
        }
        for (std::size_t i = 4; i < 9; ++i) {
            CHECK(observed.waits[i] >= 300s);
            CHECK(observed.waits[i] <= 540s);
        }
    }
    CHECK(run(policies::reconnection(), lost, 7).sum.count() == 1'963'265'686'282);
    STATIC_REQUIRE(policies::reconnection().stable_window() == 10s);
    STATIC_REQUIRE(policies::reconnection().attempt_limit() == 25s);
}

TEST_CASE("policies::reconnection has made three hanging attempts within 90 s of the loss",
          "[call][policies][regression]") {
    for (std::uint64_t seed = 1; seed <= 500; ++seed) {
        auto policy = policies::reconnection();
        Random bits{Seed{seed}};
        Turn turn{Instant{}, bits};
        Advice advice = policy.lost(lost, turn);
        for (int attempt = 1; attempt <= 3; ++attempt) {
            turn.now = advice.until;
            REQUIRE(policy.begin(turn).verb == Advice::Verb::go);
            turn.now += policy.attempt_limit();
            advice = policy.failed(Failure{.cause = Cause::timed_out}, turn);
        }
        CHECK(elapsed(Instant{}, turn.now) <= 83s);
    }
}

TEST_CASE("policies::reconnection gives a Supervisor 10 attempts after a loss",
          "[call][policies][unit]") {
    auto policy = policies::reconnection();
    Random bits{Seed{1}};
    Turn turn{Instant{}, bits};
    Advice advice = policy.lost(lost, turn);
    int attempts = 0;
    while (advice.verb != Advice::Verb::stop) {
        CHECK(advice.until > turn.now);
        turn.now = advice.until;
        static_cast<void>(policy.begin(turn));
        ++attempts;
        advice = policy.failed(lost, turn);
    }
    CHECK(attempts == 10);
    CHECK(advice.by == "MaxAttempts");
    CHECK(elapsed(Instant{}, turn.now) >= 31s + 5 * 300s);
}

TEST_CASE("the open waits of policies::reconnection spread the probes of 10,000 clients",
          "[call][policies][regression]") {
    for (std::uint64_t seed = 1; seed <= 3; ++seed) {
        const check::ReconnectionReport report =
            check::reconnection(policies::reconnection(), {.seed = Seed{seed}});
        CHECK_FALSE(report.broken().has_value());
        CHECK(report.gave_up == 0);
    }
}

TEST_CASE("policies::connection waits under full jitter to 30 s, for ever",
          "[call][policies][unit]") {
    for (std::uint64_t seed = 1; seed <= 200; ++seed) {
        const Observed observed = run(policies::connection(), lost, seed, 40);
        REQUIRE(observed.waits.size() == 40);
        for (std::size_t i = 0; i < 40; ++i) {
            CHECK(observed.waits[i] <= (i < 5 ? Duration{1s} * (1 << i) : Duration{30s}));
        }
    }
    CHECK(run(policies::connection(), lost, 7, 20).sum.count() == 279'469'414'793);
    STATIC_REQUIRE(policies::connection().stable_window() == 10s);
}

TEST_CASE("policies::connection waits 5 to 15 s after each close with 'try again later'",
          "[call][policies][unit]") {
    Duration least = forever;
    Duration most{};
    for (std::uint64_t seed = 1; seed <= 200; ++seed) {
        const Observed observed = run(policies::connection(), overloaded, seed, 40);
        for (const Duration wait : observed.waits) {
            if (wait < least) least = wait;
            if (wait > most) most = wait;
        }
    }
    CHECK(least >= 5s);
    CHECK(least < 5020ms);
    CHECK(most <= 15s);
    CHECK(most > 14'980ms);

    // The failure counts: the next loss waits as the sixth.
    bool beyond_one_second = false;
    for (std::uint64_t seed = 1; seed <= 50; ++seed) {
        auto policy = policies::connection();
        Random bits{Seed{seed}};
        Turn turn{Instant{}, bits};
        for (int i = 0; i < 5; ++i) {
            CHECK(policy.failed(overloaded, turn).verb == Advice::Verb::wait_exactly);
        }
        const Advice next = policy.failed(lost, turn);
        CHECK(next.verb == Advice::Verb::wait_at_least);
        beyond_one_second = beyond_one_second || next.until > turn.now + 16s;
    }
    CHECK(beyond_one_second);
}
