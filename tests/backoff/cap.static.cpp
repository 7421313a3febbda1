// SPDX-License-Identifier: MIT
// Goal: the types of cap.hpp satisfy their concepts, have the documented sizes, and throw only
// as documented.
#include <belay/backoff/caps.hpp>

using namespace belay;

static_assert(CapLike<Cap> && sizeof(Cap) == sizeof(Duration));
