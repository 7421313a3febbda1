// SPDX-License-Identifier: MIT
// Goal: the types of work_slots.hpp satisfy their concepts, have the documented sizes, and throw
// only as documented.
#include <belay/work/detail/work_table.hpp>

using namespace belay;
using namespace belay::detail;

static_assert(sizeof(WorkSlot) <= 48,
              "with 16 bytes of indices, what docs/reference/work-queues.md says");
