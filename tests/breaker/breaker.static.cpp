// SPDX-License-Identifier: MIT
// Goal: the types of breaker.hpp satisfy their concepts, have the documented sizes, and throw
// only as documented.
#include <belay/breaker/breaker.hpp>

#include <ratio>

using namespace belay;

static_assert(RuleLike<Breaker<>> && sizeof(Breaker<>) <= 56);

namespace {

// An open wait of yours may have a member `period`, as a length of time has.
struct WaitWithPeriod {
    using period = std::milli;
    Duration next(Random&) noexcept;
};

}  // namespace

static_assert(RuleLike<Breaker<ConsecutiveFailures, WaitWithPeriod>>);
