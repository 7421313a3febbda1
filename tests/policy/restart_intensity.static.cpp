// SPDX-License-Identifier: MIT
// Goal: what restart_intensity.hpp says of its types holds: concepts, sizes, what may throw.
#include <belay/policy/restart_intensity.hpp>

using namespace belay;

static_assert(RuleLike<RestartIntensity<5>>);
