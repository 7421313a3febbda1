// SPDX-License-Identifier: MIT
// Goal: the types of link.hpp satisfy their concepts, have the documented sizes, and throw only
// as documented.
#include <belay/link/link.hpp>

using namespace belay;

static_assert(sizeof(void*) != 8 || sizeof(Link<int>) == 16);
