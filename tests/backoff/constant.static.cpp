// SPDX-License-Identifier: MIT
// Goal: what constant.hpp says of its types holds: concepts, sizes, what may throw.
#include <belay/backoff/constant.hpp>

using namespace belay;

static_assert(GrowthLike<Constant>);
