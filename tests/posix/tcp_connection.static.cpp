// SPDX-License-Identifier: MIT
// Goal: what tcp_connection.hpp says of its types holds: concepts, sizes, what may throw.
#include <belay/posix/detail/tcp_connection.hpp>

using namespace belay;

static_assert(ConnectionLike<posix::TcpConnection<>, Bytes>);
