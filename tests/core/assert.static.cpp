// SPDX-License-Identifier: MIT
// Goal: what assert.hpp says of its types holds: concepts, sizes, what may throw.
#include <belay/core/assert.hpp>

using namespace belay;

static_assert(BELAY_VERSION_MAJOR == 0, "BELAY_ABI names the major version: change both");
