// SPDX-License-Identifier: MIT
// Goal: what tcp.hpp says of its types holds: concepts, sizes, what may throw.
#include <belay/sim/tcp.hpp>

using namespace belay;
using namespace belay::sim;

static_assert(TransportLike<Tcp>);
