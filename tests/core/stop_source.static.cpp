// SPDX-License-Identifier: MIT
// Goal: what stop_source.hpp says of its types holds: concepts, sizes, what may throw.
#include <belay/core/stop_source.hpp>

using namespace belay;

static_assert(StopTokenLike<StopToken> && StopTokenLike<NeverStops>);
