// SPDX-License-Identifier: MIT
// Small programs with one bug each, of kinds that real projects had. Each runs in a world, with the
// bug or mended.
#pragma once

#include <belay/sim.hpp>

namespace bugs {

bool acknowledged_before_flushed(belay::sim::World& world, bool mended);
bool debounce_that_never_saves(belay::sim::World& world, bool mended);
bool duplicate_window_too_small(belay::sim::World& world, bool mended);
bool flush_error_ignored(belay::sim::World& world, bool mended);
bool lost_wake_up(belay::sim::World& world, bool mended);
bool rename_without_directory_sync(belay::sim::World& world, bool mended);
bool reorder_after_retry(belay::sim::World& world, bool mended);
bool reset_on_connect(belay::sim::World& world, bool mended);
bool stale_pong(belay::sim::World& world, bool mended);
bool timeout_not_cancelled(belay::sim::World& world, bool mended);
bool two_live_connections(belay::sim::World& world, bool mended);
bool zombie_reconnect(belay::sim::World& world, bool mended);

}  // namespace bugs
