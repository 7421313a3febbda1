// SPDX-License-Identifier: MIT
// Goal: what spread_hint.hpp says of its types holds: concepts, sizes, what may throw.
#include <belay/policy/spread_hint.hpp>

using namespace belay;

static_assert(RuleLike<SpreadHint> && (sizeof(void*) != 8 || sizeof(SpreadHint) == 16));
