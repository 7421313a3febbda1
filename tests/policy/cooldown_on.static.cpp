// SPDX-License-Identifier: MIT
// Goal: what cooldown_on.hpp says of its types holds: concepts, sizes, what may throw.
#include <belay/policy/cooldown_on.hpp>

using namespace belay;

static_assert(RuleLike<CooldownOn>);
