// SPDX-License-Identifier: MIT
// Goal: what reset_when_stable.hpp says of its types holds: concepts, sizes, what may throw.
#include <belay/policy/reset_when_stable.hpp>

using namespace belay;

static_assert(RuleLike<ResetWhenStable>);
