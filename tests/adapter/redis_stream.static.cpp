// SPDX-License-Identifier: MIT
// Goal: what redis_stream.hpp says of its types holds: concepts, sizes, what may throw.
#include <belay/adapter/redis_stream.hpp>

using namespace belay;

static_assert(LeasableLike<redis::Stream>);
