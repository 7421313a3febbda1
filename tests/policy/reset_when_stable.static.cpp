// SPDX-License-Identifier: MIT
// Goal: the types of reset_when_stable.hpp satisfy their concepts, have the documented sizes,
// and throw only as documented.
#include <belay/policy/rules.hpp>

using namespace belay;

static_assert(RuleLike<ResetWhenStable>);
