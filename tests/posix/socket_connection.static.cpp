// SPDX-License-Identifier: MIT
// Goal: the types of socket_connection.hpp satisfy their concepts, have the documented sizes, and
// throw only as documented.
#include <belay/posix/detail/socket_connection.hpp>

using namespace belay;

static_assert(ConnectionLike<posix::SocketConnection<>, Bytes>);
