// SPDX-License-Identifier: MIT
// Goal: a step that says nothing is a tick, which is harmless; no action is asked for unless it is said.
#include <belay/link/timeline.hpp>

namespace {

using namespace belay::timeline;

static_assert(Step{}.input == Input::tick && !Step{}.force && !Step{}.goodbye && Step{}.gates == 0);
static_assert(!Actions{}.teardown && !Actions{}.graceful && !Actions{}.dial && !Actions{}.notify);

}  // namespace
