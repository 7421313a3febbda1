// SPDX-License-Identifier: MIT
// Goal: what exponential.hpp says of its types holds: concepts, sizes, what may throw.
#include <belay/backoff/exponential.hpp>

using namespace belay;

static_assert(GrowthLike<Exponential<>> && sizeof(Exponential<>) == sizeof(Duration));
static_assert(GrowthLike<Exponential<detail::AnyFactor>>);
