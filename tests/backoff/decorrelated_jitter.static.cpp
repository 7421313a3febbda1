// SPDX-License-Identifier: MIT
// Goal: what decorrelated_jitter.hpp says of its types holds: concepts, sizes, what may throw.
#include <belay/backoff/decorrelated_jitter.hpp>

using namespace belay;

static_assert(JitterLike<DecorrelatedJitter> && sizeof(DecorrelatedJitter) == 8);
