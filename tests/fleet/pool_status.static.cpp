// SPDX-License-Identifier: MIT
// Goal: the defaults of the page. Method: static_assert.
#include <belay/fleet/pool.hpp>

#include <type_traits>

static_assert(belay::PoolOptions{}.size == 4);
static_assert(std::is_trivially_copyable_v<belay::PoolStatus>);
