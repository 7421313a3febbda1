// SPDX-License-Identifier: MIT
// Goal: what drop_oldest.hpp says of its types holds: concepts, sizes, what may throw.
#include <belay/queue/drop_oldest.hpp>

using namespace belay;

static_assert(OverflowLike<DropOldest>);
