// SPDX-License-Identifier: MIT
// Goal: the types of equal_jitter.hpp satisfy their concepts, have the documented sizes, and
// throw only as documented.
#include <belay/backoff/jitters.hpp>

#include <type_traits>

using namespace belay;

static_assert(JitterLike<EqualJitter>);
static_assert(std::is_empty_v<EqualJitter>, "a Backoff must not pay for its jitter");
