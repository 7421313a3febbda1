// SPDX-License-Identifier: MIT
// expect-error: SyncProcessor: the observer's on_conflict must be 'on_conflict
#include <functional>

#include <belay/sync/sync_processor.hpp>

#include "support/sync/sync_archetypes.hpp"

struct App {
    void on_progress(const belay::SyncProgress&) {}
#if defined(BELAY_CONTROL)
    void on_conflict(const auto&) {}
#else
    void on_conflict() {}
#endif
};

void use(belay_test::MinimalStore& store) {
    belay::SyncProcessor processor{std::ref(store), belay::LastWriteWins{}, belay::SyncOptions{},
                                   App{}};
}
