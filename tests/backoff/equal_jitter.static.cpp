// SPDX-License-Identifier: MIT
// Goal: what equal_jitter.hpp says of its types holds: concepts, sizes, what may throw.
#include <belay/backoff/equal_jitter.hpp>

#include <type_traits>

using namespace belay;

static_assert(JitterLike<EqualJitter>);
static_assert(std::is_empty_v<EqualJitter>, "a Backoff must not pay for its jitter");
