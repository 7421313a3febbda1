// SPDX-License-Identifier: MIT
// Goal: the types of assert.hpp satisfy their concepts, have the documented sizes, and throw
// only as documented.
#include <belay/core/assert.hpp>

using namespace belay;

static_assert(BELAY_VERSION_MAJOR == 0, "BELAY_ABI names the major version: change both");
