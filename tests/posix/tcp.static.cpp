// SPDX-License-Identifier: MIT
// Goal: the types of tcp.hpp satisfy their concepts, have the documented sizes, and throw only
// as documented.
#include <belay/posix/tcp.hpp>

#include <belay/link/endpoints.hpp>
#include <belay/link/framings.hpp>
#include <belay/link/heartbeat.hpp>
#include <belay/link/transport_like.hpp>
#include <belay/posix/listener.hpp>
#include <belay/posix/loop.hpp>

using namespace belay;

static_assert(TransportLike<posix::Tcp<>>);

// The types in the pages.
using Loop = posix::Loop<>;
template <class... A>
using MadeOf = decltype(posix::Tcp{std::declval<A>()...});
static_assert(std::same_as<MadeOf<Loop&, posix::Endpoint>, posix::Tcp<>>);
static_assert(std::same_as<MadeOf<Loop&>, posix::TcpForEndpoints<>>);
static_assert(std::same_as<MadeOf<Loop&, posix::Resolver&>, posix::TcpForEndpoints<>>);
static_assert(std::same_as<MadeOf<Loop&, Lines>, posix::TcpForEndpoints<Lines>>);
static_assert(!TransportLike<posix::TcpForEndpoints<>>);
static_assert(TransportLike<Endpoints<posix::TcpForEndpoints<>, posix::Endpoint>>);

// A Session over lines of text therefore does not compile.
static_assert(!detail::carries_any_bytes<posix::Tcp<Lines>>);
static_assert(!detail::carries_any_bytes<Heartbeat<posix::Tcp<Lines::WithPing>>>);
static_assert(!detail::carries_any_bytes<posix::Accepted<Lines>>);
static_assert(detail::carries_any_bytes<Heartbeat<posix::Tcp<>>>);
static_assert(detail::carries_any_bytes<posix::Accepted<>>);
