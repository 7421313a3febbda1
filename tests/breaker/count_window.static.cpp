// SPDX-License-Identifier: MIT
// Goal: the types of count_window.hpp satisfy their concepts, have the documented sizes, and
// throw only as documented.
#include <belay/breaker/trips.hpp>

using namespace belay;

static_assert(sizeof(void*) != 8 || sizeof(CountWindow<100>) == 32);
