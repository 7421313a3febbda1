// SPDX-License-Identifier: MIT
// expect-error: JitterLike: J::range must be noexcept
#include <belay/backoff/backoff.hpp>

struct Jitter {
#if defined(BELAY_CONTROL)
    belay::WaitRange range(const belay::NominalWait& n) const noexcept { return {n.wait, n.wait}; }
#else
    belay::WaitRange range(const belay::NominalWait& n) const { return {n.wait, n.wait}; }
#endif
};

belay::Backoff backoff{Jitter{}, belay::Cap{belay::forever}, belay::Duration{1}};
