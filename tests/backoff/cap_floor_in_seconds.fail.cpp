// SPDX-License-Identifier: MIT
// expect-error: CapLike: C::least must be
#include <belay/backoff/backoff.hpp>

#if defined(BELAY_CONTROL)
using Floor = belay::Duration;
#else
using Floor = std::chrono::seconds;
#endif

struct Limit {
    constexpr belay::Duration limit(belay::Duration wait) const noexcept { return wait; }
    constexpr Floor least() const noexcept { return Floor{0}; }
};

belay::Backoff backoff{belay::FullJitter{}, Limit{}, belay::Duration{1}};
