// SPDX-License-Identifier: MIT
// Goal: the types of stop_on.hpp satisfy their concepts, have the documented sizes, and throw
// only as documented.
#include <belay/policy/rules.hpp>

using namespace belay;

static_assert(RuleLike<StopOn>);
