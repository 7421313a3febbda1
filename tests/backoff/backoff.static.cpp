// SPDX-License-Identifier: MIT
// Goal: the types of backoff.hpp satisfy their concepts, have the documented sizes, and throw
// only as documented.
#include <belay/backoff/backoff.hpp>

#include <type_traits>

using namespace belay;

static_assert(RuleLike<Backoff<FullJitter, Cap>>);
static_assert(sizeof(void*) != 8 || sizeof(Backoff<FullJitter, Cap>) == 32);
static_assert(std::is_trivially_copyable_v<Backoff<FullJitter, Cap>>);
