// SPDX-License-Identifier: MIT
// Goal: what retry_only.hpp says of its types holds: concepts, sizes, what may throw.
#include <belay/policy/retry_only.hpp>

using namespace belay;

static_assert(RuleLike<RetryOnly>);
