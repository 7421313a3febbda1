// SPDX-License-Identifier: MIT
// Goal: the types of deadline.hpp satisfy their concepts, have the documented sizes, and throw
// only as documented.
#include <belay/policy/deadline.hpp>

using namespace belay;

static_assert(RuleLike<Deadline>);
