// SPDX-License-Identifier: MIT
// Goal: what ratio_budget.hpp says of its types holds: concepts, sizes, what may throw.
#include <belay/budget/ratio_budget.hpp>

using namespace belay;

static_assert(ReservableLike<RatioBudget>);
