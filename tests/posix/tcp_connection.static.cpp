// SPDX-License-Identifier: MIT
// Goal: the types of tcp_connection.hpp satisfy their concepts, have the documented sizes, and
// throw only as documented.
#include <belay/posix/detail/tcp_connection.hpp>

using namespace belay;

static_assert(ConnectionLike<posix::TcpConnection<>, Bytes>);
