// SPDX-License-Identifier: MIT
// The user stops the client while it waits to dial again, and it does not cancel the timer.
#include "bugs.hpp"
#include "dialler.hpp"

namespace bugs {

bool zombie_reconnect(sim::World& world, bool mended) {
    return run_dialler(world, {.cancels_attempts = mended}, 3s);
}

}  // namespace bugs
