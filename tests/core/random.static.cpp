// SPDX-License-Identifier: MIT
// Goal: the types of random.hpp satisfy their concepts, have the documented sizes, and throw
// only as documented.
#include <belay/core/random.hpp>

using namespace belay;

static_assert(part::BitSource<Random> && sizeof(Random) == 8);
