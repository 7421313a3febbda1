// SPDX-License-Identifier: MIT
// Goal: what open_for.hpp says of its types holds: concepts, sizes, what may throw.
#include <belay/breaker/open_for.hpp>

using namespace belay;

static_assert(OpenWaitLike<OpenFor>);
