// SPDX-License-Identifier: MIT
// expect-error: OpenWaitLike: W::reset must be 'void reset
#include <belay/breaker/breaker.hpp>
#include <belay/breaker/consecutive_failures.hpp>

// It would never be called: each opening would last longer than the one before, for ever.
struct Doubling {
    belay::Duration wait{1};
    belay::Duration next(belay::Random&) noexcept { return wait *= 2; }
#if defined(BELAY_CONTROL)
    void reset() noexcept { wait = belay::Duration{1}; }
#else
    void reset(int to) noexcept { wait = belay::Duration{to}; }
#endif
};

belay::Breaker breaker{belay::ConsecutiveFailures{3}, Doubling{}};
