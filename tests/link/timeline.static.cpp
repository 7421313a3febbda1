// SPDX-License-Identifier: MIT
// Goal: an empty step is a tick, which is harmless; a default action requests nothing.
#include <belay/link/status.hpp>

namespace {

using namespace belay::timeline;

static_assert(Step{}.input == Input::tick && !Step{}.force && !Step{}.closed_locally &&
              Step{}.gates == 0);
static_assert(!Actions{}.teardown && !Actions{}.graceful && !Actions{}.dial && !Actions{}.notify &&
              !Actions{}.excused);

}  // namespace
