// SPDX-License-Identifier: MIT
// Goal: the types of no_jitter.hpp satisfy their concepts, have the documented sizes, and throw
// only as documented.
#include <belay/backoff/jitters.hpp>

#include <type_traits>

using namespace belay;

static_assert(JitterLike<NoJitter>);
static_assert(std::is_empty_v<NoJitter>, "a Backoff must not pay for its jitter");
