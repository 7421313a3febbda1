// SPDX-License-Identifier: MIT
// Goal: what work_slots.hpp says of its types holds: concepts, sizes, what may throw.
#include <belay/work/detail/work_slots.hpp>

using namespace belay;
using namespace belay::detail;

static_assert(sizeof(WorkSlot) <= 48, "with 16 bytes of indices, what docs/work.md says");
