// SPDX-License-Identifier: MIT
// Goal: strategies are callables that return a Resolution; those of belay require nothing of
// values.
#include <belay/sync/strategy_like.hpp>

#include <belay/sync/operation.hpp>

#include "support/sync/sync_archetypes.hpp"

using belay_test::MinimalOperation;

struct DecidesToMerge {
    belay::Resolution<int> operator()(const belay::ConflictSides<belay::Operation<int>>& sides);
};
struct AnswersWithBool {
    bool operator()(const belay::ConflictSides<belay::Operation<int>>&);
};

static_assert(belay::StrategyLike<belay::LastWriteWins, MinimalOperation>);
static_assert(belay::StrategyLike<belay::LocalWins, MinimalOperation>);
static_assert(belay::StrategyLike<belay::RemoteWins, MinimalOperation>);
static_assert(!belay::detail::needs_values<belay::LastWriteWins>());
static_assert(belay::StrategyLike<DecidesToMerge, belay::Operation<int>>);
static_assert(belay::detail::needs_values<DecidesToMerge>());
static_assert(!belay::StrategyLike<DecidesToMerge, MinimalOperation>);
static_assert(!belay::StrategyLike<AnswersWithBool, belay::Operation<int>>);
static_assert(!belay::StrategyLike<int, belay::Operation<int>>);
