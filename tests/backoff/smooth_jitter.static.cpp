// SPDX-License-Identifier: MIT
// Goal: what smooth_jitter.hpp says of its types holds: concepts, sizes, what may throw.
#include <belay/backoff/smooth_jitter.hpp>

using namespace belay;

static_assert(JitterLike<SmoothJitter> && sizeof(SmoothJitter) == 4);
