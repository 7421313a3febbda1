// SPDX-License-Identifier: MIT
// Goal: the types of open_for.hpp satisfy their concepts, have the documented sizes, and throw
// only as documented.
#include <belay/breaker/open_waits.hpp>

using namespace belay;

static_assert(OpenWaitLike<OpenFor>);
