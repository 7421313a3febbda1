// SPDX-License-Identifier: MIT
// Goal: the types of constant.hpp satisfy their concepts, have the documented sizes, and throw
// only as documented.
#include <belay/backoff/growths.hpp>

using namespace belay;

static_assert(GrowthLike<Constant>);
