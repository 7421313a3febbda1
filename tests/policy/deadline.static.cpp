// SPDX-License-Identifier: MIT
// Goal: the types of deadline.hpp satisfy their concepts, have the documented sizes, and throw
// only as documented.
#include <belay/policy/rules.hpp>

using namespace belay;

static_assert(RuleLike<Deadline>);

// Any unit of the steady clock.
static_assert(Deadline{std::chrono::time_point<std::chrono::steady_clock, std::chrono::seconds>{
                  std::chrono::seconds{5}}} == Deadline{Instant{std::chrono::seconds{5}}});
