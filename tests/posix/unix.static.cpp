// SPDX-License-Identifier: MIT
// Goal: the types of unix.hpp satisfy their concepts. The framing decides whether a session may use
// it.
#include <belay/posix/unix.hpp>

#include <belay/link/framings.hpp>
#include <belay/link/heartbeat.hpp>
#include <belay/link/transport_like.hpp>

using namespace belay;

static_assert(TransportLike<posix::Unix<>>);
static_assert(TransportLike<Heartbeat<posix::Unix<Lines::WithPing>>>);
static_assert(detail::carries_any_bytes<Heartbeat<posix::Unix<>>>);
static_assert(!detail::carries_any_bytes<posix::Unix<Lines>>);
