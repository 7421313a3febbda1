// SPDX-License-Identifier: MIT
// Goal: what stop_on.hpp says of its types holds: concepts, sizes, what may throw.
#include <belay/policy/stop_on.hpp>

using namespace belay;

static_assert(RuleLike<StopOn>);
