// SPDX-License-Identifier: MIT
// Goal: the defaults that the page gives.
#include <belay/sync/sync_observer.hpp>

static_assert(belay::SyncOptions{}.skew_max == std::chrono::minutes{5});
static_assert(!belay::SyncOptions{}.upsert_updates);
static_assert(belay::SyncOptions{}.transaction_operations == 1000);
