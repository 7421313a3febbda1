// SPDX-License-Identifier: MIT
// Goal: what tcp.hpp says of its types holds: concepts, sizes, what may throw.
#include <belay/posix/tcp.hpp>

using namespace belay;

static_assert(TransportLike<posix::Tcp<>>);
