// SPDX-License-Identifier: MIT
// Goal: what max_attempts.hpp says of its types holds: concepts, sizes, what may throw.
#include <belay/policy/max_attempts.hpp>

using namespace belay;

static_assert(RuleLike<MaxAttempts>);
