// SPDX-License-Identifier: MIT
// expect-error: goes in as Shared{object}
#include <belay/policy/max_attempts.hpp>
#include <belay/policy/policy.hpp>
#include <belay/policy/shared.hpp>

#include "support/archetypes.hpp"

/// A rule that many share, and that is not copied.
struct Common {
    Common() = default;
    Common(const Common&) = delete;
    Common& operator=(const Common&) = delete;
    static belay::Advice failed(const belay::Failure&, belay::Turn&) noexcept { return {}; }
};

void use() {
#if defined(BELAY_CONTROL)
    belay::Policy<belay::MaxAttempts> policy{belay::MaxAttempts{3}};
#else
    belay::Policy<Common> policy{};
#endif
    static_cast<void>(policy);
}
