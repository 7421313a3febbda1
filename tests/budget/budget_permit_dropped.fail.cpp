// SPDX-License-Identifier: MIT
// expect-error: deleted function
#include <belay/budget/token_budget.hpp>

bool ask(belay::TokenBudget& budget, belay::Turn& turn) {
#if defined(BELAY_CONTROL)
    if (auto permit = budget.acquire(turn)) return true;
#else
    if (budget.acquire(turn)) return true;
#endif
    return false;
}
