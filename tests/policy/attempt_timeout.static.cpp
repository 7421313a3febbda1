// SPDX-License-Identifier: MIT
// Goal: what attempt_timeout.hpp says of its types holds: concepts, sizes, what may throw.
#include <belay/policy/attempt_timeout.hpp>

using namespace belay;

static_assert(RuleLike<AttemptTimeout>);
