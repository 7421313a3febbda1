// SPDX-License-Identifier: MIT
// expect-error: Pipeline: a policy, or a rule, is no layer: write Retrying{policy}
#include <belay/call/pipeline.hpp>
#include <belay/call/retrying.hpp>
#include <belay/policy/max_attempts.hpp>

#include "support/archetypes.hpp"

void use(belay_test::MinimalSleeper& sleeper) {
    const belay::Policy policy{belay::MaxAttempts{3}};
#if defined(BELAY_CONTROL)
    const belay::Pipeline pipeline{belay::Retrying{policy}};
#else
    const belay::Pipeline pipeline{policy};
#endif
    static_cast<void>(pipeline(sleeper, [] { return true; }));
}
