// SPDX-License-Identifier: MIT
// expect-error: Hedge: what pays for calls must be a budget of retries
#include <belay/budget/token_budget.hpp>
#include <belay/call/bulkhead.hpp>
#include <belay/call/hedge.hpp>

belay::TokenBudget budget;
belay::Bulkhead bulkhead{{.limit = 1}};

#if defined(BELAY_CONTROL)
belay::Hedge hedge{belay::Duration{1}, 1, belay::Shared{budget}};
#else
belay::Hedge hedge{belay::Duration{1}, 1, belay::Shared{bulkhead}};
#endif
