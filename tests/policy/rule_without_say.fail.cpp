// SPDX-License-Identifier: MIT
// expect-error: RuleLike: R neither advises nor wishes
#include <belay/policy/policy.hpp>

// `fail` would never be called, and the rule do nothing.
struct Counts {
#if defined(BELAY_CONTROL)
    static constexpr bool listens = true;
#endif
    int* successes;
    belay::Advice fail(const belay::Failure&, belay::Turn&) noexcept {
        return belay::Advice::stop();
    }
    void succeeded(belay::Turn&) noexcept { ++*successes; }
};

int successes = 0;
belay::Policy policy{Counts{&successes}};
