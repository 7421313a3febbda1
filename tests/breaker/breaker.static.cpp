// SPDX-License-Identifier: MIT
// Goal: what breaker.hpp says of its types holds: concepts, sizes, what may throw.
#include <belay/breaker/breaker.hpp>

using namespace belay;

static_assert(RuleLike<Breaker<>> && sizeof(Breaker<>) <= 56);
