// SPDX-License-Identifier: MIT
// Goal: what no_jitter.hpp says of its types holds: concepts, sizes, what may throw.
#include <belay/backoff/no_jitter.hpp>

#include <type_traits>

using namespace belay;

static_assert(JitterLike<NoJitter>);
static_assert(std::is_empty_v<NoJitter>, "a Backoff must not pay for its jitter");
