// SPDX-License-Identifier: MIT
// expect-error: StrategyLike: the strategy must return belay::Resolution
#include <functional>

#include <belay/sync/sync_processor.hpp>

#include "support/sync/sync_archetypes.hpp"

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
