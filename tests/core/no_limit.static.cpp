// SPDX-License-Identifier: MIT
// Goal: no size is above no_limit, so that "size <= limit" holds for every size.
#include <belay/core/bytes.hpp>

#include <limits>

static_assert(belay::no_limit == std::numeric_limits<std::size_t>::max());
