// SPDX-License-Identifier: MIT
// Goal: the types of adaptive_throttle.hpp satisfy their concepts, have the documented sizes,
// and throw only as documented.
#include <belay/budget/adaptive_throttle.hpp>

#include "support/default_member.hpp"

using namespace belay;

static_assert(belay_test::DefaultMember<AdaptiveThrottle>);
static_assert(ShareableLike<AdaptiveThrottle>);
