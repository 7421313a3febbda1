// SPDX-License-Identifier: MIT
// Goal: the types of pre_jitter_cap.hpp satisfy their concepts, have the documented sizes, and
// throw only as documented.
#include <belay/backoff/caps.hpp>

using namespace belay;

static_assert(CapLike<PreJitterCap> && sizeof(PreJitterCap) == sizeof(Duration));
