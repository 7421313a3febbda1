// SPDX-License-Identifier: MIT
// Goal: budgets and limits treat a rejection by the peer as no failure, and ignore failures that
// no peer caused. Method: known failures.
#include <belay/policy/detail/permit.hpp>

#include <belay/budget/adaptive_limit.hpp>
#include <belay/budget/adaptive_throttle.hpp>
#include <belay/budget/budgets.hpp>
#include <belay/policy/shared.hpp>

#include "support/catch.hpp"

using namespace belay;
using namespace std::chrono_literals;

namespace {

// Makes one attempt, with a rule that shares the object, that fails with `failure`.
template <class Object>
void fail(Object& object, const Failure& why, Instant now = Instant{1h}) {
    Random bits{Seed{1}};
    Turn turn{now, bits};
    Shared rule{object};
    if (rule.begin(turn).verb == Advice::Verb::go) static_cast<void>(rule.failed(why, turn));
}

const Failure no_memory = Failure::from(std::make_error_code(std::errc::not_enough_memory));

}  // namespace

TEST_CASE("AdaptiveThrottle does not throttle after rejections by the peer",
          "[budget][permit][unit]") {
    AdaptiveThrottle throttle;
    for (int i = 0; i < 100; ++i) fail(throttle, Failure{Cause::permanent});
    for (int i = 0; i < 100; ++i) fail(throttle, no_memory);
    CHECK(throttle.rejected_per_thousand(Instant{1h}) == 0);
    for (int i = 0; i < 300; ++i) fail(throttle, Failure{Cause::overloaded});
    CHECK(throttle.rejected_per_thousand(Instant{1h}) > 0);
}

TEST_CASE("AdaptiveLimit does not shrink after rejections by the peer", "[budget][permit][unit]") {
    AdaptiveLimit limit{Aimd{{.initial = 20}}};
    for (int i = 0; i < 100; ++i) fail(limit, Failure{Cause::forbidden});
    for (int i = 0; i < 100; ++i) fail(limit, no_memory);
    CHECK(limit.limit() >= 20);
    CHECK(limit.in_flight() == 0);
    fail(limit, Failure{Cause::timed_out});
    CHECK(limit.limit() < 20);
    CHECK(limit.in_flight() == 0);
}

TEST_CASE("TokenBudget takes and gains no token for rejections by the peer",
          "[budget][permit][unit]") {
    TokenBudget grpc{TokenBudgetOptions::grpc(10, 100)};
    for (int i = 0; i < 100; ++i) fail(grpc, Failure{Cause::permanent});
    CHECK(grpc.tokens_milli() == 10'000);
    fail(grpc, Failure{Cause::lost});
    CHECK(grpc.tokens_milli() == 9'000);
    for (int i = 0; i < 100; ++i) fail(grpc, Failure{Cause::permanent});
    CHECK(grpc.tokens_milli() == 9'000);

    // A retry that was answered takes its token. One that was never sent does not.
    TokenBudget aws{TokenBudgetOptions::aws()};
    Random bits{Seed{1}};
    Turn turn{Instant{}, bits};
    CHECK(aws.reserve(Cause::lost, turn).failure(Failure{Cause::permanent}, turn) == Advice::go());
    CHECK(aws.tokens_milli() == 495'000);
    CHECK(aws.reserve(Cause::lost, turn).failure(no_memory, turn) == Advice::go());
    CHECK(aws.tokens_milli() == 495'000);
}

TEST_CASE("RatioBudget counts every answered retry, and none that was never sent",
          "[budget][permit][unit]") {
    RatioBudget budget{{.at_least = 3}};
    Random bits{Seed{1}};
    Turn turn{Instant{}, bits};
    static_cast<void>(budget.reserve(Cause::lost, turn).failure(no_memory, turn));
    CHECK(budget.left(turn.now) == 3);
    static_cast<void>(budget.reserve(Cause::lost, turn).failure(Failure{Cause::permanent}, turn));
    CHECK(budget.left(turn.now) == 2);
    // Only the first verdict counts.
    auto permit = budget.reserve(Cause::lost, turn);
    permit.neutral();
    CHECK(permit.failure(Failure{Cause::permanent}, turn) == Advice::go());
    CHECK(budget.left(turn.now) == 2);
}
