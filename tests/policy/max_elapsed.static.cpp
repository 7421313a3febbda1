// SPDX-License-Identifier: MIT
// Goal: what max_elapsed.hpp says of its types holds: concepts, sizes, what may throw.
#include <belay/policy/max_elapsed.hpp>

using namespace belay;

static_assert(RuleLike<MaxElapsed>);
