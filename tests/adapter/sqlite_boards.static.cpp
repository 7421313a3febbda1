// SPDX-License-Identifier: MIT
// Goal: SqliteBoards is an audit of rooms that moves.
#include <belay/adapter/sqlite_boards.hpp>

static_assert(belay::AuditLike<belay::SqliteBoards>);
static_assert(!std::copyable<belay::SqliteBoards>);
static_assert(std::movable<belay::SqliteBoards>);
