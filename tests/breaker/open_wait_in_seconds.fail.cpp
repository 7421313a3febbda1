// SPDX-License-Identifier: MIT
// expect-error: OpenWaitLike: W::next must return belay::Duration
#include <belay/breaker/breaker.hpp>

struct Wait {
#if defined(BELAY_CONTROL)
    belay::Duration next(belay::Random&) noexcept { return belay::Duration{1}; }
#else
    std::chrono::seconds next(belay::Random&) noexcept { return std::chrono::seconds{1}; }
#endif
};

belay::Breaker breaker{belay::ConsecutiveFailures{5}, Wait{}};
