// SPDX-License-Identifier: MIT
// Goal: SqliteRooms is a persistence of rooms that moves.
#include <belay/adapter/sqlite_rooms.hpp>

static_assert(belay::PersistenceLike<belay::SqliteRooms>);
static_assert(!std::copyable<belay::SqliteRooms>);
static_assert(std::movable<belay::SqliteRooms>);
