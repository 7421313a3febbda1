// SPDX-License-Identifier: MIT
// Goal: tokens are neither lost nor created, on any path and by any thread; the options of gRPC
// and AWS are exact to the thousandth. Method: examples, properties and threads.
#include <belay/budget/budgets.hpp>

#include <atomic>
#include <thread>
#include <type_traits>
#include <vector>

#include <belay/backoff/backoff.hpp>
#include <belay/backoff/jitters.hpp>
#include <belay/call/retry.hpp>
#include <belay/policy/policy.hpp>
#include <belay/policy/rules.hpp>
#include <belay/policy/shared.hpp>

#include "support/aborts.hpp"
#include "support/archetypes.hpp"
#include "support/budget/granted.hpp"
#include "support/catch.hpp"

using namespace belay;
using namespace std::chrono_literals;
using belay_test::granted;

namespace {

constinit TokenBudget static_token_budget{TokenBudgetOptions::grpc(10, 100)};
using TokenPermit = TokenBudget::Permit;

// A budget that only lends tokens: permits return them, and none are gained or spent.
constexpr TokenBudgetOptions closed_terms{.capacity_milli = 10'000,
                                          .retry_cost_milli = 1'000,
                                          .timeout_cost_milli = 3'000,
                                          .success_gain_milli = 0};

struct TokenBench {
    Random bits{Seed{1}};
    Turn turn{Instant{}, bits};

    void call(TokenBudget& budget, bool works) {
        TokenPermit permit = budget.acquire(turn);
        works ? permit.success(turn) : static_cast<void>(permit.failure(turn));
    }
};

}  // namespace

static_assert(!std::is_move_constructible_v<TokenBudget> && sizeof(TokenBudget) <= 28);
static_assert(!std::is_copy_constructible_v<TokenPermit> && sizeof(TokenPermit) <= 24);
static_assert(std::is_nothrow_move_constructible_v<TokenPermit>);
static_assert(std::atomic<std::uint32_t>::is_always_lock_free);
static_assert(TokenBudgetOptions::aws() == TokenBudgetOptions{});
static_assert(TokenBudgetOptions::grpc(1000, 1).capacity_milli == 1'000'000);

