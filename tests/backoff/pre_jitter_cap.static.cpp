// SPDX-License-Identifier: MIT
// Goal: what pre_jitter_cap.hpp says of its types holds: concepts, sizes, what may throw.
#include <belay/backoff/pre_jitter_cap.hpp>

using namespace belay;

static_assert(CapLike<PreJitterCap> && sizeof(PreJitterCap) == sizeof(Duration));
