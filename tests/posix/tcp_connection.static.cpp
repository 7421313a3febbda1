// SPDX-License-Identifier: MIT
// Goal: what tcp_connection.hpp says of its types holds: concepts, sizes, what may throw.
#include <belay/posix/detail/tcp_connection.hpp>

using namespace belay;
using namespace belay::posix;

static_assert(ConnectionLike<TcpConnection, Bytes>);
