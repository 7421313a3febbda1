// SPDX-License-Identifier: MIT
// expect-error: RuleLike: failed must be 'Advice failed
#include <belay/policy/policy.hpp>

struct Rule {
    void succeeded(belay::Turn&) noexcept {}
#if defined(BELAY_CONTROL)
    belay::Advice failed(const belay::Failure&, belay::Turn&) noexcept { return {}; }
#else
    belay::Advice failed(const belay::Failure&) noexcept { return {}; }
#endif
};

belay::Policy policy{Rule{}};
