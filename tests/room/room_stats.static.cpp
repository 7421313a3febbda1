// SPDX-License-Identifier: MIT
// Goal: nothing is there before it happens. Method: static asserts.
#include <belay/room/room_stats.hpp>

#include <type_traits>

using namespace belay;

static_assert(RoomCounters{}.joined == 0 && RoomCounters{}.storage_failures == 0);
static_assert(std::is_aggregate_v<RoomStats>);
