// SPDX-License-Identifier: MIT
// Goal: a Scene is a plain value of any content, and origins have names.
#include <belay/sync/scene.hpp>

#include <string>

#include "support/sync/bridge_archetypes.hpp"

static_assert(std::is_aggregate_v<belay::Scene<std::string>>);
static_assert(belay::Scene<int>{1, {.counter = 2}} == belay::Scene<int>{1, {.counter = 2}});
static_assert(belay::Scene<int>{1, {.counter = 2}} != belay::Scene<int>{1, {.counter = 3}});
static_assert(std::copyable<belay::Scene<belay_test::MinimalContent>>);
static_assert(to_string(belay::Origin::local) == "local");
static_assert(to_string(belay::Origin::remote) == "remote");
static_assert(to_string(belay::Origin{7}) == "unknown");
