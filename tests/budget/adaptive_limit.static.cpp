// SPDX-License-Identifier: MIT
// Goal: what adaptive_limit.hpp says of its types holds: concepts, sizes, what may throw.
#include <belay/budget/adaptive_limit.hpp>

using namespace belay;

static_assert(ShareableLike<AdaptiveLimit<>>);
