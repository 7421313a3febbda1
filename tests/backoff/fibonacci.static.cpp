// SPDX-License-Identifier: MIT
// Goal: what fibonacci.hpp says of its types holds: concepts, sizes, what may throw.
#include <belay/backoff/fibonacci.hpp>

using namespace belay;

static_assert(GrowthLike<Fibonacci>);
