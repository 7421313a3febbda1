// SPDX-License-Identifier: MIT
// Goal: the types of decorrelated_jitter.hpp satisfy their concepts, have the documented sizes,
// and throw only as documented.
#include <belay/backoff/jitters.hpp>

using namespace belay;

static_assert(JitterLike<DecorrelatedJitter> && sizeof(DecorrelatedJitter) == 8);
