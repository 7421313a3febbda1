// SPDX-License-Identifier: MIT
// Goal: the types of failure.hpp satisfy their concepts, have the documented sizes, and throw
// only as documented.
#include <belay/core/failure.hpp>

#include <type_traits>

using namespace belay;

static_assert(std::is_trivially_copyable_v<Failure> && sizeof(Failure) <= 24);
