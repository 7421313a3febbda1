// SPDX-License-Identifier: MIT
// Goal: the types of drop_oldest.hpp satisfy their concepts, have the documented sizes, and
// throw only as documented.
#include <belay/queue/overflows.hpp>

using namespace belay;

static_assert(OverflowLike<DropOldest>);
