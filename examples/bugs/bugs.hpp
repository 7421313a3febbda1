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

// The folder programs/: unmodified code that calls the C library, on Linux.
bool deadlock_at_shutdown(belay::sim::World& world, bool mended);
bool half_close(belay::sim::World& world, bool mended);
bool leader_without_a_fence(belay::sim::World& world, bool mended);
bool lease_by_wall_clock(belay::sim::World& world, bool mended);
bool order_across_connections(belay::sim::World& world, bool mended);
bool partial_write_ignored(belay::sim::World& world, bool mended);
bool reconnect_with_old_token(belay::sim::World& world, bool mended);
bool restart_without_reuseaddr(belay::sim::World& world, bool mended);
bool retry_storm(belay::sim::World& world, bool mended);
bool sequence_number_wraps(belay::sim::World& world, bool mended);
bool stale_read_after_partition(belay::sim::World& world, bool mended);

}  // namespace bugs
