// SPDX-License-Identifier: MIT
// Goal: the types of manual_clock.hpp satisfy their concepts, have the documented sizes, and
// throw only as documented.
#include <belay/core/clocks.hpp>

#include "support/default_member.hpp"

using namespace belay;

static_assert(belay_test::DefaultMember<ManualClock>);
static_assert(ClockLike<ManualClock> && ClockLike<ManualClock::View>);
