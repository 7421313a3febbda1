// SPDX-License-Identifier: MIT
// Goal: what adaptive_throttle.hpp says of its types holds: concepts, sizes, what may throw.
#include <belay/budget/adaptive_throttle.hpp>

using namespace belay;

static_assert(ShareableLike<AdaptiveThrottle>);
