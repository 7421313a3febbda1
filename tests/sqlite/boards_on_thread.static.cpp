// SPDX-License-Identifier: MIT
// Goal: whiteboard::Boards::OnThread can be moved, and its audit is an audit of rooms.
#include "../../examples/whiteboard/boards_on_thread.hpp"

static_assert(belay::AuditLike<whiteboard::Boards::OnThread>);
static_assert(belay::AuditLike<whiteboard::Boards::OnThread::Audit>);
static_assert(std::copyable<whiteboard::Boards::OnThread::Audit>);
static_assert(std::movable<whiteboard::Boards::OnThread>);
static_assert(!std::copyable<whiteboard::Boards::OnThread>);
