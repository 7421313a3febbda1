// SPDX-License-Identifier: MIT
// expect-error: Backoff: this jitter grows by itself: give it a base, no growth
#include <belay/backoff/backoff.hpp>
#include <belay/backoff/decorrelated_jitter.hpp>

#if defined(BELAY_CONTROL)
using Growth = belay::Constant;
#else
using Growth = belay::Exponential<>;
#endif

belay::Backoff backoff{belay::DecorrelatedJitter{}, belay::Cap{belay::forever},
                       Growth{belay::Duration{1}}};
