// SPDX-License-Identifier: MIT
// expect-error: ShareableLike: reserve must be 'Permit reserve.Cause, Turn&. noexcept'
#include <belay/policy/shared.hpp>

struct Permit {
    belay::Advice advice() const noexcept { return belay::Advice::go(); }
    belay::Advice failure(belay::Turn&) noexcept { return belay::Advice::go(); }
    void success(belay::Turn&) noexcept {}
    void neutral() noexcept {}
};

struct Budget {
    using Permit = ::Permit;
    belay::Advice admit(belay::Instant) const noexcept { return belay::Advice::go(); }
    Permit acquire(belay::Turn&) noexcept { return {}; }
#if defined(BELAY_CONTROL)
    Permit reserve(belay::Cause, belay::Turn&) noexcept { return {}; }
#else
    Permit reserve(belay::Turn&) noexcept { return {}; }
#endif
} budget;

belay::Shared rule{budget};
