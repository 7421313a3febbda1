// SPDX-License-Identifier: MIT
// Goal: the types of listener.hpp satisfy their concepts, have the documented sizes, and throw
// only as documented.
#include <belay/posix/listener.hpp>

using namespace belay;

static_assert(TransportLike<posix::Accepted<>>);
