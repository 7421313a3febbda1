// SPDX-License-Identifier: MIT
// Goal: misuse of this component does not compile, and the error states the reason. Method: each
// case, from one expect-error to the next, has an error of that text; with BELAY_CONTROL all of
// them compile.
#include <belay/budget/budgets.hpp>
#include <belay/policy/shared.hpp>

// expect-error: acquire: a temporary permit is returned before the call
namespace budget_permit_dropped {
bool ask(belay::TokenBudget& budget, belay::Turn& turn) {
#if defined(BELAY_CONTROL)
    if (auto permit = budget.acquire(turn)) return true;
#else
    if (budget.acquire(turn)) return true;
#endif
    return false;
}
}  // namespace budget_permit_dropped

// expect-error: ShareableLike: reserve must be 'Permit reserve.Cause, Turn&. noexcept'
namespace budget_reserve_without_cause {
struct Permit {
    belay::Advice advice() const noexcept { return belay::Advice::go(); }
    belay::Advice failure(belay::Turn&) noexcept { return belay::Advice::go(); }
    void success(belay::Turn&) noexcept {}
    void neutral() noexcept {}
};

struct Budget {
    using Permit = budget_reserve_without_cause::Permit;
    belay::Advice admit(belay::Instant) const noexcept { return belay::Advice::go(); }
    Permit acquire(belay::Turn&) noexcept { return {}; }
#if defined(BELAY_CONTROL)
    Permit reserve(belay::Cause, belay::Turn&) noexcept { return {}; }
#else
    Permit reserve(belay::Turn&) noexcept { return {}; }
#endif
} budget;

belay::Shared rule{budget};
}  // namespace budget_reserve_without_cause

// expect-error: TokenBudget: write the options: TokenBudget.TokenBudgetOptions::grpc.10, 100..
namespace token_budget_of_a_number {
#if defined(BELAY_CONTROL)
belay::TokenBudget budget{belay::TokenBudgetOptions::grpc(10, 100)};
#else
belay::TokenBudget budget{10};
#endif
}  // namespace token_budget_of_a_number

// expect-error: RatioBudget: write the options: RatioBudget...retries_per_thousand = 200..
namespace ratio_budget_of_a_number {
#if defined(BELAY_CONTROL)
belay::RatioBudget budget{{.retries_per_thousand = 200}};
#else
belay::RatioBudget budget{20};
#endif
}  // namespace ratio_budget_of_a_number
