// SPDX-License-Identifier: MIT
// Goal: what status.hpp says of its types holds: concepts, sizes, what may throw.
#include <belay/link/status.hpp>

#include <type_traits>

using namespace belay;

static_assert(std::is_trivially_copyable_v<LinkStatus> && sizeof(LinkStatus) <= 72);
