// SPDX-License-Identifier: MIT
// Goal: the types of token_budget.hpp satisfy their concepts, have the documented sizes, and
// throw only as documented.
#include <belay/budget/budgets.hpp>

using namespace belay;

static_assert(part::ReservableLike<TokenBudget>);
