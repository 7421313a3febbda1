// SPDX-License-Identifier: MIT
// expect-error: SyncProcessor: a named store is not copied: std::ref
#include <functional>

#include <belay/sync/sync_processor.hpp>

#include "support/sync/sync_archetypes.hpp"

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
