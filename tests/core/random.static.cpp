// SPDX-License-Identifier: MIT
// Goal: what random.hpp says of its types holds: concepts, sizes, what may throw.
#include <belay/core/random.hpp>

using namespace belay;

static_assert(part::BitSource<Random> && sizeof(Random) == 8);
