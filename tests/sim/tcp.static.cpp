// SPDX-License-Identifier: MIT
// Goal: the types of tcp.hpp satisfy their concepts, have the documented sizes, and throw only
// as documented.
#include <belay/sim/tcp.hpp>

using namespace belay;
using namespace belay::sim;

static_assert(TransportLike<Tcp>);
