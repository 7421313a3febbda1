// SPDX-License-Identifier: MIT
// Goal: what no_cap.hpp says of its types holds: concepts, sizes, what may throw.
#include <belay/backoff/no_cap.hpp>

#include <type_traits>

using namespace belay;

static_assert(CapLike<NoCap>);
static_assert(std::is_empty_v<NoCap>, "a Backoff must not pay for a cap that it has not");
