// SPDX-License-Identifier: MIT
// Goal: what link.hpp says of its types holds: concepts, sizes, what may throw.
#include <belay/link/link.hpp>

using namespace belay;

static_assert(sizeof(void*) != 8 || sizeof(Link<int>) == 16);
