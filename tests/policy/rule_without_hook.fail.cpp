// SPDX-License-Identifier: MIT
// expect-error: RuleLike: R needs at least one hook
#include <belay/policy/max_attempts.hpp>
#include <belay/policy/policy.hpp>

struct Rule {
#if defined(BELAY_CONTROL)
    belay::Advice admit(belay::Instant) const noexcept { return belay::Advice::go(); }
#endif
};

belay::Policy policy{belay::MaxAttempts{3}, Rule{}};
