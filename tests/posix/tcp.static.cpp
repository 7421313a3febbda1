// SPDX-License-Identifier: MIT
// Goal: the types of tcp.hpp satisfy their concepts, have the documented sizes, and throw only
// as documented.
#include <belay/posix/tcp.hpp>

using namespace belay;

static_assert(TransportLike<posix::Tcp<>>);
