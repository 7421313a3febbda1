// SPDX-License-Identifier: MIT
// Goal: the types of redis/stream.hpp satisfy their concepts, have the documented sizes, and
// throw only as documented.
#include <belay/redis/stream.hpp>

using namespace belay;

static_assert(LeasableLike<redis::Stream>);
