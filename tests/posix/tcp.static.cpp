// SPDX-License-Identifier: MIT
// Goal: the types of tcp.hpp satisfy their concepts, have the documented sizes, and throw only
// as documented.
#include <belay/posix/tcp.hpp>

#include <belay/link/detail/carries_any_bytes.hpp>
#include <belay/link/heartbeat.hpp>
#include <belay/link/lines.hpp>
#include <belay/posix/listener.hpp>

using namespace belay;

static_assert(TransportLike<posix::Tcp<>>);

// So a Session over lines of text does not compile.
static_assert(!detail::carries_any_bytes<posix::Tcp<Lines>>);
static_assert(!detail::carries_any_bytes<Heartbeat<posix::Tcp<Lines::WithPing>>>);
static_assert(!detail::carries_any_bytes<posix::Accepted<Lines>>);
static_assert(detail::carries_any_bytes<Heartbeat<posix::Tcp<>>>);
static_assert(detail::carries_any_bytes<posix::Accepted<>>);
