// SPDX-License-Identifier: MIT
// Goal: what proportional_jitter.hpp says of its types holds: concepts, sizes, what may throw.
#include <belay/backoff/proportional_jitter.hpp>

using namespace belay;

static_assert(JitterLike<ProportionalJitter> && sizeof(ProportionalJitter) == 8);
