// SPDX-License-Identifier: MIT
// expect-error: RuleLike: succeeded must be .void succeeded.Turn&. noexcept., and public
#include <belay/policy/policy.hpp>

// Without `public:` it would never be called, and the failures of all time be counted.
class Strict {
#if defined(BELAY_CONTROL)
public:
#endif
    void succeeded(belay::Turn&) noexcept { failures_ = 0; }

public:
    belay::Advice failed(const belay::Failure&, belay::Turn&) noexcept {
        return ++failures_ < 3 ? belay::Advice::go() : belay::Advice::stop();
    }

private:
    int failures_ = 0;
};

belay::Policy policy{Strict{}};
