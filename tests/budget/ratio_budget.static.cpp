// SPDX-License-Identifier: MIT
// Goal: the types of ratio_budget.hpp satisfy their concepts, have the documented sizes, and
// throw only as documented.
#include <belay/budget/ratio_budget.hpp>

using namespace belay;

static_assert(part::ReservableLike<RatioBudget>);
