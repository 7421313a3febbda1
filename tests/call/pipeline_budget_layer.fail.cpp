// SPDX-License-Identifier: MIT
// expect-error: Pipeline: a budget pays for retries
#include <belay/budget/token_budget.hpp>
#include <belay/call/pipeline.hpp>
#include <belay/call/retrying.hpp>
#include <belay/policy/max_attempts.hpp>

#include "support/archetypes.hpp"

using namespace belay;

TokenBudget budget{TokenBudgetOptions::aws()};
#if defined(BELAY_CONTROL)
const Pipeline pipeline{Retrying{Policy{MaxAttempts{3}, Shared{budget}}}};
#else
const Pipeline pipeline{Retrying{MaxAttempts{3}}, Shared{budget}};
#endif
auto run(belay_test::MinimalSleeper& sleeper) {
    return pipeline(sleeper, [] { return true; });
}
