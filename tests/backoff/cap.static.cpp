// SPDX-License-Identifier: MIT
// Goal: what cap.hpp says of its types holds: concepts, sizes, what may throw.
#include <belay/backoff/cap.hpp>

using namespace belay;

static_assert(CapLike<Cap> && sizeof(Cap) == sizeof(Duration));
