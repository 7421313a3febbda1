// SPDX-License-Identifier: MIT
// Goal: sqlite::Boards::OnThread can be moved, and its audit is an audit of rooms.
#include <belay/sqlite/boards_on_thread.hpp>

static_assert(belay::AuditLike<belay::sqlite::Boards::OnThread>);
static_assert(belay::AuditLike<belay::sqlite::Boards::OnThread::Audit>);
static_assert(std::copyable<belay::sqlite::Boards::OnThread::Audit>);
static_assert(std::movable<belay::sqlite::Boards::OnThread>);
static_assert(!std::copyable<belay::sqlite::Boards::OnThread>);
