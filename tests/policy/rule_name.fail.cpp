// SPDX-License-Identifier: MIT
// expect-error: RuleLike: name must be 'static constexpr std::string_view name'
#include <belay/policy/policy.hpp>

struct Gives {
#if defined(BELAY_CONTROL)
    static constexpr std::string_view name = "Gives";
#else
    static std::string_view name() { return "Gives"; }
#endif
    belay::Advice failed(const belay::Failure&, belay::Turn&) noexcept {
        return belay::Advice::stop();
    }
};

belay::Policy policy{Gives{}};
