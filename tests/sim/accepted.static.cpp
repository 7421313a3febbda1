// SPDX-License-Identifier: MIT
// Goal: what accepted.hpp says of its types holds: concepts, sizes, what may throw.
#include <belay/sim/accepted.hpp>

using namespace belay;
using namespace belay::sim;

static_assert(TransportLike<Accepted>);
