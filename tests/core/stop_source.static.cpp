// SPDX-License-Identifier: MIT
// Goal: the types of stop_source.hpp satisfy their concepts, have the documented sizes, and
// throw only as documented.
#include <belay/core/stop_source.hpp>

using namespace belay;

static_assert(StopTokenLike<StopToken> && StopTokenLike<NeverStops>);
