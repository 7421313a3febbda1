// SPDX-License-Identifier: MIT
// expect-error: RuleLike: R advises or wishes, and says that it only listens
#include <belay/policy/policy.hpp>

struct Counts {
#if !defined(BELAY_CONTROL)
    static constexpr bool listens = true;
#endif
    belay::Advice failed(const belay::Failure&, belay::Turn&) noexcept {
        return belay::Advice::stop();
    }
};

belay::Policy policy{Counts{}};
