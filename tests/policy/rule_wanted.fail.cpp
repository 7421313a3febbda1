// SPDX-License-Identifier: MIT
// expect-error: RuleLike: wanted must be 'void wanted.Turn&. noexcept'
#include <belay/policy/policy.hpp>

// An Advice that nobody would heed.
struct Rule {
    belay::Advice failed(const belay::Failure&, belay::Turn&) noexcept { return {}; }
#if defined(BELAY_CONTROL)
    void wanted(belay::Turn&) noexcept {}
#else
    belay::Advice wanted(belay::Turn&) noexcept { return belay::Advice::stop(); }
#endif
};

belay::Policy policy{Rule{}};
