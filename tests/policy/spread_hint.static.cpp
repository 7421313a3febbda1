// SPDX-License-Identifier: MIT
// Goal: the types of spread_hint.hpp satisfy their concepts, have the documented sizes, and
// throw only as documented.
#include <belay/policy/rules.hpp>

using namespace belay;

static_assert(RuleLike<SpreadHint> && (sizeof(void*) != 8 || sizeof(SpreadHint) == 16));
