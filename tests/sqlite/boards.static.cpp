// SPDX-License-Identifier: MIT
// Goal: whiteboard::Boards is an audit of rooms that can be moved.
#include "../../examples/whiteboard/boards.hpp"

static_assert(belay::AuditLike<whiteboard::Boards>);
static_assert(!std::copyable<whiteboard::Boards>);
static_assert(std::movable<whiteboard::Boards>);
