// SPDX-License-Identifier: MIT
// expect-error: Pipeline: a layer of a blocking call needs 'auto call
#include <belay/call/pipeline.hpp>

#include "support/archetypes.hpp"

struct Layer {
#if defined(BELAY_CONTROL)
    auto call(const auto& next, auto&, const belay::Attempt& attempt) const {
        return next(attempt);
    }
#else
    auto call(const auto& next) const { return next(belay::Attempt{}); }
#endif
};

void use(belay_test::MinimalSleeper& sleeper) {
    const belay::Pipeline pipeline{Layer{}};
    static_cast<void>(pipeline(sleeper, [] { return true; }));
}
