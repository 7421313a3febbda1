// SPDX-License-Identifier: MIT
// Goal: sqlite::Rooms is a persistence of rooms that can be moved.
#include <belay/sqlite/rooms.hpp>

static_assert(belay::PersistenceLike<belay::sqlite::Rooms>);
static_assert(!std::copyable<belay::sqlite::Rooms>);
static_assert(std::movable<belay::sqlite::Rooms>);
