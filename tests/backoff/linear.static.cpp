// SPDX-License-Identifier: MIT
// Goal: what linear.hpp says of its types holds: concepts, sizes, what may throw.
#include <belay/backoff/linear.hpp>

using namespace belay;

static_assert(GrowthLike<Linear>);
