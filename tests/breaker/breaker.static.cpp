// SPDX-License-Identifier: MIT
// Goal: the types of breaker.hpp satisfy their concepts, have the documented sizes, and throw
// only as documented.
#include <belay/breaker/breaker.hpp>

using namespace belay;

static_assert(RuleLike<Breaker<>> && sizeof(Breaker<>) <= 56);
