// SPDX-License-Identifier: MIT
// Goal: the types of ratio_budget.hpp satisfy their concepts, have the documented sizes, and
// throw only as documented.
#include <belay/budget/budgets.hpp>

#include "support/default_member.hpp"

using namespace belay;

static_assert(belay_test::DefaultMember<RatioBudget>);
static_assert(part::ReservableLike<RatioBudget>);
