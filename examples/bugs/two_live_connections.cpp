// SPDX-License-Identifier: MIT
// The client dials again after 500 ms without a connection, and does not give up the attempt
// before. Both succeed when the network is back.
#include "bugs.hpp"
#include "dialler.hpp"

namespace bugs {

bool two_live_connections(sim::World& world, bool mended) {
    return run_dialler(world, {.gives_up_attempts = mended});
}

}  // namespace bugs
