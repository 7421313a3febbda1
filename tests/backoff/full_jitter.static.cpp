// SPDX-License-Identifier: MIT
// Goal: what full_jitter.hpp says of its types holds: concepts, sizes, what may throw.
#include <belay/backoff/full_jitter.hpp>

#include <type_traits>

using namespace belay;

static_assert(JitterLike<FullJitter>);
static_assert(std::is_empty_v<FullJitter>, "a Backoff must not pay for its jitter");
