// SPDX-License-Identifier: MIT
// Goal: code over Boost's asio runs in a world as on real sockets, and meets faults there. Method:
// the same cases on the loopback and in a world; faults of the world; a chat that does not know
// belay, explored. Clang 14 has no coroutines of Boost 1.74.
#include <belay/adapter/asio_sim.hpp>

#include <belay/adapter/boost_asio.hpp>

#include <boost/asio.hpp>

namespace belay_test {
namespace net = boost::asio;
}

#include "support/adapter/asio_sim_cases.hpp"
