// SPDX-License-Identifier: MIT
// Goal: the types of deadline.hpp satisfy their concepts, have the documented sizes, and throw
// only as documented.
#include <belay/policy/rules.hpp>

#include <optional>

using namespace belay;

static_assert(RuleLike<Deadline>);

// Any unit of the steady clock.
static_assert(Deadline{std::chrono::time_point<std::chrono::steady_clock, std::chrono::seconds>{
                  std::chrono::seconds{5}}} == Deadline{Instant{std::chrono::seconds{5}}});

// A rule that may be absent is made from an instant that may be.
static_assert(!std::is_constructible_v<Deadline, std::optional<Instant>>);
static_assert(!std::is_constructible_v<Deadline, std::nullopt_t>);
static_assert(!std::optional<Deadline>{std::optional<Instant>{}});
