// SPDX-License-Identifier: MIT
// Goal: what count_window.hpp says of its types holds: concepts, sizes, what may throw.
#include <belay/breaker/count_window.hpp>

using namespace belay;

static_assert(sizeof(void*) != 8 || sizeof(CountWindow<100>) == 32);
