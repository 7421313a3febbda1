// SPDX-License-Identifier: MIT
// Goal: the types of adaptive_limit.hpp satisfy their concepts, have the documented sizes, and
// throw only as documented.
#include <belay/budget/adaptive_limit.hpp>

using namespace belay;

static_assert(ShareableLike<AdaptiveLimit<>>);
