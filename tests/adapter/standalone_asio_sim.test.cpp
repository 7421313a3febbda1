// SPDX-License-Identifier: MIT
// Goal: code over standalone asio's types runs in a world as on real sockets. Method: the same
// cases on the loopback and in a world, cancellation slots, a chat under faults.
#include <belay/adapter/asio_sim.hpp>

#include <belay/adapter/standalone_asio.hpp>

#include <asio.hpp>

namespace belay_test {
namespace net = asio;
}

#include "support/adapter/asio_sim_cases.hpp"
