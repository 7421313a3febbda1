// SPDX-License-Identifier: MIT
// Goal: what tcp.hpp says of its types holds: concepts, sizes, what may throw.
#include <belay/posix/tcp.hpp>

using namespace belay;
using namespace belay::posix;

static_assert(TransportLike<Tcp>);
