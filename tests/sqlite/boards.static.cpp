// SPDX-License-Identifier: MIT
// Goal: sqlite::Boards is an audit of rooms that can be moved.
#include <belay/sqlite/boards.hpp>

static_assert(belay::AuditLike<belay::sqlite::Boards>);
static_assert(!std::copyable<belay::sqlite::Boards>);
static_assert(std::movable<belay::sqlite::Boards>);
