// SPDX-License-Identifier: MIT
// Goal: the types of drop_newest.hpp satisfy their concepts, have the documented sizes, and
// throw only as documented.
#include <belay/queue/overflows.hpp>

using namespace belay;

static_assert(OverflowLike<DropNewest>);
