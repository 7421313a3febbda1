// SPDX-License-Identifier: MIT
// Goal: the types of status.hpp satisfy their concepts, have the documented sizes, and throw only
// as documented.
#include <belay/link/status.hpp>

#include <type_traits>

using namespace belay;

static_assert(std::is_trivially_copyable_v<LinkStatus> && sizeof(LinkStatus) <= 72);
