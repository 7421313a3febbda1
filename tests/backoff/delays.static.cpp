// SPDX-License-Identifier: MIT
// Goal: what delays.hpp says of its types holds: concepts, sizes, what may throw.
#include <belay/backoff/delays.hpp>

using namespace belay;

static_assert(GrowthLike<Delays<3>>);
