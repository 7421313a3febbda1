// SPDX-License-Identifier: MIT
// Goal: Unix and its connections satisfy their concepts. The framing decides whether a session may use
// it.
#include <belay/posix/tcp.hpp>

#include <belay/link/framings.hpp>
#include <belay/link/heartbeat.hpp>
#include <belay/link/transport_like.hpp>

using namespace belay;

static_assert(TransportLike<posix::Unix<>>);
static_assert(TransportLike<Heartbeat<posix::Unix<Lines::WithPing>>>);
static_assert(detail::carries_any_bytes<Heartbeat<posix::Unix<>>>);
static_assert(!detail::carries_any_bytes<posix::Unix<Lines>>);