TEST_CASE("TokenBudget may be a constant-initialized static", "[budget][token_budget][unit]") {
    CHECK(static_token_budget.tokens_milli() == 10'000);
    CHECK(static_token_budget.options() == TokenBudgetOptions::grpc(10, 100));
}

TEST_CASE("TokenBudget throttles retries as gRPC does", "[budget][token_budget][unit]") {
    // gRFC A6: retries stop when the count is at or below half, to the thousandth.
    TokenBench b;
    TokenBudget budget{TokenBudgetOptions::grpc(10, 100)};
    for (int i = 0; i < 4; ++i) b.call(budget, false);
    CHECK(budget.tokens_milli() == 6'000);
    CHECK(granted(budget.reserve(Cause::refused, b.turn)));
    b.call(budget, false);
    CHECK(budget.tokens_milli() == 5'000);
    const TokenPermit rejected = budget.reserve(Cause::refused, b.turn);
    CHECK_FALSE(rejected);
    CHECK(rejected.advice() == Advice::stop());
    CHECK(rejected.retry_at() == never);
    b.call(budget, true);
    CHECK(budget.tokens_milli() == 5'100);
    CHECK(granted(budget.reserve(Cause::refused, b.turn)));
    // The count is never below zero, and never above the capacity.
    for (int i = 0; i < 20; ++i) b.call(budget, false);
    CHECK(budget.tokens_milli() == 0);
    for (int i = 0; i < 51; ++i) b.call(budget, true);
    CHECK(budget.tokens_milli() == 5'100);
    for (int i = 0; i < 100; ++i) b.call(budget, true);
    CHECK(budget.tokens_milli() == 10'000);
}

TEST_CASE("TokenBudget keeps a fraction that is no reciprocal", "[budget][token_budget][unit]") {
    // Pitfall 18: a ratio of 0.7 kept as a whole number of calls per token would be 1.
    TokenBench b;
    TokenBudget budget{TokenBudgetOptions::grpc(10, 700)};
    for (int i = 0; i < 10; ++i) b.call(budget, false);
    for (int i = 0; i < 10; ++i) b.call(budget, true);
    CHECK(budget.tokens_milli() == 7'000);
}

TEST_CASE("TokenBudget charges and refunds as the AWS SDKs do", "[budget][token_budget][unit]") {
    TokenBench b;
    TokenBudget budget;
    CHECK(budget.tokens_milli() == 500'000);
    TokenPermit first = budget.reserve(Cause::overloaded, b.turn);
    CHECK(budget.tokens_milli() == 495'000);
    TokenPermit late = budget.reserve(Cause::timed_out, b.turn);
    CHECK(budget.tokens_milli() == 485'000);
    // A retry that succeeds returns its tokens, and gains no more.
    late.success(b.turn);
    CHECK(budget.tokens_milli() == 495'000);
    // A retry that fails does not return them.
    CHECK(first.failure(b.turn) == Advice::go());
    CHECK(budget.tokens_milli() == 495'000);
    // A call without a retry gains one token, and a failed one costs none.
    b.call(budget, true);
    b.call(budget, false);
    CHECK(budget.tokens_milli() == 496'000);
    std::vector<TokenPermit> held;
    while (budget.tokens_milli() >= 10'000)
        held.push_back(budget.reserve(Cause::timed_out, b.turn));
    CHECK(budget.tokens_milli() == 6'000);
    CHECK_FALSE(granted(budget.reserve(Cause::timed_out, b.turn)));
    CHECK(granted(budget.reserve(Cause::lost, b.turn)));
}

TEST_CASE("TokenBudget permits return the tokens that they hold, once",
          "[budget][token_budget][unit]") {
    TokenBench b;
    TokenBudget budget{closed_terms};
    {
        TokenPermit a = budget.reserve(Cause::lost, b.turn);
        TokenPermit moved = std::move(a);
        CHECK_FALSE(a);  // NOLINT(bugprone-use-after-move): the test of the moved-from permit
        a.neutral();
        CHECK(budget.tokens_milli() == 9'000);
        moved.neutral();
        moved.neutral();
        moved.success(b.turn);
        CHECK(budget.tokens_milli() == 10'000);
        TokenPermit c = budget.reserve(Cause::lost, b.turn);
        TokenPermit& same = c;
        c = std::move(same);
        CHECK(c);
        // Replacing a permit returns the old one.
        c = budget.reserve(Cause::timed_out, b.turn);
        CHECK(budget.tokens_milli() == 7'000);
    }
    CHECK(budget.tokens_milli() == 10'000);
    TokenPermit empty;
    empty.success(b.turn);
    CHECK(empty.failure(b.turn) == Advice::go());
    CHECK(empty.advice() == Advice::stop());
}

TEST_CASE("TokenBudget is charged before the wait, and its tokens are held during it",
          "[budget][token_budget][unit]") {
    // Pitfall 18, both parts.
    TokenBench b;
    TokenBudget budget{closed_terms};
    Policy policy{Backoff{NoJitter{}, Cap{1h}, 1h}, Shared{budget}};
    CHECK(policy.begin(b.turn).verb == Advice::Verb::go);
    CHECK(budget.tokens_milli() == 10'000);
    CHECK(policy.failed(Failure{Cause::timed_out}, b.turn).verb == Advice::Verb::wait_at_least);
    CHECK(budget.tokens_milli() == 7'000);
    b.turn.now += 1h;
    CHECK(policy.begin(b.turn).verb == Advice::Verb::go);
    CHECK(budget.tokens_milli() == 7'000);
    policy.succeeded(b.turn);
    CHECK(budget.tokens_milli() == 10'000);
}

TEST_CASE("TokenBudget stops a retry without a wait if there are too few tokens",
          "[budget][token_budget][unit]") {
    Random bits{Seed{1}};
    belay_test::MinimalSleeper sleeper{bits};
    TokenBudget budget{TokenBudgetOptions{
        .capacity_milli = 2'000, .retry_cost_milli = 1'000, .timeout_cost_milli = 1'000}};
    const Instant start = sleeper.now();
    int calls = 0;
    const Policy policy{Backoff{NoJitter{}, Cap{1h}, 1s}, Shared{budget}};
    CHECK_FALSE(retry(policy, sleeper, [&] { return ++calls, false; }).has_value());
    CHECK(calls == 3);
    CHECK(sleeper.now() == start + 3s);
    CHECK(budget.tokens_milli() == 0);
    // Other callers still get their first attempt.
    CHECK_FALSE(retry(policy, sleeper, [&] { return ++calls, false; }).has_value());
    CHECK(calls == 4);
    CHECK(retry(policy, sleeper, [&] { return ++calls, true; }).has_value());
    CHECK(budget.tokens_milli() == 1'000);
    // The token is returned when a later rule stops the retry.
    CHECK_FALSE(retry(Policy{Backoff{NoJitter{}, Cap{1h}, 1h}, Shared{budget},
                             Deadline{sleeper.now() + 1s}},
                      sleeper, [&] { return ++calls, false; })
                    .has_value());
    CHECK(calls == 6);
    CHECK(budget.tokens_milli() == 1'000);
}

TEST_CASE("TokenBudget limits the product of nested retries", "[budget][token_budget][unit]") {
    // Pitfall 19: 4 * 4 calls without a budget.
    Random bits{Seed{1}};
    belay_test::MinimalSleeper sleeper{bits};
    TokenBudget budget{TokenBudgetOptions{
        .capacity_milli = 4'000, .retry_cost_milli = 1'000, .timeout_cost_milli = 1'000}};
    const Policy policy{MaxAttempts{4}, Shared{budget}};
    int calls = 0;
    const auto inner = [&] {
        return retry(policy, sleeper, [&] { return ++calls, false; }).has_value();
    };
    CHECK_FALSE(retry(policy, sleeper, inner).has_value());
    CHECK(calls == 5);
}

TEST_CASE("TokenBudget conserves its tokens under any interleaving",
          "[budget][token_budget][property]") {
    CHECK(
        rc::check("the tokens inside, in permits and taken by failed retries are the capacity", [] {
            TokenBench b;
            TokenBudget budget{closed_terms};
            std::vector<std::pair<TokenPermit, std::uint32_t>> out;
            std::uint32_t held = 0;
            std::uint32_t spent = 0;
            for (const int event : *rc::gen::container<std::vector<int>>(rc::gen::inRange(0, 8))) {
                if (event <= 2) {
                    const std::uint32_t cost = event == 0 ? 3'000 : 1'000;
                    TokenPermit permit =
                        budget.reserve(event == 0 ? Cause::timed_out : Cause::lost, b.turn);
                    const bool enough = 10'000 - held - spent >= cost;
                    RC_ASSERT(static_cast<bool>(permit) == enough);
                    if (permit) {
                        held += cost;
                        out.emplace_back(std::move(permit), cost);
                    }
                } else if (!out.empty()) {
                    const auto i = *rc::gen::inRange<std::size_t>(0, out.size());
                    auto [permit, cost] = std::move(out[i]);
                    out.erase(out.begin() + static_cast<std::ptrdiff_t>(i));
                    held -= cost;
                    if (event == 3) permit.success(b.turn);
                    if (event == 4) static_cast<void>(permit.failure(b.turn)), spent += cost;
                    if (event == 5) permit.neutral();
                    // The other permits are dropped.
                }
                RC_ASSERT(budget.tokens_milli() + held + spent == 10'000);
            }
            out.clear();
            RC_ASSERT(budget.tokens_milli() + spent == 10'000);
        }));
    CHECK(rc::check("never outside of [0, capacity], for any options", [] {
        const auto cost = [] { return *rc::gen::inRange<std::uint32_t>(0, 100); };
        TokenBudget budget{
            TokenBudgetOptions{.capacity_milli = 100,
                               .threshold_milli = cost(),
                               .retry_cost_milli = cost(),
                               .timeout_cost_milli = cost(),
                               .failure_cost_milli = *rc::gen::arbitrary<std::uint32_t>(),
                               .success_gain_milli = *rc::gen::arbitrary<std::uint32_t>()}};
        TokenBench b;
        std::vector<TokenPermit> out;
        for (const int event : *rc::gen::container<std::vector<int>>(rc::gen::inRange(0, 5))) {
            const std::uint32_t before = budget.tokens_milli();
            if (event == 0) out.push_back(budget.reserve(Cause::lost, b.turn));
            if (event == 0) RC_ASSERT(budget.tokens_milli() <= before);
            if (event == 1) b.call(budget, false);
            if (event == 1) RC_ASSERT(budget.tokens_milli() <= before);
            if (event == 2) b.call(budget, true);
            if (event == 3) out.clear();
            if (event >= 2) RC_ASSERT(budget.tokens_milli() >= before);
            RC_ASSERT(budget.tokens_milli() <= 100U);
        }
    }));
}

TEST_CASE("TokenBudget conserves its tokens under concurrent threads",
          "[budget][token_budget][unit]") {
    TokenBudget budget{closed_terms};
    std::atomic<std::uint32_t> held{0};
    std::atomic<int> granted{0};
    std::atomic<bool> overdrawn{false};
    const auto work = [&](std::uint64_t seed) {
        Random bits{Seed{seed}};
        Turn turn{Instant{}, bits};
        TokenPermit kept;
        std::uint32_t kept_cost = 0;
        for (int i = 0; i < 20'000; ++i) {
            const bool late = uniform_upto(bits, 1) == 0;
            const std::uint32_t cost = late ? 3'000 : 1'000;
            TokenPermit permit = budget.reserve(late ? Cause::timed_out : Cause::lost, turn);
            if (!permit) continue;
            granted.fetch_add(1);
            // Counted after the permit is taken and until it is returned: never too many.
            if (held.fetch_add(cost) + cost > 10'000) overdrawn = true;
            if (uniform_upto(bits, 3) == 0) {
                held.fetch_sub(kept_cost);
                kept = std::move(permit);
                kept_cost = cost;
                continue;
            }
            if (uniform_upto(bits, 7) == 0) std::this_thread::yield();
            held.fetch_sub(cost);
            if (uniform_upto(bits, 1) == 0) permit.success(turn);
        }
        held.fetch_sub(kept_cost);
    };
    std::vector<std::thread> threads;
    for (std::uint64_t t = 1; t <= 4; ++t) threads.emplace_back(work, t);
    for (auto& t : threads) t.join();
    CHECK(granted.load() > 100);
    CHECK_FALSE(overdrawn.load());
    CHECK(budget.tokens_milli() == 10'000);
}

TEST_CASE("TokenBudget counts every gain and cost of threads", "[budget][token_budget][unit]") {
    TokenBudget budget{TokenBudgetOptions{.capacity_milli = 4'000'000,
                                          .retry_cost_milli = 0,
                                          .timeout_cost_milli = 0,
                                          .failure_cost_milli = 3,
                                          .success_gain_milli = 1}};
    const auto work = [&](std::uint64_t seed) {
        Random bits{Seed{seed}};
        Turn turn{Instant{}, bits};
        for (int i = 0; i < 20'000; ++i) {
            static_cast<void>(budget.acquire(turn).failure(turn));
            budget.acquire(turn).success(turn);
        }
    };
    Random bits{Seed{9}};
    Turn turn{Instant{}, bits};
    for (int i = 0; i < 100'000; ++i) static_cast<void>(budget.acquire(turn).failure(turn));
    std::vector<std::thread> threads;
    for (std::uint64_t t = 1; t <= 4; ++t) threads.emplace_back(work, t);
    for (auto& t : threads) t.join();
    CHECK(budget.tokens_milli() == 4'000'000 - 300'000 - 4 * 20'000 * 2);
}

TEST_CASE("TokenBudget::set_options changes the numbers of a budget that callers use",
          "[budget][token_budget][unit]") {
    TokenBudget budget{TokenBudgetOptions{.capacity_milli = 10'000, .retry_cost_milli = 5'000}};
    Random bits{Seed{1}};
    Turn turn{Instant{}, bits};
    auto waiting = budget.reserve(Cause::lost, turn);
    REQUIRE(waiting);
    // A higher cost per retry: the waiting caller has paid, and the next one cannot.
    const TokenBudgetOptions dearer{.capacity_milli = 20'000, .retry_cost_milli = 6'000};
    budget.set_options(dearer);
    CHECK(budget.options() == dearer);
    CHECK(budget.tokens_milli() == 5'000);
    CHECK(!budget.reserve(Cause::lost, turn).advice().allows(turn.now));
    waiting.neutral();
    CHECK(budget.tokens_milli() == 10'000);
    // A smaller budget loses the tokens above its capacity, and returned permits add no more.
    auto held = budget.reserve(Cause::lost, turn);
    budget.set_options({.capacity_milli = 3'000,
                        .threshold_milli = 1'000,
                        .retry_cost_milli = 500,
                        .timeout_cost_milli = 500,
                        .success_gain_milli = 100});
    CHECK(budget.tokens_milli() == 3'000);
    held.neutral();
    CHECK(budget.tokens_milli() == 3'000);
    for (int i = 0; i < 4; ++i) {
        auto spent = budget.reserve(Cause::timed_out, turn);
        REQUIRE(spent);
        static_cast<void>(spent.failure(turn));
    }
    CHECK(budget.tokens_milli() == 1'000);
    CHECK(!budget.reserve(Cause::lost, turn).advice().allows(turn.now));
    budget.set_options({.capacity_milli = 3'000,
                        .threshold_milli = 0,
                        .retry_cost_milli = 500,
                        .timeout_cost_milli = 500});
    CHECK(budget.reserve(Cause::lost, turn).advice().allows(turn.now));
    CHECK(belay_test::aborts_with([&] {
              budget.set_options({.capacity_milli = 0});
          }).find("the capacity must be > 0") != std::string::npos);
}

TEST_CASE("TokenBudget keeps its tokens in bounds while a thread changes the options",
          "[budget][token_budget][threads][property]") {
    TokenBudget budget{TokenBudgetOptions{
        .capacity_milli = 9'000, .retry_cost_milli = 1'000, .timeout_cost_milli = 1'000}};
    std::vector<std::thread> threads;
    for (std::uint64_t t = 1; t <= 3; ++t) {
        threads.emplace_back([&, t] {
            Random bits{Seed{t}};
            Turn turn{Instant{}, bits};
            for (std::uint32_t i = 0; i < 2'000; ++i) {
                if (t == 1) {
                    budget.set_options({.capacity_milli = 1'000 + i % 7 * 1'000,
                                        .retry_cost_milli = 1'000,
                                        .timeout_cost_milli = 1'000});
                } else if (auto permit = budget.reserve(Cause::lost, turn)) {
                    if (i % 3 == 0) permit.success(turn);
                } else {
                    budget.acquire(turn).success(turn);
                }
            }
        });
    }
    for (auto& t : threads) t.join();
    budget.set_options(
        {.capacity_milli = 1'000, .retry_cost_milli = 1'000, .timeout_cost_milli = 1'000});
    CHECK(budget.tokens_milli() <= 1'000);
}

TEST_CASE("TokenBudget aborts on invalid options", "[budget][token_budget][unit]") {
    CHECK(belay_test::aborts_with([] {
              static_cast<void>(TokenBudgetOptions::grpc(0, 1));
          }).find("tokens must be in [1, 1000]") != std::string::npos);
    CHECK(belay_test::aborts_with([] {
              static_cast<void>(TokenBudgetOptions::grpc(1001, 1));
          }).find("tokens must be in [1, 1000]") != std::string::npos);
    CHECK(belay_test::aborts_with([] {
              static_cast<void>(TokenBudgetOptions::grpc(10, 0));
          }).find("the ratio must be > 0") != std::string::npos);
    CHECK(belay_test::aborts_with([] {
              static_cast<void>(TokenBudget{TokenBudgetOptions{.capacity_milli = 0}});
          }).find("the capacity must be > 0") != std::string::npos);
    CHECK(belay_test::aborts_with([] {
              static_cast<void>(TokenBudget{TokenBudgetOptions{.threshold_milli = 500'000}});
          }).find("the threshold must be below the capacity") != std::string::npos);
    STATIC_REQUIRE(TokenBudgetOptions::aws().check().empty());
    STATIC_REQUIRE_FALSE(TokenBudgetOptions{.threshold_milli = 500'000}.check().empty());
    CHECK(belay_test::aborts_with([] {
              static_cast<void>(TokenBudget{TokenBudgetOptions{.retry_cost_milli = 500'001}});
          }).find("the cost of a retry must be <= the capacity") != std::string::npos);
    CHECK(belay_test::aborts_with([] {
              static_cast<void>(TokenBudget{TokenBudgetOptions{.timeout_cost_milli = 500'001}});
          }).find("the cost of a retry must be <= the capacity") != std::string::npos);
}
