// SPDX-License-Identifier: MIT
// Goal: the types of no_cap.hpp satisfy their concepts, have the documented sizes, and throw
// only as documented.
#include <belay/backoff/caps.hpp>

#include <type_traits>

using namespace belay;

static_assert(CapLike<NoCap>);
static_assert(std::is_empty_v<NoCap>, "a Backoff must not pay for a cap that it has not");
