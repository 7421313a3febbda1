// SPDX-License-Identifier: MIT
// Goal: what deadline.hpp says of its types holds: concepts, sizes, what may throw.
#include <belay/policy/deadline.hpp>

using namespace belay;

static_assert(RuleLike<Deadline>);
