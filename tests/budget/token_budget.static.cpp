// SPDX-License-Identifier: MIT
// Goal: what token_budget.hpp says of its types holds: concepts, sizes, what may throw.
#include <belay/budget/token_budget.hpp>

using namespace belay;

static_assert(ReservableLike<TokenBudget>);
