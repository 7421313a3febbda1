// SPDX-License-Identifier: MIT
// Goal: what must not compile in this room does not, and says why. Method: each case, from one
// expect-error to the next, has an error of that text; with BELAY_CONTROL all of them compile.
#include <functional>

#include <belay/sync/sync_processor.hpp>

#include "support/sync/sync_archetypes.hpp"

// expect-error: SyncProcessor: a named store is not copied: std::ref
namespace processor_copies_a_store {
struct CopyableStore : belay_test::MinimalStore {
    CopyableStore() = default;
    CopyableStore(const CopyableStore&) : MinimalStore{} {}
};
void use(CopyableStore& store) {
#if defined(BELAY_CONTROL)
    belay::SyncProcessor processor{std::ref(store), belay::LastWriteWins{}};
#else
    belay::SyncProcessor processor{store, belay::LastWriteWins{}};
#endif
}
}  // namespace processor_copies_a_store

// expect-error: SyncProcessor: the observer's on_conflict must be 'on_conflict
namespace sync_observer_hook {
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
}  // namespace sync_observer_hook

// expect-error: StrategyLike: the strategy must return belay::Resolution
namespace strategy_without_resolution {
struct Mine {
#if defined(BELAY_CONTROL)
    belay::Resolution<belay_test::MinimalValue> operator()(const auto&) {
        return belay::Resolution<belay_test::MinimalValue>::keep_local();
    }
#else
    bool operator()(const auto&) { return true; }
#endif
};
void use(belay_test::MinimalStore& store) {
    belay::SyncProcessor processor{std::ref(store), Mine{}};
}
}  // namespace strategy_without_resolution
