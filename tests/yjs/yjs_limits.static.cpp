// SPDX-License-Identifier: MIT
// Goal: every update is limited unless a user asks otherwise, and nesting always is.
#include <belay/yjs/yjs_limits.hpp>

namespace {

using belay::no_limit;
using belay::yjs::Limits;

static_assert(Limits{}.bytes_max != no_limit && Limits{}.structs_max != no_limit);
static_assert(Limits{}.clients_max != no_limit && Limits{}.delete_ranges_max != no_limit);
static_assert(Limits{}.nesting_max <= belay::yjs::nesting_ceiling);
static_assert(Limits::none().bytes_max == no_limit && Limits::none().structs_max == no_limit);
static_assert(Limits::none().clients_max == no_limit);
static_assert(Limits::none().delete_ranges_max == no_limit);
static_assert(Limits::none().nesting_max == belay::yjs::nesting_ceiling);

}  // namespace
