// SPDX-License-Identifier: MIT
// Goal: what listener.hpp says of its types holds: concepts, sizes, what may throw.
#include <belay/posix/listener.hpp>

using namespace belay;

static_assert(TransportLike<posix::Accepted<>>);
