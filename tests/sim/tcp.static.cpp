// SPDX-License-Identifier: MIT
// Goal: the types of tcp.hpp satisfy their concepts, have the documented sizes, and throw only
// as documented.
#include <belay/sim/tcp.hpp>

using namespace belay;
using namespace belay::sim;

static_assert(TransportLike<Tcp>);
// The endpoint of a network is a value of a host and a port, like posix::Endpoint.
static_assert(std::constructible_from<Tcp, Host&, Endpoint>);
static_assert(std::constructible_from<Tcp, Host&> && !std::convertible_to<Host&, Tcp>);
