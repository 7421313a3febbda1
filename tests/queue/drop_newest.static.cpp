// SPDX-License-Identifier: MIT
// Goal: what drop_newest.hpp says of its types holds: concepts, sizes, what may throw.
#include <belay/queue/drop_newest.hpp>

using namespace belay;

static_assert(OverflowLike<DropNewest>);
